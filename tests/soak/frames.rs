//! LAN frames that carry their number, so that whatever comes out can be known again.

use std::sync::OnceLock;

use crate::common::Random;

/// The shortest frame that has a number.
pub const LEAST: usize = 14;
/// The longest that is ever made.
pub const MOST: usize = 2000;
const NOISE: usize = 1 << 16;

/// What a gateway will do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Protect,
    Bypass,
    Runt,
    LinkLocal,
    TooLarge,
}

/// A frame on its way to a gateway: its number among those of its direction, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanFrame {
    pub n: u32,
    pub len: u16,
    pub class: Class,
    pub tcp: Option<Tcp>,
}

/// A segment of a connection that is watched, between 10.1.0.1 and 10.1.0.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    pub from: u16,
    pub to: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: u16,
    /// Which life of the connection.
    pub generation: u32,
}

/// The headers of such a frame.
pub const TCP_HEADERS: usize = LEAST + 40;

impl Tcp {
    fn headers(&self) -> [u8; 42] {
        let mut bytes = [0; 42];
        bytes[..4].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
        bytes[4..6].copy_from_slice(&(40 + self.payload).to_be_bytes());
        bytes[8..12].copy_from_slice(&[0x40, 0, 64, 6]);
        let (near, far) = if self.from > self.to { (1, 2) } else { (2, 1) };
        bytes[14..22].copy_from_slice(&[10, 1, 0, near, 10, 1, 0, far]);
        bytes[22..24].copy_from_slice(&self.from.to_be_bytes());
        bytes[24..26].copy_from_slice(&self.to.to_be_bytes());
        bytes[26..30].copy_from_slice(&self.seq.to_be_bytes());
        bytes[30..34].copy_from_slice(&self.ack.to_be_bytes());
        bytes[34..36].copy_from_slice(&[0x50, self.flags]);
        bytes
    }
}

/// Bytes that no two frames have alike for long.
fn noise() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut bytes = vec![0; NOISE + MOST];
        Random(0x6E_6F69_7365).fill(&mut bytes);
        bytes
    })
}

fn mix(salt: u64, direction: usize, n: u32) -> u64 {
    let mut x = salt ^ (u64::from(n) << 1 | direction as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ x >> 29
}

/// The first bytes of a frame, and what follows them.
fn parts(salt: u64, direction: usize, frame: &LanFrame) -> ([u8; LEAST], &'static [u8]) {
    let hash = mix(salt, direction, frame.n);
    let mut head = [0; LEAST];
    head[0] = 0x02;
    head[1..5].copy_from_slice(&frame.n.to_be_bytes());
    head[5] = direction as u8;
    head[6..12].copy_from_slice(&hash.to_be_bytes()[..6]);
    head[6] &= 0xFE;
    let tagged = hash.is_multiple_of(5) && frame.class == Class::Protect;
    head[12..].copy_from_slice(if tagged { &[0x81, 0x00] } else { &[0x08, 0x00] });
    if frame.class == Class::LinkLocal {
        head[..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, frame.n as u8 & 0x0F]);
    }
    let at = (hash >> 16) as usize % NOISE;
    (head, &noise()[at..at + usize::from(frame.len).saturating_sub(LEAST)])
}

/// Writes a frame into `bytes`, which are as long as it is.
pub fn write(salt: u64, direction: usize, frame: &LanFrame, bytes: &mut [u8]) {
    let (head, rest) = parts(salt, direction, frame);
    let front = bytes.len().min(LEAST);
    bytes[..front].copy_from_slice(&head[..front]);
    bytes[front..].copy_from_slice(rest);
    if let Some(tcp) = &frame.tcp {
        bytes[LEAST - 2..TCP_HEADERS].copy_from_slice(&tcp.headers());
    }
}

/// The number that a frame says it has.
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(1..5)?.try_into().ok().map(u32::from_be_bytes)
}

/// Whether these bytes are that frame.
pub fn is(salt: u64, direction: usize, frame: &LanFrame, bytes: &[u8]) -> bool {
    let mut expected = [0; MOST];
    let expected = &mut expected[..usize::from(frame.len)];
    write(salt, direction, frame, expected);
    bytes == expected
}

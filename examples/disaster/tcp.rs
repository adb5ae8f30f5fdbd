//! The two ends of the mirror's connection, modelled simply, so that what is told of them is on the safe side.
//!
//! * The sender sends what is written at once, in segments of up to 1448 bytes: the stream is limited by what is
//!   written, not by a congestion window. What that changes is the backlog of `local` alone, to its favour.
//! * The receiver acknowledges every segment, keeps what came too early, and delivers in order.
//! * Without SACK and without tail loss probes: the third duplicate acknowledgement, or the timer (a round trip
//!   and 200 ms, then twice that, …), sends the first missing segment again, as RFC 6582 does. So a hole that the
//!   code does not fill stays open for longer than with a kernel's TCP.
//! * The mirror's own answer, behind its fsync, is a segment that carries how many bytes are on its disk. A later
//!   answer supersedes it, so none is sent again.

use std::collections::{BTreeMap, VecDeque};

use maelstrom::wire::tcp::{Flag, Segment};

pub const SYN: u8 = 2;
const ACK: u8 = 16;
const MSS: u64 = 1448;
/// Ethernet, IPv4 and TCP without options.
const HEADERS: usize = 14 + 20 + 20;
/// The primary's port, and the mirror's.
pub const PORTS: (u16, u16) = (40_000, 5432);
/// Their addresses.
pub const ENDS: ([u8; 4], [u8; 4]) = ([10, 1, 0, 1], [10, 1, 0, 2]);
/// The number of the SYN; the stream's numbers wrap around soon.
const ISN: u32 = u32::MAX - 20_000;
/// What the kernel adds to the round trip before it sends again.
const RTO_MARGIN: u64 = 200_000_000;
/// How long the mirror's fsync takes.
pub const FSYNC: u64 = 200_000;

/// The byte at an offset of the stream.
fn byte_at(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// A segment between the two ends.
fn segment(eastward: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (near, far) = if eastward { ENDS } else { (ENDS.1, ENDS.0) };
    let (from, to) = if eastward { PORTS } else { (PORTS.1, PORTS.0) };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([near, far].concat());
    frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    frame.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    frame.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// How far `seq` is from the stream's byte `near`, as an offset: the nearest that fits.
fn offset_of(seq: u32, near: u64) -> u64 {
    let base = ISN.wrapping_add(1).wrapping_add(near as u32);
    near.wrapping_add_signed(i64::from(seq.wrapping_sub(base) as i32))
}

/// The primary's kernel.
pub struct Sender {
    round_trip: u64,
    pub written: u64,
    next: u64,
    pub acked: u64,
    /// Where segments begin, of what is not acknowledged.
    segments: VecDeque<(u64, u64)>,
    duplicates: u32,
    /// What was sent when the recovery that is under way began.
    recover: Option<u64>,
    timer: Option<u64>,
    backoff: u32,
    established: bool,
    /// How many segments were sent again.
    pub resent: u64,
}

impl Sender {
    pub fn new(round_trip: u64) -> Sender {
        Sender {
            round_trip,
            written: 0,
            next: 0,
            acked: 0,
            segments: VecDeque::new(),
            duplicates: 0,
            recover: None,
            timer: None,
            backoff: 0,
            established: false,
            resent: 0,
        }
    }

    pub fn syn(&self) -> Vec<u8> {
        segment(true, ISN, 0, SYN, &[])
    }

    fn frame(&self, start: u64, end: u64) -> Vec<u8> {
        let payload: Vec<u8> = (start..end).map(byte_at).collect();
        segment(true, ISN.wrapping_add(1).wrapping_add(start as u32), 1, ACK, &payload)
    }

    fn rto(&self) -> u64 {
        (self.round_trip + RTO_MARGIN) << self.backoff.min(6)
    }

    /// What is due now: new segments, and what the timer sends again.
    pub fn poll(&mut self, now: u64, out: &mut Vec<Vec<u8>>) {
        if !self.established {
            return;
        }
        while self.next < self.written {
            let end = self.written.min(self.next + MSS);
            out.push(self.frame(self.next, end));
            self.segments.push_back((self.next, end));
            self.next = end;
            self.timer = self.timer.or(Some(now + self.rto()));
        }
        if self.timer.is_some_and(|at| at <= now) {
            self.backoff += 1;
            self.duplicates = 0;
            self.recover = Some(self.next);
            self.again(now, out);
        }
    }

    fn again(&mut self, now: u64, out: &mut Vec<Vec<u8>>) {
        let Some(&(start, end)) = self.segments.front() else { return };
        out.push(self.frame(start, end));
        self.resent += 1;
        self.timer = Some(now + self.rto());
    }

    /// A frame from the far end; what it says is on the mirror's disk, if it is such an answer.
    pub fn hear(&mut self, now: u64, frame: &[u8], out: &mut Vec<Vec<u8>>) -> Option<u64> {
        let segment = Segment::parse(frame).filter(|it| it.source_port == PORTS.1)?;
        if segment.has(Flag::Syn) {
            self.established = true;
            return None;
        }
        if segment.len == 8 {
            let answer = frame.get(HEADERS..HEADERS + 8)?.try_into().ok()?;
            return Some(u64::from_be_bytes(answer));
        }
        let ack = offset_of(segment.ack, self.acked);
        if ack > self.acked && ack <= self.next {
            self.acked = ack;
            while self.segments.front().is_some_and(|&(_, end)| end <= ack) {
                self.segments.pop_front();
            }
            (self.duplicates, self.backoff) = (0, 0);
            self.timer = (!self.segments.is_empty()).then(|| now + self.rto());
            match self.recover {
                Some(until) if ack < until => self.again(now, out),
                _ => self.recover = None,
            }
        } else if ack == self.acked && !self.segments.is_empty() {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recover.is_none() {
                self.recover = Some(self.next);
                self.again(now, out);
            }
        }
        None
    }
}

/// The mirror's kernel, and its process.
#[derive(Default)]
pub struct Receiver {
    /// Bytes that have come in order: those that the process reads, and writes to its file.
    pub have: u64,
    early: BTreeMap<u64, u64>,
    /// When the fsync of how much is over.
    writing: VecDeque<(u64, u64)>,
    durable: u64,
}

impl Receiver {
    /// A frame from the gateway; the kernel's answer.
    pub fn hear(&mut self, now: u64, frame: &[u8], out: &mut Vec<Vec<u8>>) {
        let Some(it) = Segment::parse(frame).filter(|it| it.source_port == PORTS.0) else { return };
        if it.has(Flag::Syn) {
            out.push(segment(false, 0, ISN.wrapping_add(1), SYN | ACK, &[]));
            return;
        }
        let start = offset_of(it.seq, self.have);
        let end = start + u64::from(it.len);
        let payload = &frame[HEADERS..HEADERS + usize::from(it.len)];
        let same = payload.iter().zip(start..end).all(|(&byte, offset)| byte == byte_at(offset));
        assert!(same, "bytes {start} to {end} are not those that were sent");
        let longest = self.early.entry(start).or_insert(end);
        *longest = end.max(*longest);
        let before = self.have;
        while let Some((&start, &end)) = self.early.first_key_value()
            && start <= self.have
        {
            self.early.pop_first();
            self.have = self.have.max(end);
        }
        if self.have > before {
            self.writing.push_back((now + FSYNC, self.have));
        }
        let ack = ISN.wrapping_add(1).wrapping_add(self.have as u32);
        out.push(segment(false, 1, ack, ACK, &[]));
    }

    /// What the process answers by now.
    pub fn poll(&mut self, now: u64, out: &mut Vec<Vec<u8>>) {
        let before = self.durable;
        while let Some(&(at, offset)) = self.writing.front()
            && at <= now
        {
            self.writing.pop_front();
            self.durable = offset;
        }
        if self.durable > before {
            out.push(segment(false, 1, 0, ACK, &self.durable.to_be_bytes()));
        }
    }
}

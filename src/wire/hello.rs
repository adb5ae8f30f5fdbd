//! The hello: who a gateway is, how it is configured, and what it last heard.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------+---------------+---------------+---------------+
//!  |     flags     |   integrity   | encapsulation |    window     | 26
//!  +---------------+---------------+---------------+---------------+
//!  | channels out  |  channels in  |            WAN MTU            | 30
//!  +---------------+---------------+-------------------------------+
//!  |  longest protected frame      |        size of this hello     | 34
//!  +-------------------------------+-------------------------------+
//!  |               interval, in microseconds                       | 38
//!  +---------------------------------------------------------------+
//!  |      how long nothing was heard, in microseconds              | 42
//!  +---------------------------------------------------------------+
//!  |                time, in nanoseconds (64 bits)                 | 46
//!  +---------------------------------------------------------------+
//!  |                       echo: epoch                             | 54
//!  +---------------------------------------------------------------+
//!  |                    echo: time (64 bits)                       | 58
//!  +---------------------------------------------------------------+
//!  |         echo: held, in nanoseconds (64 bits)                  | 66
//!  +---------------------------------------------------------------+
//!  |  echo: size of the last large hello, and its number (64 bits) | 74
//!  +---------------------------------------------------------------+
//! ```
//!
//! Times are of the sender's own clock, which begins anywhere. A receiver allows further fields behind
//! these.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;

/// Bytes of a hello's fields.
pub const HELLO_LEN: usize = size_of::<Raw>();

/// What may stand between an Ethernet header and a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation(pub u8);

impl Encapsulation {
    /// Nothing.
    pub const ETHER: Encapsulation = Encapsulation(1);
    /// UDP over IPv4.
    pub const UDP4: Encapsulation = Encapsulation(2);
    /// UDP over IPv6.
    pub const UDP6: Encapsulation = Encapsulation(3);
    /// Source frames cross as they are.
    pub const TRANSPARENT: Encapsulation = Encapsulation(4);

    /// As the configuration writes it.
    pub fn name(self) -> String {
        match self {
            Encapsulation::ETHER => "ether".to_owned(),
            Encapsulation::UDP4 => "udp over IPv4".to_owned(),
            Encapsulation::UDP6 => "udp over IPv6".to_owned(),
            Encapsulation::TRANSPARENT => "transparent".to_owned(),
            Encapsulation(other) => format!("unknown ({other})"),
        }
    }
}

/// What both ends must agree upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What confirms frames, by its number in the shim.
    pub integrity: u8,
    /// What is in front of the shim.
    pub encapsulation: Encapsulation,
    /// On how many channels it sends.
    pub channels_out: u8,
    /// How many channels it recovers.
    pub channels_in: u8,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// The longest frame that it protects, in bytes.
    pub max_frame: u16,
    /// Whether what comes unprotected is delivered.
    pub unprotected: bool,
    /// The logarithm, to base 2, of how many packets the windows hold that it recovers with; 0 where it
    /// does not say.
    pub window: u8,
}

/// What was last heard of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Its epoch.
    pub epoch: u32,
    /// The time in its last hello.
    pub time: u64,
    /// How long ago that was heard, in nanoseconds.
    pub held: u64,
    /// The number of the last hello that came with padding, and how large it was on the wire, behind the
    /// Ethernet header; 0 if none did.
    pub large: (u64, u16),
}

/// A hello in plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// How the sender is configured.
    pub facts: Facts,
    /// How large this packet is on the wire, behind the Ethernet header and with padding, if it was padded.
    pub size: u16,
    /// Until its next one, in microseconds.
    pub interval: u32,
    /// For how long it has heard nothing of us, in microseconds.
    pub quiet: u32,
    /// When it was sent.
    pub time: u64,
    /// What it last heard.
    pub echo: Option<Echo>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    flags: u8,
    integrity: u8,
    encapsulation: u8,
    window: u8,
    channels_out: u8,
    channels_in: u8,
    wan_mtu: U16,
    max_frame: U16,
    size: U16,
    interval: U32,
    quiet: U32,
    time: U64,
    echo_epoch: U32,
    echo_time: U64,
    echo_held: U64,
    large_size: U16,
    large_number: U64,
}

/// The echo says something.
const ECHO: u8 = 1;
/// Frames that come unprotected are delivered.
const UNPROTECTED: u8 = 2;

impl Hello {
    /// Reads the fields of a control packet.
    pub fn parse(fields: &[u8]) -> Result<Hello, Bad> {
        let (raw, _) = Raw::ref_from_prefix(fields).map_err(|_| Bad::Truncated)?;
        let echo = Echo {
            epoch: raw.echo_epoch.get(),
            time: raw.echo_time.get(),
            held: raw.echo_held.get(),
            large: (raw.large_number.get(), raw.large_size.get()),
        };
        // A peer that is silent between hellos for longer, or at all times, would be up for ever, or
        // never.
        if !(1_000..=60_000_000).contains(&raw.interval.get()) {
            return Err(Bad::Length);
        }
        Ok(Hello {
            facts: Facts {
                integrity: raw.integrity,
                encapsulation: Encapsulation(raw.encapsulation),
                channels_out: raw.channels_out,
                channels_in: raw.channels_in,
                wan_mtu: raw.wan_mtu.get(),
                max_frame: raw.max_frame.get(),
                unprotected: raw.flags & UNPROTECTED != 0,
                window: raw.window,
            },
            size: raw.size.get(),
            interval: raw.interval.get(),
            quiet: raw.quiet.get(),
            time: raw.time.get(),
            echo: (raw.flags & ECHO != 0).then_some(echo),
        })
    }

    /// The fields as bytes.
    pub fn emit(&self) -> [u8; HELLO_LEN] {
        let Facts {
            integrity,
            encapsulation,
            channels_out,
            channels_in,
            wan_mtu,
            max_frame,
            window,
            ..
        } = self.facts;
        let none = Echo { epoch: 0, time: 0, held: 0, large: (0, 0) };
        let echo = self.echo.unwrap_or(none);
        let unprotected = if self.facts.unprotected { UNPROTECTED } else { 0 };
        let raw = Raw {
            flags: unprotected | if self.echo.is_some() { ECHO } else { 0 },
            integrity,
            encapsulation: encapsulation.0,
            window,
            channels_out,
            channels_in,
            wan_mtu: U16::new(wan_mtu),
            max_frame: U16::new(max_frame),
            size: U16::new(self.size),
            interval: U32::new(self.interval),
            quiet: U32::new(self.quiet),
            time: U64::new(self.time),
            echo_epoch: U32::new(echo.epoch),
            echo_time: U64::new(echo.time),
            echo_held: U64::new(echo.held),
            large_size: U16::new(echo.large.1),
            large_number: U64::new(echo.large.0),
        };
        zerocopy::transmute!(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_emitted_is_parsed() {
        let facts = Facts {
            integrity: 1,
            encapsulation: Encapsulation::ETHER,
            channels_out: 2,
            channels_in: 3,
            wan_mtu: 9000,
            max_frame: 1522,
            unprotected: true,
            window: 15,
        };
        let echo = Some(Echo { epoch: 9, time: 10, held: 11, large: (12, 13) });
        let hello = Hello { facts, size: 1500, interval: 100_000, quiet: 7, time: 8, echo };
        for hello in [hello, Hello { echo: None, ..hello }] {
            let mut fields = hello.emit().to_vec();
            assert_eq!(fields.len(), 58);
            assert_eq!(Hello::parse(&fields), Ok(hello));
            fields.push(1);
            assert_eq!(Hello::parse(&fields), Ok(hello));
            assert_eq!(Hello::parse(&fields[..57]), Err(Bad::Truncated));
        }
        assert_eq!(Hello::parse(&Hello { interval: 1, ..hello }.emit()), Err(Bad::Length));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Hello::parse(&bytes);
        }
    }
}

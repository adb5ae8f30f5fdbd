//! The UDP header (RFC 768).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// UDP's number among the protocols.
pub const UDP: u8 = 17;
/// Bytes of the header.
pub const UDP_LEN: usize = size_of::<Udp>();

/// The header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Udp {
    /// The sender's port.
    pub source: U16,
    /// The receiver's port.
    pub destination: U16,
    /// Of header and data.
    pub length: U16,
    /// 0 is none.
    pub checksum: U16,
}

const _: () = assert!(UDP_LEN == 8);

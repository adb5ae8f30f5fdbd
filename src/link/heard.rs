//! What a room hands up to control.

use crate::wire::parcel::Parcel;
use crate::wire::shim::Shim;

/// A packet that is for the gateway itself, and how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When the room received it, in its time.
    pub at: u64,
    /// The room's number among those of its kind.
    pub room: u8,
    /// How long it was on the wire, outer header and padding included, in bytes.
    pub len: u16,
    /// What it is.
    pub what: What,
    /// A control packet's verified body, behind the shim; or a whole frame.
    pub bytes: Parcel,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A control packet with this shim, whose check is right. It may be old, or come twice. With keys it is
    /// a handshake's, and anybody may have sent it.
    Control(Shim),
    /// A control packet with this shim that the key of the peer has opened, for the first time.
    Opened {
        /// The shim.
        shim: Shim,
        /// Under which keys: [`super::keys::Agreed::number`].
        keys: u32,
    },
    /// A frame for the gateway itself, from the port that the room receives from.
    Frame,
}

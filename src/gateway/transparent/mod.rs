//! Where nothing may be added to a packet: how [`super::protect`] has source frames cross as they are, and the
//! room that recovers them.
//!
//! * **Does:** as `protect` and `recover` do, but repairs name their members, and are sent in parts
//!   where they exceed the WAN's MTU. docs/ARCHITECTURE.md says what this promises and what it can't.
//! * **Fed by, feeds, runs on, must not:** as [`super::protect`] and [`super::recover`].

mod cutter;
mod naming;
mod recover;

pub use naming::{Naming, ProtectConfig};
pub use recover::{Recover, RecoverConfig};

use super::protect::ProtectBy;
use crate::wire::outer::MIN_FRAME;

/// [`super::Protect`] where frames cross as they are.
pub type Protect<L, W> = ProtectBy<Naming, L, W>;

/// The shortest frame on a wire, without FCS (IEEE 802.3, section 4.4.2): whoever sends a shorter one
/// pads it.
pub const SHORTEST: usize = 60;

const _: () = assert!(SHORTEST > MIN_FRAME);

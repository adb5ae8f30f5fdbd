//! The two mirrored rooms of a gateway, and the workers that poll them.
//!
//! ```text
//!            +--------------- gateway -----------------+
//!   LAN ---> | protect   classify, stamp, send, encode | ---> WAN
//!   LAN <--- | recover   verify, deliver, peel, deliver| <--- WAN
//!            +-----------------------------------------+
//! ```
//!
//! Where nothing may be added to a packet, [`transparent`] says how frames cross, and has a room that recovers
//! them.
//!
//! Where a port has a queue for each of several workers, each has its own `protect` or `recover`.
//! Where it has not, [`dispatch`] receives for them, and [`gather`] sends.
//!
//! * **Does:** moves frames, as docs/ARCHITECTURE.md follows one; every drop has a counter.
//! * **Fed by:** the receive queues of the LAN and the WAN port.
//! * **Feeds:** their transmit queues.
//! * **Runs on:** a [`worker`] for each core that the configuration names.
//! * **Must not:** read a clock (time is passed in), lock, allocate, log or panic per packet.

mod backlog;
pub mod blueprint;
pub mod bridge;
pub mod bucket;
pub mod coding;
mod desk;
pub mod dispatch;
pub mod fit;
pub mod flows;
pub mod gather;
pub mod inbound;
pub mod io;
pub mod nack;
pub mod post;
pub mod protect;
pub mod recover;
pub mod resequence;
pub mod rooms;
pub mod settings;
pub mod shaper;
pub mod steward;
mod switch;
pub mod transparent;
pub mod worker;

pub use blueprint::{Blueprint, BlueprintError};
pub use bridge::Bridge;
pub use coding::{Coding, Readers};
pub use dispatch::{Dispatch, Spread};
pub use gather::Gather;
pub use io::{Outbox, Queues, Receive, Transmit};
pub use nack::Retransmission;
pub use protect::Protect;
pub use recover::{Observer, Recover};
pub use rooms::{ProtectRoom, RecoverRoom};
pub use settings::{LinkLocal, LinkSettings, Oversize, Side, TooBig};
pub use shaper::{Limit, Overload};
pub use steward::Steward;
pub use worker::{Idle, Room, Worker};

//! A log store with a mirror at another site: an example of how to use `netsync` properly.
//!
//! ```text
//!  clients ──▶ primary ──▶ its file (records.log)
//!                 │  └──── kernel TCP ──▶ [ gateway west ] ═══ WAN ═══ [ gateway east ] ──▶ mirror ──▶ its file
//!                 │                            │                                              │
//!                 ◀── shared memory (netsync) ─┘           answers, behind its fsync ◀────────┘
//! ```
//!
//! Three programs:
//!
//! * `primary` takes records from clients, numbers them, appends them to its file, writes them to its one connection to
//!   the mirror, and tells each client when its record is as safe as the policy says ([`policy`]).
//! * `mirror` appends what comes to its own file, syncs it, and answers with the last number that is on its disk. It
//!   also checks and compares such files.
//! * `clients` makes load, measures how long commits take, and writes down which records it was told of, and when.
//!
//! What to learn from it:
//!
//! * **One offset.** The primary counts the bytes it has written to the connection, from the first, framing and all. A
//!   record is safe when all bytes below its end are ([`commit`]).
//! * **One thread asks.** A `Flow` is one thread's; records become safe in their order, so only the oldest is polled.
//! * **A policy for when the gateway says no more.** A wait that ends with *Unprotected*, *Dead* or the like says nothing
//!   bad of the bytes. What to do then is the store's choice: `--unprotected remote` waits for the mirror's own answer,
//!   `--unprotected wait` goes on asking, whatever that takes; a timeout is treated alike. A wait that ends with
//!   *CodeSwitched* or *Renewed* is simply begun again.
//! * **The local disk.** Records go to the local file, then to the mirror's connection, and are synced while they fly,
//!   all that came meanwhile at once (`--durable sync`). Every policy waits for that sync, so whoever wants to see what
//!   the network costs measures with `--durable kernel`, and says so.
//! * **What a bound does not cover**, the answers of the mirror do: they are read all the time, so a record that the
//!   mirror has is told at once, under any policy.
//!
//! Try it on one machine, without any gateway:
//!
//! ```text
//! mirror serve --listen 127.0.0.1:7000 --file /tmp/mirror.log &
//! primary --mirror 127.0.0.1:7000 --file /tmp/primary.log --listen 127.0.0.1:7001 --policy remote &
//! clients --connect 127.0.0.1:7001 --clients 4 --seconds 2 --log /tmp/told.tsv
//! mirror check /tmp/mirror.log /tmp/told.tsv
//! ```
//!
//! With a gateway: `--netsync /run/maelstrom/west.sock --policy network-sync:1e-6`.

pub mod commit;
pub mod link;
pub mod policy;
pub mod protocol;
pub mod record;
pub mod store;
pub mod trouble;

pub use trouble::{Context, Error, Result};

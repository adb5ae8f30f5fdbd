//! The shared-memory contract between a gateway and the storage processes beside it.
//!
//! Nothing is published yet: this crate reserves the room, and its name, for the notice ring and
//! the watermark table. It builds without libdpdk, and always will, because it is linked into
//! storage processes that know nothing of packet I/O.

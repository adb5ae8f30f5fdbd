//! The part of DPDK that Maelstrom calls.
//!
//! * What this room does: declares DPDK's functions, types and constants to Rust, as bindgen
//!   found them in the installed headers (22.11 to 24.11), and adds `shim_*` for what headers
//!   keep inline or thread-local.
//! * Who feeds it: the build script, from `libdpdk.pc` and `shim/`.
//! * Whom it feeds: `maelstrom::dpdk`, the only user, which makes it safe.
//! * Which thread runs it: whichever calls; DPDK's own rules apply unchanged.
//! * What it must not do: decide anything. No policy lives here.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs)]
#![allow(clippy::all, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

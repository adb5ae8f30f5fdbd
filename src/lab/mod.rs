//! The laboratory: an emulated WAN, captures in and out, virtual time.

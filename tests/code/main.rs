//! Proves the code right: the real encoder and decoder against a naive model, a slow oracle and
//! the reference figures of the simulated code.
//!
//! A proptest that fails prints its input; every other test runs from the seeds in its source.
//! `BLESS=1 cargo test --test code` rewrites the committed tables.

mod burst;
mod channel;
mod committed;
mod decoder;
mod encoder;
mod guarantee;
mod naive;
mod oracle;
mod refusal;
mod scenario;
mod sparse;
mod switch;
mod table;
mod traffic;

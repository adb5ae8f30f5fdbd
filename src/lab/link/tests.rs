//! One link: what enters it, what leaves it, and when.

mod impairments;
mod pace;
mod properties;
mod size;

use super::pool::CHUNK;
use super::reorder::LONGEST_HOLD_NS;
use super::*;
use crate::lab::loss::LossModel;

const MS: u64 = 1_000_000;

fn config(edit: impl FnOnce(&mut LinkConfig)) -> LinkConfig {
    let mut config = LinkConfig { seed: 42, ..LinkConfig::default() };
    edit(&mut config);
    config
}

/// A frame that says which it is.
fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[len - 8..].copy_from_slice(&number.to_be_bytes());
    frame
}

type Left = (u64, u64, Vec<u8>);

fn drain(link: &mut Link, now: u64) -> Vec<Left> {
    let mut out = Vec::new();
    while let Some(frame) = link.leave(now) {
        out.push((frame.index, frame.exit_ns, frame.bytes.to_vec()));
    }
    out
}

/// `packets` frames of 100 bytes, `gap` apart; what left, in the end, and their fates.
fn run(config: LinkConfig, packets: u64, gap: u64) -> (Vec<Left>, Vec<Fate>, Link) {
    let mut link = Link::new(config);
    let (mut out, mut fates) = (Vec::new(), Vec::new());
    for i in 0..packets {
        fates.push(link.enter(i * gap, &frame(i, 100)));
        out.append(&mut drain(&mut link, i * gap));
    }
    out.append(&mut drain(&mut link, u64::MAX));
    assert_eq!(link.in_flight(), 0);
    assert_eq!(link.next_exit(), None);
    (out, fates, link)
}

fn conserved(link: &Link) -> bool {
    let c = link.counters();
    let dropped = c.lost + c.tail_dropped + c.oversize + c.buffer_full;
    c.entered + c.duplicated == c.delivered + dropped + link.in_flight() as u64
}

/// Within five standard deviations of a binomial.
fn near(hits: u64, packets: u64, probability: f64) {
    let (n, hits) = (packets as f64, hits as f64);
    let deviation = (n * probability * (1.0 - probability)).sqrt();
    assert!((hits - n * probability).abs() < 5.0 * deviation, "{hits} of {n}");
}

#[test]
fn impossible_configurations_are_refused_with_a_reason() {
    type Edit = fn(&mut LinkConfig);
    let edits: [(Edit, &str); 9] = [
        (|c| c.rate_bps = Some(0), "--wan-rate 0bps: expected 1bps to 1000Tbps, e.g. 10Gbps"),
        (
            |c| c.queue = usize::MAX,
            "--queue 18446744073709551615: expected 0 to 16777216, e.g. 1000",
        ),
        (|c| c.mtu = 67, "--wan-mtu 67: expected 68 to 65535, e.g. 1500"),
        (|c| c.duplicate = f64::NAN, "--duplicate NaN: expected 0 to 1, e.g. 0.001"),
        (|c| c.corrupt = -0.1, "--corrupt -0.1: expected 0 to 1, e.g. 0.001"),
        (
            |c| c.reorder = Some((1.0, 3)),
            "--reorder: probability 1: expected 0 or more, below 1, e.g. 0.001",
        ),
        (|c| c.reorder = Some((0.1, 0)), "--reorder: packets 0: expected 1 to 4294967295, e.g. 5"),
        (
            |c| c.delay_ns = u64::MAX,
            "--delay 18446744073709551615ns: expected 0ns to 3600s, e.g. 50ms",
        ),
        (
            |c| c.loss = LossModel::Iid { rate: 1.5 },
            "loss \"iid:1.5\": the loss rate must lie in 0..1, e.g. iid:0.01",
        ),
    ];
    assert!(LinkConfig::default().check().is_ok());
    for (edit, message) in edits {
        assert_eq!(config(edit).check().unwrap_err().to_string(), message);
    }
}

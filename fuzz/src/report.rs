//! Loss reports.

use maelstrom::link::report::Interval;
use maelstrom::wire::Report;
use maelstrom::wire::report::REPORT_LEN;

/// The input is a report, and from its length on another one.
pub fn check(bytes: &[u8]) {
    let Ok(old) = Report::parse(bytes) else { return };
    assert_eq!(&old.emit()[..], &bytes[..REPORT_LEN], "what is parsed is emitted alike");
    let Ok(new) = Report::parse(&bytes[REPORT_LEN..]) else { return };
    let Some(interval) = Interval::new(&old, &new) else { return };
    assert!(interval.counts.sent <= new.before.judged);
    assert!(interval.loss() >= 0.0 && interval.residual() >= 0.0);
    assert!(interval.delay(0.5) <= interval.delay(0.99));
}

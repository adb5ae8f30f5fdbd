//! When frames leave: delay, rate and queue.

use super::*;

#[test]
fn a_perfect_wire_only_delays() {
    let (out, fates, link) = run(config(|c| c.delay_ns = 50 * MS), 1000, 700);
    for (i, (index, exit_ns, bytes)) in out.iter().enumerate() {
        let i = i as u64;
        assert_eq!((*index, *exit_ns), (i, i * 700 + 50 * MS));
        assert_eq!(*bytes, frame(i, 100));
        let fate = Fate { index: i, exit_ns: Some(*exit_ns), dropped: None, held: false };
        assert_eq!(fates[i as usize], fate);
    }
    let c = link.counters();
    assert_eq!((c.entered, c.delivered), (1000, 1000));
    assert_eq!((c.entered_bytes, c.delivered_bytes), (100_000, 100_000));
}

#[test]
fn a_frame_leaves_at_its_time_and_not_before() {
    let mut link = Link::new(config(|c| c.delay_ns = 10));
    link.enter(5, &[1; 60]);
    assert_eq!(link.next_exit(), Some(15));
    assert_eq!(link.leave(14), None);
    assert_eq!(link.leave(15), Some(Frame { index: 0, exit_ns: 15, bytes: &[1; 60] }));
    assert_eq!(link.leave(u64::MAX), None);
}

#[test]
fn exits_are_spaced_by_serialisation_without_drift() {
    // 1,500 + 24 bytes at 10 Gb/s: 1,219.2 ns.
    let mut link = Link::new(config(|c| c.rate_bps = Some(10_000_000_000)));
    for i in 1..=1000u64 {
        assert_eq!(link.enter(0, &[0; 1500]).exit_ns, Some(i * 12_192 / 10));
    }
    // After a rest the wire is free at once.
    assert_eq!(link.enter(5 * MS, &[0; 1500]).exit_ns, Some(5 * MS + 1219));
}

#[test]
fn a_clock_that_jumps_back_does_not_turn_the_order() {
    for rate_bps in [None, Some(10_000_000_000)] {
        let mut link = Link::new(config(|c| c.rate_bps = rate_bps));
        let first = link.enter(1000, &[0; 60]).exit_ns;
        assert!(link.enter(10, &[0; 60]).exit_ns >= first);
    }
}

#[test]
fn the_queue_drops_its_tail() {
    let mut link = Link::new(config(|c| {
        c.rate_bps = Some(8_000_000_000); // a byte a nanosecond
        c.queue = 3;
        c.delay_ns = 1000;
    }));
    let fates: Vec<Fate> = (0..6).map(|_| link.enter(0, &[0; 76])).collect();
    let exits: Vec<Option<u64>> = fates.iter().map(|fate| fate.exit_ns).collect();
    assert_eq!(exits, [Some(1100), Some(1200), Some(1300), Some(1400), None, None]);
    assert_eq!(fates[4].dropped, Some(DropReason::QueueFull));
    // Until the first has gone, there is no room; then for one.
    assert_eq!(link.enter(99, &[0; 76]).dropped, Some(DropReason::QueueFull));
    assert_eq!(link.enter(100, &[0; 76]).exit_ns, Some(1500));
    assert_eq!(link.enter(100, &[0; 76]).dropped, Some(DropReason::QueueFull));
    assert_eq!(link.counters().tail_dropped, 4);
    assert!(conserved(&link));
}

#[test]
fn a_queue_of_none_still_carries_what_finds_the_wire_free() {
    let mut link = Link::new(config(|c| {
        c.rate_bps = Some(8_000_000_000);
        c.queue = 0;
    }));
    let drops = |link: &mut Link, now| link.enter(now, &[0; 76]).dropped.is_some();
    assert!(!drops(&mut link, 0));
    assert!(drops(&mut link, 50));
    assert!(!drops(&mut link, 100));
}

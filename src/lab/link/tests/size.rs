//! What is too large: for the MTU, or for the memory that the link has.

use super::*;

#[test]
fn the_mtu_counts_what_ethernet_carries() {
    let mut link = Link::new(config(|c| c.mtu = 1500));
    let mut vlan = [0; 1519];
    let fits = |link: &mut Link, frame: &[u8]| link.enter(0, frame).dropped.is_none();
    assert!(fits(&mut link, &vlan[..1514]));
    assert!(!fits(&mut link, &vlan[..1515]));
    for tag in [[0x81, 0x00], [0x88, 0xa8]] {
        vlan[12..14].copy_from_slice(&tag);
        assert!(fits(&mut link, &vlan[..1518]));
        assert!(!fits(&mut link, &vlan));
    }
    // Neither an empty frame nor a scrap of one is a reason to stumble.
    assert!(fits(&mut link, &[]));
    assert!(fits(&mut link, &[0; 13]));
    assert_eq!(link.counters().oversize, 3);
    assert_eq!(drain(&mut link, 0).len(), 5);
}

/// What the caller has not in one piece is treated as a frame over the MTU is, to the last draw.
#[test]
fn a_frame_in_pieces_is_oversize() {
    let config = LinkConfig { loss: "iid:0.5".parse().unwrap(), ..LinkConfig::default() };
    let [mut whole, mut pieces] = [Link::new(config.clone()), Link::new(config)];
    for n in 0..200 {
        let long = vec![0; 3000];
        let fates = match n % 3 {
            0 => [whole.enter(n, &long), pieces.refuse(long.len())],
            _ => [whole.enter(n, &long[..60]), pieces.enter(n, &long[..60])],
        };
        assert_eq!(fates[0], fates[1]);
    }
    assert_eq!(whole.counters(), pieces.counters());
    assert_eq!(whole.counters().oversize, 67);
}

#[test]
fn the_largest_frame_fits_a_chunk() {
    let mut link = Link::new(config(|c| c.mtu = u16::MAX));
    let mut jumbo = frame(1, 65_535 + 18);
    jumbo[12..14].copy_from_slice(&[0x81, 0x00]);
    for now in 0..10 {
        assert_eq!(link.enter(now, &jumbo).dropped, None);
        assert_eq!(drain(&mut link, now), [(now, now, jumbo.clone())]);
    }
}

#[test]
fn memory_is_bounded_and_used_again() {
    let mut link = Link::new(config(|c| {
        c.buffer = 2 * CHUNK;
        c.delay_ns = MS;
    }));
    // 1,500 bytes take 1,536: 170 fit in a chunk.
    let kept = (0..400).filter(|_| link.enter(0, &[7; 1500]).dropped.is_none()).count();
    assert_eq!(kept, 340);
    assert_eq!(link.counters().buffer_full, 60);
    assert_eq!(drain(&mut link, MS).len(), 340);
    assert!(conserved(&link));

    // Steady traffic: in flight at most 100 frames, so two chunks are enough for ever.
    for i in 1000..200_000u64 {
        let now = i * MS / 100;
        assert_eq!(link.enter(now, &frame(i, 1500)).dropped, None);
        while let Some(frame) = link.leave(now) {
            assert_eq!(frame.bytes[1499], (i - 100) as u8);
        }
    }
    assert!(link.pool.allocated() <= 2 * CHUNK);
    assert!(link.in_flight() <= 100);
}

#[test]
fn reserved_memory_stays_within_the_buffer() {
    let mut link = Link::new(config(|c| c.buffer = 4 * CHUNK));
    link.reserve(1000, usize::MAX);
    assert_eq!(link.pool.allocated(), 4 * CHUNK);
    let kept = (0..1000).filter(|_| link.enter(0, &[7; 1500]).dropped.is_none()).count();
    assert_eq!(kept, 4 * 170);
}

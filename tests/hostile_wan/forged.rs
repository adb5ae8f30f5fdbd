//! Repair packets that lie under a right check: what they rebuild is refused.

use maelstrom::fec::{Members, Repair};
use maelstrom::wire::shim::source_key;

use crate::common::Random;
use crate::harness::{EPOCH, Far, Near, WEST, frames, repair, source};

/// A stream whose frames are equally long, of which packet `missing` was lost.
struct Stream {
    far: Far,
    frames: Vec<Vec<u8>>,
    missing: u64,
}

impl Stream {
    fn new(seed: u64, missing: u64) -> Stream {
        let mut random = Random(seed);
        let mut frames = vec![vec![0; 100]; 200];
        frames.iter_mut().for_each(|frame| random.fill(frame));
        let mut far = Far::new();
        let sources = (0..).zip(&frames).filter(|(seq, _)| *seq != missing);
        let packets: Vec<_> = sources.map(|(seq, f)| source(WEST, EPOCH, seq, f)).collect();
        assert_eq!(far.feed(&packets).len(), 199);
        Stream { far, frames, missing }
    }

    /// The sums of a group that begins at `base`: lengths, checks, bytes.
    fn sums(&self, base: u64, stride: u16, count: u16) -> (u16, u64, Vec<u8>) {
        let key = source_key(WEST, EPOCH);
        let (mut lengths, mut checks, mut bytes) = (0, 0, vec![0; 100]);
        for seq in (0..u64::from(count)).map(|k| base + k * u64::from(stride)) {
            let frame = &self.frames[seq as usize];
            lengths ^= frame.len() as u16;
            checks ^= key.check(seq, frame);
            bytes.iter_mut().zip(frame).for_each(|(sum, byte)| *sum ^= byte);
        }
        (lengths, checks, bytes)
    }

    /// Feeds a repair that says it is of the group at `base`, with these sums.
    fn claim(&mut self, base: u64, stride: u16, count: u16, sums: &(u16, u64, Vec<u8>)) -> usize {
        let lie = Repair {
            members: &Members::single(base, stride, count).unwrap(),
            layer: 0,
            code_id: 0,
            flushed: false,
            lengths: sums.0,
            checks: sums.1,
            bytes: &sums.2,
        };
        let packet = repair(WEST, EPOCH, &lie);
        self.far.feed(&[packet]).len()
    }
}

/// The trap that a CRC falls into: an odd number of equally long frames, a base shifted by one.
#[test]
fn a_repair_that_names_the_wrong_members_rebuilds_nothing() {
    let mut random = Random(1);
    for seed in 0..50 {
        let mut stream = Stream::new(seed, 100);
        let (stride, count) = (1 + random.below(9) as u16, 3 + random.below(4) as u16);
        let back = u64::from(stride) * random.below(u64::from(count));
        let base = stream.missing - back;
        for shifted in [base - 1, base + 1, base + u64::from(stride)] {
            let sums = stream.sums(shifted, stride, count);
            assert_eq!(stream.claim(base, stride, count, &sums), 0, "seed {seed}");
        }
        assert_eq!(stream.far.count("bad_rebuilt"), 3, "seed {seed}");
        assert_eq!(stream.far.refusals(), [("bad_rebuilt", 3)], "seed {seed}");
        // The truth still gets through.
        let sums = stream.sums(base, stride, count);
        assert_eq!(stream.claim(base, stride, count, &sums), 1, "seed {seed}");
        assert_eq!(stream.far.count("recovered"), 1, "seed {seed}");
    }
}

#[test]
fn a_repair_with_wrong_sums_rebuilds_nothing() {
    let mut stream = Stream::new(3, 100);
    let (lengths, checks, bytes) = stream.sums(90, 5, 3);
    let lies = [
        (lengths ^ 1, checks, bytes.clone()),
        (lengths ^ 0xFFFF, checks, bytes.clone()),
        // A length of nothing.
        (lengths ^ 100, checks, bytes.clone()),
        (lengths, checks ^ 1, bytes.clone()),
        (lengths, checks, bytes[..99].to_vec()),
        (lengths, checks, Vec::new()),
        // Longer than any frame that is protected.
        (lengths, checks, [&bytes[..], &[0; 1450]].concat()),
        (lengths, checks, bytes.iter().map(|byte| !byte).collect()),
    ];
    for (n, lie) in lies.iter().enumerate() {
        assert_eq!(stream.claim(90, 5, 3, lie), 0, "lie {n}");
    }
    assert_eq!(stream.far.refusals(), [("bad_rebuilt", lies.len() as u64)]);
    assert_eq!(stream.claim(90, 5, 3, &(lengths, checks, bytes)), 1);
}

/// Waiting repairs that contradict each other are tried as the missing packets come, and refused.
#[test]
fn contradictions_that_wait_are_refused_when_they_ripen() {
    let mut stream = Stream::new(4, 100);
    // 200 and 210 have not come yet, so these wait.
    stream
        .frames
        .extend(frames(9, 20).into_iter().map(|frame| frame[..60].repeat(2)[..100].to_vec()));
    for shift in 1..20 {
        let sums = stream.sums(100 - shift, 50, 3);
        assert_eq!(stream.claim(100, 50, 3, &sums), 0);
    }
    assert_eq!(stream.far.refusals(), []);
    let last = source(WEST, EPOCH, 200, &stream.frames[200]);
    assert_eq!(stream.far.feed(&[last]), [stream.frames[200].clone()]);
    assert_eq!(stream.far.refusals(), [("bad_rebuilt", 19)]);
    let sums = stream.sums(100, 50, 3);
    assert_eq!(stream.claim(100, 50, 3, &sums), 1);
}

/// Thousands of repairs for packets that never come: memory stays bounded, and good traffic works.
#[test]
fn a_flood_of_waiting_repairs_makes_way() {
    let mut random = Random(5);
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    far.works(&mut near);
    let head = near.count("source_sent");
    let flood: Vec<Vec<u8>> = (0..20_000)
        .map(|_| {
            // No further ahead than half a window.
            let (base, stride) = (head + random.below(200), 1 + random.below(7) as u16);
            let members = Members::single(base, stride, 2 + random.below(30) as u16).unwrap();
            let bytes: &[u8] = &[7; 64];
            let (layer, code_id, flushed) = (9, 77, true);
            let (lengths, checks) = (random.next() as u16, random.next());
            let lie = Repair { members: &members, layer, code_id, flushed, lengths, checks, bytes };
            repair(WEST, EPOCH, &lie)
        })
        .collect();
    assert!(far.feed(&flood).is_empty());
    assert!(far.count("repair_evicted") > 15_000, "{}", far.count("repair_evicted"));
    let lies = far.count("bad_rebuilt");
    far.works(&mut near);
    assert!(far.count("bad_rebuilt") > lies, "none of the lies was tried");
    far.works(&mut near);
}

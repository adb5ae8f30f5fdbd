use super::*;
use proptest::prelude::*;

const WINDOW: u64 = 1024;
const MS: u64 = 1_000_000;

/// A window whose bits are kept for each packet.
#[derive(Default)]
struct Bits {
    here: Vec<bool>,
    head: u64,
    tail: u64,
}

impl Fates for Bits {
    fn head(&self) -> u64 {
        self.head
    }

    fn tail(&self) -> u64 {
        self.tail.max(self.head.saturating_sub(WINDOW))
    }

    fn window(&self) -> u64 {
        WINDOW
    }

    fn fates(&self, word: u64) -> (u64, u64) {
        assert!(64 * word + 63 >= self.tail() && 64 * word < self.head, "{word}");
        let bit = |n: u64| self.here.get((64 * word + n) as usize).is_some_and(|here| *here);
        ((0..64).fold(0, |bits, n| bits | u64::from(bit(n)) << n), 0)
    }

    fn clear_ahead(&mut self) {}
}

/// What is known of one packet that is lost, packet by packet.
#[derive(Clone, Default)]
struct Known {
    lost: bool,
    /// When the head passed it, and when the head was so far ahead that no repair can come any more.
    seen: Option<u64>,
    behind: Option<u64>,
    asked: Vec<u64>,
    filled: bool,
    filled_at: u64,
}

fn patience() -> Patience {
    Patience { lag: 200, wait: 8 * MS, answer: 10 * MS, memory: 1 << 14 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Against a list of all packets: what is missing is asked for when no repair can come any more, and not
    /// long after; again after an answer's time, and not a third time; never once it came. In the end all is
    /// filled or given up.
    #[test]
    fn asks_twice_in_time(
        lost in prop::collection::vec((0usize..300, 1usize..90), 0..20),
        steps in prop::collection::vec((1u64..60, 1u64..400), 20..60),
        late in prop::collection::vec(0usize..6000, 0..60),
        answers in 0usize..4,
        start in 0u64..3000,
    ) {
        let total = 6000 + start as usize;
        let mut packets = vec![Known::default(); total];
        let mut at = start as usize + 1;
        for (gap, count) in lost {
            at += gap;
            for packet in packets.iter_mut().skip(at).take(count) {
                packet.lost = true;
            }
            at += count;
        }
        let here = packets.iter().map(|packet| !packet.lost).collect();
        let mut bits = Bits { here, head: start, tail: start };
        let mut holes = Holes::new(patience(), WINDOW);
        let Patience { lag, wait, answer, .. } = patience();
        let (mut now, mut steps, mut late) = (0, steps.into_iter().cycle(), late.into_iter());
        let mut asked: Vec<(u64, Missing, bool)> = Vec::new();
        let mut pending: VecDeque<(u64, u64)> = VecDeque::new();
        loop {
            if bits.head < total as u64 {
                let (count, micros) = steps.next().unwrap();
                now += micros * 1000;
                bits.head = (bits.head + count).min(total as u64);
            } else {
                match holes.next_deadline() {
                    Some(deadline) => now = deadline.max(now),
                    None => break,
                }
            }
            for (n, packet) in packets.iter_mut().enumerate().take(bits.head as usize) {
                packet.seen.get_or_insert(now);
                if n as u64 + lag <= bits.head {
                    packet.behind.get_or_insert(now);
                }
            }
            // Some are rebuilt, or come late, and some answers come.
            let early = late.next().filter(|n| (*n as u64) < bits.head).map(|n| n as u64);
            let due = pending.front().filter(|(due, _)| *due <= now).is_some();
            let answered = if due { pending.pop_front().map(|(_, seq)| seq) } else { None };
            for seq in [early, answered].into_iter().flatten() {
                let packet = &mut packets[seq as usize];
                if packet.lost && !packet.filled && seq >= start {
                    (packet.filled, packet.filled_at) = (true, now);
                    let was_known = !packet.asked.is_empty();
                    prop_assert_eq!(holes.is_missing(seq), was_known);
                    prop_assert_eq!(holes.filled(seq), was_known);
                    bits.here[seq as usize] = true;
                }
            }
            asked.clear();
            holes.follow(now, &bits, &mut |run, again| asked.push((now, run, again)));
            for &(at, run, again) in &asked {
                for seq in run.first..run.end() {
                    let packet = &mut packets[seq as usize];
                    prop_assert!(packet.lost && !packet.filled, "{} is here", seq);
                    prop_assert_eq!(packet.asked.len(), usize::from(again));
                    packet.asked.push(at);
                    if seq as usize % 4 < answers {
                        pending.push_back((at + answer / 2, seq));
                    }
                }
            }
        }
        // What came after it was given up, or just then.
        let (mut given_up, mut late) = (0, 0);
        for (n, packet) in packets.iter().enumerate().skip(start as usize) {
            let Some(&first) = packet.asked.first() else {
                prop_assert!(!packet.lost || packet.filled, "{} was not asked for", n);
                continue;
            };
            let (seen, behind) = (packet.seen.unwrap(), packet.behind.unwrap_or(u64::MAX));
            prop_assert!(first >= behind.min(seen + wait));
            // A step, a grain, and the time that questions are gathered.
            let slack = 400_000 + wait / GRAIN + GATHER + 1;
            prop_assert!(first <= behind.min(seen + wait) + slack, "{} at {}", n, first);
            if let Some(&second) = packet.asked.get(1) {
                prop_assert!((answer..=answer + 400_000).contains(&(second - first)));
            }
            given_up += u64::from(!packet.filled);
            let second = packet.asked.get(1).map_or(u64::MAX - answer, |at| *at);
            late += u64::from(packet.filled && packet.filled_at >= second + answer);
            prop_assert!(packet.filled || packet.asked.len() == 2);
        }
        prop_assert!((given_up..=given_up + late).contains(&holes.given_up()));
    }
}

#[test]
fn an_outage_is_asked_for_in_one_piece_and_a_new_epoch_ends_all() {
    let here = vec![true; 100_000];
    let mut bits = Bits { here, head: 500, tail: 0 };
    let mut holes = Holes::new(patience(), WINDOW);
    let mut asked = Vec::new();
    let mut follow = |holes: &mut Holes, bits: &Bits, now| {
        asked.clear();
        holes.follow(now, bits, &mut |run, again| asked.push((run.first, run.count, again)));
        asked.clone()
    };
    assert_eq!(follow(&mut holes, &bits, 0), []);
    let mut jumped = Vec::new();
    holes.jump(MS, 4000, &bits, &mut |run, again| jumped.push((run.first, run.count, again)));
    assert_eq!(jumped, [(500, 3500, false)]);
    bits = Bits { here: bits.here, head: 4000, tail: 2976 };
    bits.here[500..4000].fill(false);
    // Those that the decoder does not know any more are missing too, and come but once.
    assert!(holes.is_missing(600) && holes.filled(600) && !holes.filled(600));
    assert_eq!(follow(&mut holes, &bits, 11 * MS), [(500, 100, true), (601, 3399, true)]);
    assert_eq!(follow(&mut holes, &bits, 21 * MS), []);
    assert_eq!(holes.given_up(), 3499);
    // What comes late is let in all the same.
    assert!(holes.filled(601));
    // More than anyone keeps: not asked for.
    holes.jump(22 * MS, 90_000, &bits, &mut |_, _| panic!());
    bits = Bits { here: bits.here, head: 90_100, tail: 90_000 };
    bits.here[90_050] = false;
    assert_eq!(follow(&mut holes, &bits, 23 * MS), []);
    assert_eq!(follow(&mut holes, &bits, 32 * MS), [(90_050, 1, false)]);
    assert!(holes.is_missing(90_050) && !holes.is_missing(600) && !holes.is_missing(90_051));
    holes.restart();
    assert_eq!((holes.given_up(), holes.next_deadline()), (3500, None));
    bits = Bits { here: vec![false; 300], head: 300, tail: 0 };
    assert_eq!(follow(&mut holes, &bits, 40 * MS), []);
    assert_eq!(follow(&mut holes, &bits, 41 * MS), [(0, 100, false)]);
}

#[test]
fn what_is_forgotten_is_given_up() {
    let mut bits = Bits { here: vec![false; 40_000], head: 0, tail: 0 };
    let patience = Patience { memory: 0, ..patience() };
    let mut holes = Holes::new(patience, WINDOW);
    let mut asked = 0;
    while bits.head < 40_000 {
        bits.head += 50;
        holes.follow(bits.head, &bits, &mut |run, _| asked += u64::from(run.count));
    }
    // Two windows are remembered; nothing was asked for twice, as no time has passed.
    assert!((39_600..40_000).contains(&asked), "{asked}");
    assert!((asked - 2048..asked).contains(&holes.given_up()), "{}", holes.given_up());
}

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::dpdk::{mempool, test_eal};

const AGE: u64 = 1_000_000;

/// A queue of frames, both ends of it, which takes so many more.
#[derive(Clone)]
struct Line {
    frames: Arc<Mutex<VecDeque<Vec<u8>>>>,
    takes: Arc<Mutex<usize>>,
    pool: Mempool,
}

impl Receive for Line {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let mut frames = self.frames.lock().unwrap();
        while !burst.is_full()
            && let Some(frame) = frames.pop_front()
        {
            burst.push(self.pool.copy_of(&frame).expect("a leak: the pool is empty"));
        }
    }
}

impl Transmit for Line {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        let mut takes = self.takes.lock().unwrap();
        let taken = burst.len().min(*takes);
        *takes -= taken;
        let frames = burst.drain(..taken).map(|mut mbuf| {
            // Whoever gets it may write to it, as protect does.
            assert!(mbuf.prepend(64).is_some());
            mbuf.data()[64..].to_vec()
        });
        self.frames.lock().unwrap().extend(frames);
    }
}

/// A bridge of three LAN ports, places 0 to 2, and the WAN, place 3.
struct Stage {
    room: Bridge<Line, Line>,
    /// What comes from each place, and what goes there; two rooms protect.
    from: Vec<Line>,
    to: Vec<Line>,
    now: u64,
}

const WAN: usize = 3;

impl Stage {
    fn new(name: &str, link_local: LinkLocal) -> Stage {
        let pool = Mempool::new(test_eal(), name, 2047, mempool::DEFAULT_DATA_ROOM).unwrap();
        let line = || Line {
            frames: Arc::default(),
            takes: Arc::new(Mutex::new(usize::MAX)),
            pool: pool.clone(),
        };
        let from: Vec<Line> = (0..4).map(|_| line()).collect();
        let to: Vec<Line> = (0..5).map(|_| line()).collect();
        let port = |n: usize| LanPort::new(vec![from[n].clone()], to[n].clone());
        let room = Bridge::new(
            (0..3).map(port).collect(),
            vec![from[WAN].clone()],
            vec![to[WAN].clone(), to[4].clone()],
            Table::new(64, AGE, 5),
            link_local,
            pool,
        );
        Stage { room, from, to, now: 0 }
    }

    /// Brings a frame and says where it comes out.
    fn bring(&mut self, place: usize, frame: Vec<u8>) -> Vec<usize> {
        self.from[place].frames.lock().unwrap().push_back(frame.clone());
        self.room.poll(self.now);
        let mut places = Vec::new();
        for (n, to) in self.to.iter().enumerate() {
            for got in to.frames.lock().unwrap().drain(..) {
                assert!(got == frame, "at {n}");
                places.push(n.min(WAN));
            }
        }
        places
    }

    fn count(&self, name: &str) -> u64 {
        self.room.counters.each().find(|(found, _)| *found == name).expect("a counter").1
    }
}

fn frame(to: u8, from: u8, vlan: u16) -> Vec<u8> {
    let address = |n| if n == 0xFF { [0xFF; 6] } else { [2, 0, 0, 0, 0, n] };
    let mut frame = [address(to), address(from)].concat();
    if vlan > 0 {
        frame.extend([0x81, 0x00]);
        frame.extend((vlan | 0xE000).to_be_bytes());
    }
    frame.extend([0x08, 0x00, 0x45]);
    frame.resize(60, from);
    frame
}

#[test]
fn frames_go_where_their_destination_was_heard() {
    let mut stage = Stage::new("bridge-learn", LinkLocal::Drop);
    assert_eq!(stage.bring(0, frame(2, 1, 0)), [1, 2, WAN], "not known");
    assert_eq!(stage.bring(1, frame(1, 2, 0)), [0], "local, and not over the WAN");
    assert_eq!(stage.bring(0, frame(2, 1, 0)), [1]);
    assert_eq!(stage.bring(WAN, frame(2, 9, 0)), [1]);
    assert_eq!(stage.bring(0, frame(9, 1, 0)), [WAN], "only over the WAN");
    assert_eq!(stage.bring(WAN, frame(77, 9, 0)), [0, 1, 2]);
    assert_eq!(stage.bring(2, frame(0xFF, 3, 0)), [0, 1, WAN]);
    assert_eq!(stage.bring(1, frame(2, 8, 0)), [0; 0], "never back");
    assert_eq!(stage.count("filtered"), 1);
    // In a VLAN, nobody was heard yet.
    assert_eq!(stage.bring(0, frame(2, 1, 7)), [1, 2, WAN]);
    // A station moves, and ages.
    assert_eq!(stage.bring(2, frame(1, 2, 0)), [0]);
    assert_eq!((stage.bring(0, frame(2, 1, 0)), stage.count("moved")), (vec![2], 1));
    stage.now = AGE + 1;
    assert_eq!(stage.bring(0, frame(2, 1, 0)), [1, 2, WAN]);
    let copies = stage.count("to_lan") + stage.count("to_wan");
    assert_eq!((copies, stage.count("flooded")), (6 + 3 + 3 + 3 + 3 + 3, 5));
}

#[test]
fn groups_are_never_learnt_and_frames_for_bridges_end_as_configured() {
    let mut stage = Stage::new("bridge-group", LinkLocal::Drop);
    let mut bad = frame(5, 1, 0);
    bad[6] = 3;
    assert_eq!(stage.bring(0, bad.clone()), [1, 2, WAN]);
    let mut back = frame(5, 2, 0);
    back[..6].copy_from_slice(&bad[6..12]);
    assert_eq!(stage.bring(1, back), [0, 2, WAN]);
    let mut pause = frame(1, 2, 0);
    pause[..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, 1]);
    assert_eq!(stage.bring(1, pause.clone()), [0; 0]);
    assert_eq!(stage.count("link_local_dropped"), 1);
    assert_eq!(stage.bring(0, vec![2; 13]), [0; 0]);
    assert_eq!(stage.count("malformed"), 1);
    let mut passing = Stage::new("bridge-pass", LinkLocal::Pass);
    assert_eq!(passing.bring(1, pause), [0, 2, WAN]);
}

#[test]
fn what_is_full_holds_nobody_else_back() {
    let mut stage = Stage::new("bridge-full", LinkLocal::Drop);
    stage.bring(1, frame(0xFF, 2, 0));
    stage.bring(WAN, frame(0xFF, 9, 0));
    for full in [WAN, 4] {
        *stage.to[full].takes.lock().unwrap() = 0;
    }
    let frames = (0..200).map(|n| frame(if n % 2 == 0 { 2 } else { 9 }, 1, 0));
    stage.from[0].frames.lock().unwrap().extend(frames);
    (0..10).for_each(|_| _ = stage.room.poll(0));
    assert_eq!(stage.to[1].frames.lock().unwrap().len(), 100);
    let full = stage.count("wan_full");
    assert!((36..100).contains(&full), "{full}: all but what waits");
    // And what waits is counted when the gateway stops.
    assert!(stage.room.finish(0));
    assert_eq!(stage.count("left_at_stop") + full, 100);
}

proptest! {
    /// Against a model that remembers everything: each frame comes out once at each place where it
    /// should, and nowhere else.
    #[test]
    fn each_frame_goes_once_where_it_should(
        frames in prop::collection::vec((0..4usize, 0..6u8, 0..6u8, 0..2u16, 0..AGE / 4), 1..60),
    ) {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let number = { let mut n = NUMBER.lock().unwrap(); *n += 1; *n };
        let mut stage = Stage::new(&format!("bridge-{number}"), LinkLocal::Drop);
        let mut heard = HashMap::new();
        for (place, to, from, vlan, pause) in frames {
            stage.now += pause;
            let to = if to == 5 { 0xFF } else { to };
            heard.insert((from, vlan), (place, stage.now));
            let known = heard.get(&(to, vlan)).filter(|(_, at)| stage.now - at <= AGE);
            let expected: Vec<usize> = match known {
                Some(&(at, _)) if at == place => vec![],
                Some(&(at, _)) => vec![at],
                None => (0..4).filter(|n| *n != place).collect(),
            };
            prop_assert_eq!(stage.bring(place, frame(to, from, vlan)), expected);
        }
    }
}

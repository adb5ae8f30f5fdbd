//! What a storage process is told, case by case, by a publisher in the same process.

mod stand_in;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use netsync::layout::Geometry;
use netsync::{
    Class, Closed, Event, Flow, FlowEvent, FlowKey, Notice, Outcome, Pending, Reached, Segment,
    Server, State, Subscriber, Target, Wait, WaitError, WaitMode, now_ns, poll_many, wait_any,
};
use stand_in::{Manner, StandIn, bounds, config};
use tempfile::TempDir;

/// Long enough for any machine, and never waited for.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(2);

struct Room {
    dir: TempDir,
    segment: Segment,
    _server: Server,
    subscriber: Subscriber,
}

/// A gateway without a clock: its heartbeat is fresh for an hour.
fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netsync.sock");
    let mut config = config();
    config.heartbeat_timeout = Duration::from_secs(3600);
    let mut segment = Segment::create(&config).unwrap();
    segment.control.publish_code("20:97,101,103+g1", 3, &bounds());
    let server = stand_in::server(&path, segment.file.try_clone().unwrap());
    let subscriber = stand_in::connect(&path).unwrap();
    Room { dir, segment, _server: server, subscriber }
}

fn key(port: u16) -> FlowKey {
    FlowKey::v4([10, 0, 0, 1], port, [10, 9, 0, 2], 5432)
}

fn look(flow: &mut Flow, offset: u64, target: Target) -> Result<Outcome, WaitError> {
    flow.wait(offset, target, SHORT)
}

fn level(level: usize) -> Result<Outcome, WaitError> {
    Ok(Outcome { reached: Reached::Level(level), degraded: false })
}

const ACKED: Result<Outcome, WaitError> = Ok(Outcome { reached: Reached::Acked, degraded: false });

#[test]
fn each_watermark_counts_for_what_it_is() {
    let mut room = room();
    let mut flow = room.subscriber.flow_by(key(1));
    assert_eq!(look(&mut flow, 1, Target::Level(1)), Err(WaitError::NotTracked));
    let slot = room.segment.workers[0].open(&key(1), 5, false, now_ns()).slot;
    let worker = &mut room.segment.workers[0];
    worker.sent(slot, 1000, 10, now_ns());
    worker.class_to(slot, Class::Dense, 900);
    worker.level(slot, 1, 900);
    worker.level(slot, 2, 500);
    // Never back.
    worker.level(slot, 1, 800);
    assert_eq!((flow.sent(), flow.acked()), (Ok(1000), Ok(0)));
    assert_eq!(
        (flow.watermark(1), flow.watermark(2), flow.watermark(3)),
        (Ok(900), Ok(500), Ok(0))
    );
    assert_eq!(flow.watermark(4), Err(WaitError::NoSuchLevel { asked: 4, levels: 3 }));
    assert_eq!(look(&mut flow, 900, Target::Level(1)), level(1));
    assert_eq!(look(&mut flow, 901, Target::Level(1)), Err(WaitError::Timeout));
    assert_eq!(look(&mut flow, 900, Target::Level(2)), Err(WaitError::Timeout));
    assert_eq!(look(&mut flow, 500, Target::Acked), Err(WaitError::Timeout));
    // Ten packets at 10^-3 each, and at 10^-6.
    assert_eq!(look(&mut flow, 500, Target::Probability(0.011)), level(1));
    assert_eq!(look(&mut flow, 500, Target::Probability(1.1e-5)), level(2));
    assert_eq!(look(&mut flow, 500, Target::Probability(1e-6)), Err(WaitError::Timeout));
    room.segment.workers[0].class_to(slot, Class::Sparse, 500);
    assert_eq!(look(&mut flow, 500, Target::Probability(1.1e-5)), Err(WaitError::Timeout));
    // What is acknowledged satisfies all.
    let ack = &mut room.segment.acks[1];
    let place = ack.find(&key(1)).unwrap();
    ack.acknowledge(&place, 5 + 700);
    assert_eq!(flow.acked(), Ok(700));
    for target in [Target::Acked, Target::Level(3), Target::Probability(0.0)] {
        assert_eq!(look(&mut flow, 700, target), ACKED);
    }
    // Of what was not sent, nothing can be acknowledged.
    ack.acknowledge(&place, 5 + 2000);
    assert_eq!(flow.acked(), Ok(1000));
    for p in [-0.1, 1.1, f64::NAN] {
        let error = look(&mut flow, 1, Target::Probability(p)).unwrap_err();
        assert!(matches!(error, WaitError::NotAProbability(_)), "{error}");
    }
}

#[test]
fn every_state_but_degraded_ends_waits() {
    let mut room = room();
    let mut flow = room.subscriber.flow_by(key(1));
    let slot = room.segment.workers[0].open(&key(1), 0, false, now_ns()).slot;
    room.segment.workers[0].level(slot, 1, 100);
    for state in [State::BYPASSED, State::PEER_DOWN, State::STOPPING, State(32)] {
        room.segment.control.set_state(state, now_ns());
        let result = flow.wait(100, Target::Level(1), LONG);
        assert_eq!(result, Err(WaitError::Unprotected(state)));
        assert_eq!(room.subscriber.state(), Ok(state));
    }
    room.segment.control.set_state(State::DEGRADED, now_ns());
    let outcome = flow.wait(100, Target::Level(1), LONG).unwrap();
    assert_eq!(outcome, Outcome { reached: Reached::Level(1), degraded: true });
    room.segment.control.set_state(State::PROTECTED, now_ns());
    drop(room.segment.control);
    let stopped = Err(WaitError::Unprotected(State::STOPPING));
    assert_eq!(flow.wait(100, Target::Level(1), LONG), stopped);
}

#[test]
fn waits_end_with_their_code() {
    let mut room = room();
    let mut flow = room.subscriber.flow_by(key(1));
    room.segment.workers[0].open(&key(1), 0, false, now_ns());
    let mut wait = Wait::new(10, Target::Level(3));
    assert_eq!(flow.poll(&mut wait), None);
    let two_layers = room.segment.control.publish_code("20:97,101+g1", 2, &bounds());
    assert_eq!(flow.poll(&mut wait), Some(Err(WaitError::CodeSwitched)));
    let none = WaitError::NoSuchLevel { asked: 3, levels: 2 };
    assert_eq!(flow.poll(&mut wait), Some(Err(none)));
    let code = room.subscriber.code().unwrap();
    assert_eq!((code.generation, code.text.as_str(), code.levels), (two_layers, "20:97,101+g1", 2));
}

#[test]
fn a_reset_flow_is_waited_for_no_more() {
    let mut room = room();
    let mut flow = room.subscriber.flow_by(key(1));
    let slot = room.segment.workers[0].open(&key(1), 0, false, now_ns()).slot;
    room.segment.workers[0].level(slot, 1, 10);
    room.segment.workers[0].close(slot, Closed::Fin);
    assert_eq!(look(&mut flow, 10, Target::Level(1)), level(1));
    room.segment.workers[0].close(slot, Closed::Rst);
    assert_eq!(flow.wait(10, Target::Level(1), LONG), Err(WaitError::Reset));
}

#[test]
fn a_later_connection_s_watermarks_are_not_the_earlier_one_s() {
    let mut room = room();
    let worker = &mut room.segment.workers[0];
    let first = worker.open(&key(1), 0, false, now_ns()).slot;
    let mut flow = room.subscriber.flow_by(key(1));
    let mut wait = Wait::new(10, Target::Level(1));
    assert_eq!(flow.poll(&mut wait), None);
    let ack = &mut room.segment.acks[0];
    let old = ack.find(&key(1)).unwrap();
    let second = worker.open(&key(1), 0, false, now_ns());
    assert_eq!((second.slot.index(), second.evicted), (first.index(), None));
    worker.level(second.slot, 1, 1000);
    assert_eq!(flow.poll(&mut wait), Some(Err(WaitError::Reused)));
    assert_eq!(flow.poll(&mut wait), Some(Err(WaitError::Reused)));
    let mut flow = room.subscriber.flow_by(key(1));
    assert_eq!(look(&mut flow, 1000, Target::Level(1)), level(1));
    // What is still said of the first is not heard.
    worker.level(first, 2, 1000);
    worker.sent(first, 2000, 1, now_ns());
    ack.acknowledge(&old, 500);
    let place = ack.find(&key(1)).unwrap();
    assert_ne!(place, old);
    worker.sent(second.slot, 1000, 1, now_ns());
    ack.acknowledge(&place, 300);
    ack.acknowledge(&old, 600);
    assert_eq!((flow.watermark(2), flow.sent(), flow.acked()), (Ok(0), Ok(1000), Ok(300)));
}

#[test]
fn a_full_table_lets_the_longest_idle_go_and_says_so() {
    let mut room = room();
    let worker = &mut room.segment.workers[1];
    let mut notices = room.subscriber.notices(1).unwrap().unwrap();
    let slots: Vec<_> =
        (0..16).map(|i| worker.open(&key(i), 0, false, 100 + u64::from(i)).slot).collect();
    assert_eq!(worker.evicted(), 0);
    let mut flows: Vec<_> = (0..16).map(|i| room.subscriber.flow_by(key(i))).collect();
    let mut waits: Vec<_> = (0..16).map(|_| Wait::new(1, Target::Level(1))).collect();
    for (flow, wait) in flows.iter_mut().zip(&mut waits) {
        assert_eq!(flow.poll(wait), None);
    }
    (0..16).filter(|&i| i != 7).for_each(|i| worker.sent(slots[i], 1, 1, 1000 + i as u64));
    let opened = worker.open(&key(100), 0, false, 2000);
    assert_eq!((opened.slot.index(), opened.evicted), (slots[7].index(), Some(key(7))));
    assert_eq!((worker.evicted(), worker.find(&key(7))), (1, None));
    for (i, (flow, wait)) in flows.iter_mut().zip(&mut waits).enumerate() {
        assert_eq!(flow.poll(wait), (i == 7).then_some(Err(WaitError::Evicted)));
    }
    let told = std::iter::from_fn(|| notices.poll()).find(|event| {
        let Event::Notice(Notice::Flow { slot, generation, event }) = event else { return false };
        let evicted = (*slot, *generation) == (slots[7].index(), slots[7].generation());
        evicted && *event == FlowEvent::Evicted
    });
    assert!(told.is_some());
    // One that has ended goes first, and was not evicted.
    worker.close(slots[15], Closed::Fin);
    let opened = worker.open(&key(101), 0, false, 3000);
    assert_eq!((opened.slot.index(), opened.evicted), (slots[15].index(), None));
    assert_eq!(worker.evicted(), 1);
}

#[test]
fn acknowledgement_numbers_wrap_and_are_doubted() {
    use netsync::Acknowledged::*;
    let mut room = room();
    let (worker, ack) = (&mut room.segment.workers[0], &mut room.segment.acks[0]);
    let base = u32::MAX - 1000;
    let slot = worker.open(&key(1), base, false, now_ns()).slot;
    let place = ack.find(&key(1)).unwrap();
    let number = |offset: u64| base.wrapping_add(offset as u32);
    assert_eq!(ack.acknowledge(&place, base.wrapping_sub(1)), Old);
    assert_eq!(ack.acknowledge(&place, base), To(0));
    for step in 1..50 {
        let offset = step * 300_000_000;
        worker.sent(slot, offset, 1, now_ns());
        assert_eq!(ack.acknowledge(&place, number(offset)), To(offset));
        assert_eq!(ack.acknowledge(&place, number(offset)), Old);
        assert_eq!(ack.acknowledge(&place, number(offset - 5000)), Old);
        assert_eq!(ack.acknowledge(&place, number(offset + (1 << 30) + 1)), Implausible);
    }
    // A room that first hears of the flow now knows as much.
    let late = &mut room.segment.acks[1];
    assert_eq!(late.acknowledge(&place, number(49 * 300_000_000)), To(49 * 300_000_000));
    worker.open(&key(1), 0, false, now_ns());
    assert_eq!(room.segment.acks[1].acknowledge(&place, 1), Old);
}

#[test]
fn many_are_waited_for_at_once() {
    let mut room = room();
    let worker = &mut room.segment.workers[0];
    let slots: Vec<_> = (0..10).map(|i| worker.open(&key(i), 0, false, now_ns()).slot).collect();
    let mut flows: Vec<_> = (0..10).map(|i| room.subscriber.flow_by(key(i))).collect();
    let wait = |flow| Pending::new(flow, Wait::new(5, Target::Level(1)));
    let mut pending: Vec<_> = flows.iter_mut().map(wait).collect();
    assert_eq!(poll_many(&mut pending), 0);
    assert_eq!(wait_any(&mut pending, SHORT, WaitMode::Block), 0);
    worker.level(slots[3], 1, 5);
    worker.close(slots[8], Closed::Rst);
    assert_eq!(wait_any(&mut pending, LONG, WaitMode::Block), 2);
    assert_eq!(pending[3].result, Some(level(1)));
    assert_eq!(pending[8].result, Some(Err(WaitError::Reset)));
    assert!((0..10).filter(|i| ![3, 8].contains(i)).all(|i| pending[i].result.is_none()));
    assert_eq!(wait_any(&mut [], LONG, WaitMode::Spin), 0);
}

#[test]
fn notices_reach_readers_of_any_pace() {
    let mut room = room();
    let mut fast = room.subscriber.notices(0).unwrap().unwrap();
    let mut slow = room.subscriber.notices(0).unwrap().unwrap();
    assert!(room.subscriber.notices(2).unwrap().is_none());
    for generation in 0..1000 {
        room.segment.workers[0].notice(&Notice::Code { generation });
        assert_eq!(fast.poll(), Some(Event::Notice(Notice::Code { generation })));
    }
    assert_eq!(fast.poll(), None);
    // A ring of 64: three quarters of it are left.
    assert_eq!(slow.poll(), Some(Event::Missed(952)));
    for generation in 952..1000 {
        assert_eq!(slow.poll(), Some(Event::Notice(Notice::Code { generation })));
    }
    assert_eq!(slow.poll(), None);
}

#[test]
fn a_segment_beyond_its_limits_is_not_made() {
    let good = config().geometry;
    for geometry in [
        Geometry { workers: 0, ..good },
        Geometry { workers: 65, ..good },
        Geometry { ack_writers: 0, ..good },
        Geometry { ring: 100, ..good },
        Geometry { ring: 2, ..good },
        Geometry { flows: 0, ..good },
        Geometry { flows: 1 << 21, ..good },
    ] {
        let error = Segment::create(&netsync::SegmentConfig { geometry, ..config() });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
}

/// A real connection, whose kernel counts its bytes.
fn connect(stand_in: &StandIn) -> TcpStream {
    TcpStream::connect(stand_in.mirror).unwrap()
}

#[test]
fn a_socket_s_flow_is_found_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let stand_in = StandIn::start(&path, Manner::Anchored);
    let subscriber = stand_in::connect(&path).unwrap();
    let mut stream = connect(&stand_in);
    let mut flow = subscriber.flow(&stream).unwrap();
    for mode in [WaitMode::Spin, WaitMode::Block] {
        flow.set_mode(mode);
        let offset = flow.sent().unwrap_or(0) + 5000;
        stream.write_all(&[0; 5000]).unwrap();
        // The stand-in may not have seen the connection yet: then the kernel's word will do.
        flow.wait(offset, Target::Acked, LONG).unwrap();
    }
    while flow.sent().is_err() {
        std::thread::yield_now();
    }
    stream.write_all(&[0; 100]).unwrap();
    let outcome = flow.wait(10_100, Target::Probability(1e-6), LONG).unwrap();
    assert!(!outcome.degraded);
    assert!(matches!(outcome.reached, Reached::Level(3) | Reached::Acked | Reached::KernelAcked));
}

#[test]
fn a_flow_picked_up_in_mid_stream_is_anchored_by_its_reader() {
    let mut room = room();
    let mirror = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(mirror.local_addr().unwrap()).unwrap();
    let mut far = mirror.accept().unwrap().0;
    let key = FlowKey::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let mut flow = room.subscriber.flow(&stream).unwrap();
    let mut transfer = |bytes| {
        stream.write_all(&vec![0; bytes]).unwrap();
        far.read_exact(&mut vec![0; bytes]).unwrap();
    };
    // 5000 bytes pass before the gateway sees any: only its reader can tell.
    transfer(5000);
    let slot = room.segment.workers[0].open(&key, 77, true, now_ns()).slot;
    let place = room.segment.acks[0].find(&key).unwrap();
    assert_eq!(flow.is_anchored(), Ok(false));
    let mut written = 5000;
    while !flow.is_anchored().unwrap() {
        written += 777;
        let theirs = written - 5000;
        room.segment.workers[0].sent(slot, theirs, 1, now_ns());
        // As a gateway does: the acknowledgement is known here no later than to the kernel.
        room.segment.acks[0].acknowledge(&place, 77 + theirs as u32);
        transfer(777);
        let outcome = flow.wait(written, Target::Level(1), LONG).unwrap();
        assert!(matches!(outcome.reached, Reached::KernelAcked | Reached::Acked));
    }
    // The first estimate may be on the safe side; an idle look makes it exact.
    while flow.acked().unwrap() < written {
        std::thread::yield_now();
    }
    assert_eq!(flow.acked(), Ok(written));
    room.segment.workers[0].sent(slot, written - 5000 + 100, 1, now_ns());
    room.segment.workers[0].level(slot, 1, written - 5000 + 50);
    assert_eq!(flow.watermark(1), Ok(written + 50));
    assert_eq!(look(&mut flow, written + 50, Target::Level(1)), level(1));
    assert_eq!(look(&mut flow, written + 51, Target::Level(1)), Err(WaitError::Timeout));
    // By its ends alone it can't be anchored.
    let mut other = room.subscriber.flow_by(key);
    assert_eq!(look(&mut other, 1, Target::Level(1)), Err(WaitError::Unanchored));
}

#[test]
fn a_connection_survives_its_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    // The mirror lives with neither gateway.
    let mirror = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(mirror.local_addr().unwrap()).unwrap();
    let mut far = mirror.accept().unwrap().0;
    let mut transfer = |bytes: usize| {
        stream.write_all(&vec![0; bytes]).unwrap();
        far.read_exact(&mut vec![0; bytes]).unwrap();
        stream.try_clone().unwrap()
    };
    let copy = transfer(1000);
    let key = FlowKey::new(copy.local_addr().unwrap(), copy.peer_addr().unwrap());

    let mut first = Segment::create(&config()).unwrap();
    first.control.publish_code("20:97+g1", 1, &bounds());
    let first_server = stand_in::server(&path, first.file.try_clone().unwrap());
    let slot = first.workers[0].open(&key, 7_000_000, false, now_ns()).slot;
    first.workers[0].sent(slot, 1000, 1, now_ns());
    first.workers[0].level(slot, 1, 900);
    first.control.heartbeat(now_ns());
    let subscriber = stand_in::connect(&path).unwrap();
    let mut flow = subscriber.flow(&copy).unwrap();
    assert_eq!(flow.watermark(1), Ok(900));
    let epoch = subscriber.epoch().unwrap();
    drop((first_server, first));

    // The second picks the connection up at its byte 1000, and says so by a number of its own.
    let mut second = Segment::create(&config()).unwrap();
    second.control.publish_code("20:97+g1", 1, &bounds());
    let _server = stand_in::server(&path, second.file.try_clone().unwrap());
    let worker = &mut second.workers[1];
    let slot = worker.open(&key, 7_001_000, true, now_ns()).slot;
    transfer(500);
    worker.sent(slot, 500, 1, now_ns());
    worker.level(slot, 1, 400);
    let far_in_time = Target::Level(1);
    let mut answer = flow.wait(5000, far_in_time, LONG);
    while answer == Err(WaitError::Dead) {
        second.control.heartbeat(now_ns());
        answer = flow.wait(5000, far_in_time, SHORT);
    }
    // The wait may have begun with the first, or met the second at once.
    assert!(
        matches!(answer, Err(WaitError::Timeout | WaitError::Unprotected(State::STOPPING))),
        "{answer:?}"
    );
    while subscriber.epoch() == Ok(epoch) || subscriber.epoch().is_err() {
        second.control.heartbeat(now_ns());
    }
    // Nothing counts before all that the second has not protected is acknowledged.
    second.control.heartbeat(now_ns());
    assert_eq!(flow.watermark(1), Err(WaitError::Unanchored));
    let place = second.acks[0].find(&key).unwrap();
    second.acks[0].acknowledge(&place, 7_001_000);
    second.control.heartbeat(now_ns());
    assert_eq!(flow.watermark(1), Ok(1400));
    assert_eq!(flow.acked(), Ok(1000));
}

#[test]
fn the_socket_goes_with_its_server() {
    let room = room();
    let path = room.dir.path().join("netsync.sock");
    assert!(path.exists());
    drop(room._server);
    assert!(!path.exists());
}

//! What loom explores: every order that two threads' loads and stores may be seen in.
//!
//! Each model holds as it is, and fails with a barrier taken out that it depends on: a barrier whose
//! removal no model notices would be one that nothing shows the need for.

use std::sync::Arc;

use loom::thread;

use crate::entry::{Entry, entry};
use crate::layout::Geometry;
use crate::memory::Memory;
use crate::ring::{Read, RingReader, RingWriter};
use crate::sync::{Barrier, without};
use crate::{Class, FlowKey};

/// Runs a model, with a barrier taken out or with all of them.
fn check(barrier: Option<Barrier>, preemptions: usize, model: fn()) {
    without(barrier);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

const GEOMETRY: Geometry = Geometry { workers: 1, ack_writers: 1, ring: 4, flows: 1 };

/// A reader that keeps up sees each notice whole.
fn news() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 0);
    let mut reader = RingReader::new(memory, &GEOMETRY, 0);
    let writer = thread::spawn(move || writer.publish([7, !7]));
    let read = reader.read();
    assert!(read == Read::Empty || read == Read::Words([7, !7]), "{read:?}");
    writer.join().unwrap();
}

/// A reader that is being lapped: each of five notices is read or missed, none is torn.
fn lap() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 0);
    let mut reader = RingReader::new(memory, &GEOMETRY, 0);
    (0..3).for_each(|number| writer.publish([number, !number]));
    let writer = thread::spawn(move || (3..5).for_each(|number| writer.publish([number, !number])));
    let mut expected = 0;
    for _ in 0..2 {
        match reader.read() {
            Read::Empty => {}
            Read::Words([a, b]) => {
                assert_eq!((a, b), (expected, !expected));
                expected += 1;
            }
            Read::Missed(missed) => expected += missed,
        }
    }
    writer.join().unwrap();
    // What is left is told too, and adds up.
    loop {
        match reader.read() {
            Read::Empty => break,
            Read::Words([a, b]) => {
                assert_eq!((a, b), (expected, !expected));
                expected += 1;
            }
            Read::Missed(missed) => expected += missed,
        }
    }
    assert_eq!(expected, 5);
}

fn flow(memory: &Memory) -> Entry<'_> {
    entry(memory, &GEOMETRY, 0, 0)
}

fn key(port: u16) -> FlowKey {
    FlowKey::v4([10, 0, 0, 1], port, [10, 0, 0, 2], 5432)
}

/// A flow's entry becomes another flow's, which comes further: no watermark of the second is ever
/// taken for one of the first, and the other way round.
fn reuse() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let first = flow(&memory).open(&key(1), 0, false, 0);
    flow(&memory).send(10, 1);
    flow(&memory).raise(1, 10);
    let shared = Arc::clone(&memory);
    let writer = thread::spawn(move || {
        let entry = flow(&shared);
        entry.open(&key(2), 0, false, 0);
        entry.send(1000, 2);
        entry.raise(1, 1000);
    });
    let generation = flow(&memory).generation().observe();
    if generation.is_multiple_of(2)
        && let Some(sample) = flow(&memory).sample(generation)
    {
        let level = sample.levels[0];
        let first = generation == first;
        let levels: &[u64] = if first { &[10] } else { &[0, 1000] };
        assert!(levels.contains(&level), "{level} of generation {generation}");
        let in_flight: &[u64] = if first { &[1] } else { &[0, 2] };
        assert!(in_flight.contains(&sample.in_flight), "of generation {generation}");
    }
    writer.join().unwrap();
}

/// Meanwhile a third party asks whose the entry is.
fn identity() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let first = flow(&memory).open(&key(1), 7, false, 0);
    let shared = Arc::clone(&memory);
    let writer = thread::spawn(move || flow(&shared).open(&key(2), 8, false, 0));
    if let Some(identity) = flow(&memory).identity() {
        let expected = if identity.generation == first { (key(1), 7) } else { (key(2), 8) };
        assert_eq!((identity.key, identity.base_seq), expected);
    }
    writer.join().unwrap();
}

/// A reader that sees a watermark sees what it is worth, and how much is in flight.
fn worth() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let generation = flow(&memory).open(&key(1), 0, false, 0);
    let shared = Arc::clone(&memory);
    let writer = thread::spawn(move || {
        let entry = flow(&shared);
        entry.send(10, 3);
        entry.cover(Class::Dense as usize, 10);
        entry.raise(1, 10);
    });
    let sample = flow(&memory).sample(generation).unwrap();
    if sample.levels[0] == 10 {
        assert_eq!((sample.in_flight, sample.class_to[0], sample.sent), (3, 10, 10));
    }
    writer.join().unwrap();
}

/// While protect hands the entry to another flow, recover still acknowledges the first, then the
/// second: neither's acknowledgements are taken for the other's.
fn acknowledgements() {
    let memory = Arc::new(Memory::new(GEOMETRY.lines()));
    let first = flow(&memory).open(&key(1), 0, false, 0);
    flow(&memory).acknowledge(0, first, 70);
    let shared = Arc::clone(&memory);
    // Which entry is whose, recover has found out before; that part is `reuse`.
    let second = first + 2;
    let recover = thread::spawn(move || {
        let entry = flow(&shared);
        entry.acknowledge(0, second, 5);
        // Too late: of a flow that it had found before.
        entry.acknowledge(0, first, 90);
        entry.acknowledge(0, second, 6);
    });
    for (generation, mine) in [(first, [70, 70]), (second, [5, 6])] {
        let acked = flow(&memory).acked(generation);
        assert!(acked.is_none_or(|acked| mine.contains(&acked)), "{acked:?} of {generation}");
    }
    recover.join().unwrap();
    assert_eq!(flow(&memory).acked(second), Some(6));
    assert_eq!(flow(&memory).acked(first), None);
}

macro_rules! models {
    ($($model:ident($preemptions:literal) needs $($test:ident: $barrier:ident),+;)+) => {
        $(mod $model {
            use super::*;

            #[test]
            fn holds() {
                check(None, $preemptions, super::$model);
            }

            $(#[test]
            #[should_panic]
            fn $test() {
                check(Some(Barrier::$barrier), $preemptions, super::$model);
            })+
        })+
    };
}

models! {
    news(3) needs without_publish: Publish, without_observe: Observe;
    lap(3) needs without_open: Open, without_check: Check;
    reuse(3) needs without_open: Open, without_publish: Publish, without_observe: Observe,
        without_check: Check;
    identity(2) needs without_open: Open, without_publish: Publish, without_observe: Observe,
        without_check: Check;
    worth(3) needs without_publish: Publish, without_observe: Observe;
    acknowledgements(3) needs without_open: Open, without_publish: Publish, without_observe: Observe,
        without_check: Check;
}

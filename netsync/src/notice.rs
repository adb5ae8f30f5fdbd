//! What a notice says, and the seven words that say it.
//!
//! ```text
//!  word  63           32 31        24 23      16 15            8 7        0
//!       +---------------+------------+----------+---------------+----------+
//!  0    |   more runs   |  flushed   | code id  | layer / event |   kind   |
//!       +---------------+------------+----------+---------------+----------+
//!              repair = 1      state = 2       code = 3       flow = 4
//!  1           base            old             generation     slot
//!  2           stride, count   new             0              generation
//!  3           made            time            0              0
//!  4           left            0               0              0
//!  5, 6        0               0               0              0
//! ```

use crate::State;

pub(crate) const WORDS: usize = 7;

const REPAIR: u64 = 1;
const STATE: u64 = 2;
const CODE: u64 = 3;
const FLOW: u64 = 4;

/// Something that has happened, as a worker's ring tells it. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A repair packet has left.
    Repair {
        /// Which code of its channel it belongs to.
        code_id: u8,
        /// Number of its layer in the code, from 0.
        layer: u8,
        /// It left before its time, of fewer members than its layer's groups have.
        flushed: bool,
        /// Sequence number of its first member; the others follow at `stride`, `count` in all.
        base: u64,
        /// Distance of its members.
        stride: u32,
        /// How many members its first run has.
        count: u32,
        /// How many further runs were merged into it, which are not told here.
        runs: u32,
        /// When its last member was sent.
        made_ns: u64,
        /// When it had left.
        left_ns: u64,
    },
    /// The gateway's state has changed.
    State {
        /// What it was.
        old: State,
        /// What it is.
        new: State,
        /// When.
        at_ns: u64,
    },
    /// Another code is in force, see [`crate::Subscriber::code`].
    Code {
        /// Its generation.
        generation: u64,
    },
    /// An entry of this worker's table has changed.
    Flow {
        /// Which entry.
        slot: u32,
        /// Of which generation.
        generation: u64,
        /// What has happened to it.
        event: FlowEvent,
    },
}

/// What may happen to a tracked flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowEvent {
    /// Its SYN was seen.
    Opened = 1,
    /// Its FIN was seen.
    Closed = 2,
    /// An RST was seen.
    Reset = 3,
    /// It had to leave for another flow.
    Evicted = 4,
    /// It was picked up in mid-stream: its offsets count from an arbitrary byte.
    Unanchored = 5,
}

impl Notice {
    /// As it is written into a ring.
    #[inline]
    pub(crate) fn to_words(self) -> [u64; WORDS] {
        match self {
            Notice::Repair {
                code_id,
                layer,
                flushed,
                base,
                stride,
                count,
                runs,
                made_ns,
                left_ns,
            } => {
                let head = u64::from(runs) << 32
                    | u64::from(flushed) << 24
                    | u64::from(code_id) << 16
                    | u64::from(layer) << 8;
                let extent = u64::from(stride) << 32 | u64::from(count);
                [head | REPAIR, base, extent, made_ns, left_ns, 0, 0]
            }
            Notice::State { old, new, at_ns } => [STATE, old.0, new.0, at_ns, 0, 0, 0],
            Notice::Code { generation } => [CODE, generation, 0, 0, 0, 0, 0],
            Notice::Flow { slot, generation, event } => {
                [(event as u64) << 8 | FLOW, u64::from(slot), generation, 0, 0, 0, 0]
            }
        }
    }

    /// None when it is of no kind that this version knows.
    pub(crate) fn from_words(words: [u64; WORDS]) -> Option<Notice> {
        let [head, a, b, c, d, ..] = words;
        Some(match head & 0xFF {
            REPAIR => Notice::Repair {
                code_id: (head >> 16) as u8,
                layer: (head >> 8) as u8,
                flushed: head >> 24 & 1 == 1,
                base: a,
                stride: (b >> 32) as u32,
                count: b as u32,
                runs: (head >> 32) as u32,
                made_ns: c,
                left_ns: d,
            },
            STATE => Notice::State { old: State(a), new: State(b), at_ns: c },
            CODE => Notice::Code { generation: a },
            FLOW => Notice::Flow {
                slot: a as u32,
                generation: b,
                event: FlowEvent::from_byte((head >> 8) as u8)?,
            },
            _ => return None,
        })
    }
}

impl FlowEvent {
    fn from_byte(byte: u8) -> Option<FlowEvent> {
        use FlowEvent::*;
        [Opened, Closed, Reset, Evicted, Unanchored].into_iter().find(|event| *event as u8 == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn notices() -> impl Strategy<Value = Notice> {
        let event = (1..=5u8).prop_map(|byte| FlowEvent::from_byte(byte).unwrap());
        let small = any::<(u8, u8, bool, u32, u32, u32)>();
        prop_oneof![
            (small, any::<(u64, u64, u64)>()).prop_map(|(small, (base, made_ns, left_ns))| {
                let (code_id, layer, flushed, stride, count, runs) = small;
                Notice::Repair {
                    code_id,
                    layer,
                    flushed,
                    base,
                    stride,
                    count,
                    runs,
                    made_ns,
                    left_ns,
                }
            }),
            any::<(u64, u64, u64)>().prop_map(|(old, new, at_ns)| Notice::State {
                old: State(old),
                new: State(new),
                at_ns
            }),
            any::<u64>().prop_map(|generation| Notice::Code { generation }),
            (any::<u32>(), any::<u64>(), event)
                .prop_map(|(slot, generation, event)| { Notice::Flow { slot, generation, event } }),
        ]
    }

    proptest! {
        #[test]
        fn a_notice_comes_back_as_it_was(notice in notices()) {
            prop_assert_eq!(Notice::from_words(notice.to_words()), Some(notice));
        }

        #[test]
        fn no_words_are_fatal(words: [u64; WORDS]) {
            let _ = Notice::from_words(words);
        }
    }
}

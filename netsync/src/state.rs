//! In which state a gateway protects.

use std::fmt;
use std::ops::BitOr;

/// Flags; none of them set means that all is as it should be. Flags of a later version are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(pub u64);

impl State {
    /// Every source packet gets its repairs.
    pub const PROTECTED: State = State(0);
    /// Repairs are shed for want of room. Watermarks go on: they count only repairs that have left.
    pub const DEGRADED: State = State(1);
    /// Frames pass without being coded.
    pub const BYPASSED: State = State(2);
    /// The gateway at the other end does not answer: nobody there would use a repair.
    pub const PEER_DOWN: State = State(4);
    /// The gateway is about to end.
    pub const STOPPING: State = State(8);

    const NAMES: [(State, &str); 4] = [
        (State::DEGRADED, "degraded"),
        (State::BYPASSED, "bypassed"),
        (State::PEER_DOWN, "peer down"),
        (State::STOPPING, "stopping"),
    ];

    /// Whether all flags of `other` are set.
    pub fn has(self, other: State) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether levels may be relied upon: nothing is set, or `degraded` alone.
    pub fn protects(self) -> bool {
        self.0 & !State::DEGRADED.0 == 0
    }
}

impl BitOr for State {
    type Output = State;

    fn bitor(self, other: State) -> State {
        State(self.0 | other.0)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut first = true;
        let mut item = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{text}")
        };
        for (flag, name) in State::NAMES {
            if self.has(flag) {
                item(f, format_args!("{name}"))?;
                rest &= !flag.0;
            }
        }
        match (self.0, rest) {
            (0, _) => f.write_str("protected"),
            (_, 0) => Ok(()),
            (_, rest) => item(f, format_args!("unknown {rest:#x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named() {
        assert_eq!(State::PROTECTED.to_string(), "protected");
        assert_eq!((State::DEGRADED | State::STOPPING).to_string(), "degraded, stopping");
        assert_eq!(State(0x12).to_string(), "bypassed, unknown 0x10");
    }

    #[test]
    fn only_degraded_still_protects() {
        assert!(State::PROTECTED.protects() && State::DEGRADED.protects());
        for other in [State::BYPASSED, State::PEER_DOWN, State::STOPPING, State(16)] {
            assert!(!other.protects() && !(other | State::DEGRADED).protects());
        }
    }
}

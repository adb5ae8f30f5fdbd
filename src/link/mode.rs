//! What protection does with frames from the LAN: what the operator wants, and what follows from a peer
//! that is down.

/// What becomes of frames from the LAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are protected.
    #[default]
    Protect = 0,
    /// They cross as they are.
    Bypass = 1,
    /// They are dropped, and counted.
    Drop = 2,
    /// None are taken in; what was taken in leaves, with its repairs.
    Drain = 3,
}

/// What happens to frames from the LAN while the peer is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerDown {
    /// They are protected as ever.
    #[default]
    Protect,
    /// They cross as they are.
    Bypass,
    /// They are dropped.
    Drop,
}

/// What the operator has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Nothing is protected.
    pub bypass: bool,
    /// Nothing is taken in.
    pub drain: bool,
}

impl Mode {
    /// What follows from all of it.
    pub fn of(wishes: Wishes, peer_up: bool, policy: PeerDown) -> Mode {
        match wishes {
            Wishes { drain: true, .. } => Mode::Drain,
            Wishes { bypass: true, .. } => Mode::Bypass,
            _ if peer_up => Mode::Protect,
            _ => match policy {
                PeerDown::Protect => Mode::Protect,
                PeerDown::Bypass => Mode::Bypass,
                PeerDown::Drop => Mode::Drop,
            },
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Protect => "protect",
            Mode::Bypass => "bypass",
            Mode::Drop => "drop",
            Mode::Drain => "drain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_goes_before_the_policy() {
        let [none, bypass, drain] = [(false, false), (true, false), (true, true)]
            .map(|(bypass, drain)| Wishes { bypass, drain });
        for (wishes, up, policy, expected) in [
            (none, true, PeerDown::Drop, Mode::Protect),
            (none, false, PeerDown::Drop, Mode::Drop),
            (none, false, PeerDown::Bypass, Mode::Bypass),
            (none, false, PeerDown::Protect, Mode::Protect),
            (bypass, false, PeerDown::Drop, Mode::Bypass),
            (drain, true, PeerDown::Protect, Mode::Drain),
        ] {
            assert_eq!(Mode::of(wishes, up, policy), expected);
        }
    }
}

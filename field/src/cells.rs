//! The named cells of the throughput table: what is measured, not how.

use std::time::Duration;

use crate::pair::{Loss, Wan};
use crate::setup::Setup;

/// What helps TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Nothing: the WAN alone.
    Plain,
    /// Gateways with the code of the NSDI paper's measurements.
    Published,
    /// Gateways with what `maelstrom plan` recommends for this very link.
    Planned,
    /// kcptun across the WAN alone.
    Kcptun,
}

/// The published code, as docs/LAB.md has it.
pub const PUBLISHED: &str = "8:1,20,40";

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The hosts' congestion control.
    pub control: &'static str,
    /// One way, in ms.
    pub delay_ms: u64,
    /// What the WAN loses.
    pub loss: Loss,
    /// How many connections at once.
    pub flows: u32,
    /// What helps them.
    pub help: Help,
}

impl Help {
    /// As it stands in names.
    pub fn name(self) -> &'static str {
        match self {
            Help::Plain => "plain",
            Help::Published => "published",
            Help::Planned => "planned",
            Help::Kcptun => "kcptun",
        }
    }
}

impl Cell {
    /// Such as `cubic-50ms-iid-0.1-1flow-planned`: the loss is in percent.
    pub fn name(&self) -> String {
        let Cell { control, delay_ms, flows, .. } = self;
        format!("{control}-{delay_ms}ms-{}-{flows}flow-{}", self.loss.name(), self.help.name())
    }

    /// The WAN, and what it is supposed to lose when a code is planned for it.
    pub fn wans(&self, setup: &Setup, seed: u64) -> [Wan; 2] {
        let &Setup { rate_mbps, host_mtu, .. } = setup;
        let delay = Duration::from_millis(self.delay_ms);
        let wan = Wan { rate_mbps, delay, loss: self.loss, seed, host_mtu };
        [wan, wan.supposed()]
    }
}

/// Losses as the table has them: a share, alone or in bursts of 10.
fn losses(rate: f64) -> [Loss; 2] {
    [Loss::Iid(rate), Loss::Bursts(rate, 10.0)]
}

/// All cells, in the order in which they are measured.
pub fn all() -> Vec<Cell> {
    use Help::{Kcptun, Plain, Planned, Published};
    const NONE: Loss = Loss::Iid(0.0);
    let all_help = [Plain, Planned, Published, Kcptun];
    let mut cells = Vec::new();
    let mut add = |control, delays: &[u64], losses: &[Loss], flows, helps: &[Help]| {
        for &delay_ms in delays {
            for &loss in losses {
                cells.extend(helps.iter().map(|&help| Cell {
                    control,
                    delay_ms,
                    loss,
                    flows,
                    help,
                }));
            }
        }
    };
    let [few, some, many] = [0.0001, 0.001, 0.01].map(losses);
    // The headline: a long link, with all that may help.
    add("cubic", &[50], &[NONE], 1, &all_help);
    add("cubic", &[50], &some, 1, &all_help);
    add("cubic", &[50], &many, 1, &all_help);
    add("cubic", &[50], &few, 1, &[Plain, Planned]);
    // Against the delay.
    add("cubic", &[1, 10, 25, 100], &[NONE], 1, &[Plain]);
    add("cubic", &[1, 10, 25, 100], &some[..1], 1, &[Plain, Planned]);
    add("cubic", &[10, 100], &some[1..], 1, &[Plain, Planned]);
    add("cubic", &[10, 100], &many, 1, &[Plain, Planned]);
    add("cubic", &[10, 100], &some[..1], 1, &[Published, Kcptun]);
    // Several flows, and other congestion controls.
    add("cubic", &[50], &[NONE], 16, &[Plain]);
    add("cubic", &[50], &[some[0], many[1]], 16, &[Plain, Planned]);
    add("reno", &[50], &[NONE], 1, &[Plain]);
    add("reno", &[50], &some[..1], 1, &[Plain, Planned]);
    add("bbr", &[50], &[NONE], 1, &[Plain]);
    add("bbr", &[50], &[some[0], many[0]], 1, &[Plain, Planned]);
    cells
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::all;

    #[test]
    fn names_are_of_one_cell_each() {
        let names: Vec<String> = all().iter().map(|cell| cell.name()).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!((55..=70).contains(&names.len()), "{}", names.len());
        for name in ["cubic-50ms-iid-0.1-1flow-planned", "cubic-50ms-burst-0.01-1flow-plain"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
    }
}

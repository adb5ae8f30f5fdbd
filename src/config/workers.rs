//! `[[worker]]`: which core polls which rooms.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Most workers that may protect, and most channels of the peer: as many queues as DPDK joins in
/// memory.
pub const MAX_CHANNELS: u8 = 16;

/// `[[worker]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSection {
    /// The CPU that it is pinned to; none leaves it to the system.
    pub core: Option<usize>,
    /// What it polls.
    pub rooms: Vec<RoomName>,
}

/// A room, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomName {
    /// LAN → WAN.
    Protect,
    /// WAN → LAN.
    Recover,
    /// Receives from the LAN port for all that protect, and sends for all that recover if the port
    /// has no queue for each.
    Lan,
    /// The same at the WAN port, the other way.
    Wan,
}

/// Who does what. Workers are numbered from 0, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The worker that protects on our channel of each number.
    pub protect: Vec<usize>,
    /// The worker that recovers the peer's channel of each number.
    pub recover: Vec<usize>,
    /// Who serves the LAN port for others, if anyone must.
    pub lan: Server,
    /// Who serves the WAN port for others, if anyone must.
    pub wan: Server,
}

/// The worker that serves a port for others, if anyone must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its number.
    pub worker: usize,
    /// Whether it is named in the file, so that it receives whether or not it must.
    pub named: bool,
}

impl Split {
    /// What the sections say, or what is wrong with them. The peer sends on `peer_channels`, or, by
    /// default, on as many as we do.
    pub fn new(workers: &[WorkerSection], peer_channels: Option<u8>) -> Result<Split, String> {
        let with = |room| {
            let all = workers.iter().enumerate();
            all.filter(move |(_, worker)| worker.rooms.contains(&room)).map(|(n, _)| n)
        };
        for (n, worker) in workers.iter().enumerate() {
            let distinct: BTreeSet<RoomName> = worker.rooms.iter().copied().collect();
            if worker.rooms.is_empty() || distinct.len() < worker.rooms.len() {
                return Err(format!(
                    "the {} has no room, or one twice; expected \"protect\", \"recover\" or both",
                    nth(n)
                ));
            }
        }
        let mut cores = BTreeSet::new();
        if let Some(core) = workers.iter().filter_map(|w| w.core).find(|core| !cores.insert(*core))
        {
            return Err(format!("core {core} is named twice; expected a core for each worker"));
        }
        let protect: Vec<usize> = with(RoomName::Protect).collect();
        let recover: Vec<usize> = with(RoomName::Recover).collect();
        let (Some(&first_protect), Some(&first_recover)) = (protect.first(), recover.first())
        else {
            return Err("expected the rooms \"protect\" and \"recover\", each at least once".into());
        };
        if protect.len() > usize::from(MAX_CHANNELS) {
            let got = protect.len();
            return Err(format!("{got} workers protect; expected at most {MAX_CHANNELS}"));
        }
        let channels = peer_channels.map_or(protect.len(), usize::from);
        if recover.len() > channels {
            let idle = recover.len();
            return Err(format!(
                "{idle} workers recover, but the peer sends on {channels}: one for each of its workers \
                 that protect; expected at most {channels}, or another wan.peer_channels"
            ));
        }
        let server = |room, otherwise| match with(room).collect::<Vec<_>>()[..] {
            [] => Ok(Server { worker: otherwise, named: false }),
            [worker] => Ok(Server { worker, named: true }),
            [a, b, ..] => {
                let port = if room == RoomName::Lan { "lan" } else { "wan" };
                Err(format!("the {} and the {} both have \"{port}\"; expected one", nth(a), nth(b)))
            }
        };
        Ok(Split {
            lan: server(RoomName::Lan, first_protect)?,
            wan: server(RoomName::Wan, first_recover)?,
            recover: recover.iter().copied().cycle().take(channels).collect(),
            protect,
        })
    }
}

fn nth(n: usize) -> String {
    match n {
        0 => "first worker".to_owned(),
        1 => "second worker".to_owned(),
        2 => "third worker".to_owned(),
        _ => format!("{}th worker", n + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One worker a word: p, r, l, w.
    fn split(workers: &str, peer_channels: Option<u8>) -> Result<Split, String> {
        let room = |letter| match letter {
            'p' => RoomName::Protect,
            'r' => RoomName::Recover,
            'l' => RoomName::Lan,
            _ => RoomName::Wan,
        };
        let section = |word: &str| WorkerSection {
            core: None,
            rooms: word.chars().filter(|&letter| letter != '-').map(room).collect(),
        };
        Split::new(&workers.split(' ').map(section).collect::<Vec<_>>(), peer_channels)
    }

    #[test]
    fn rooms_find_their_workers() {
        let auto = |worker| Server { worker, named: false };
        let named = |worker| Server { worker, named: true };
        for (workers, peer_channels, protect, recover, lan, wan) in [
            ("pr", None, &[0][..], &[0][..], auto(0), auto(0)),
            ("p r", None, &[0], &[1], auto(0), auto(1)),
            ("r p", None, &[1], &[0], auto(1), auto(0)),
            ("pr pr", None, &[0, 1], &[0, 1], auto(0), auto(0)),
            ("p p r r", None, &[0, 1], &[2, 3], auto(0), auto(2)),
            ("p p r r", Some(5), &[0, 1], &[2, 3, 2, 3, 2], auto(0), auto(2)),
            ("p r", Some(3), &[0], &[1, 1, 1], auto(0), auto(1)),
            ("p p r", Some(1), &[0, 1], &[2], auto(0), auto(2)),
            ("lw pr pr", None, &[1, 2], &[1, 2], named(0), named(0)),
            ("l p p r r w", None, &[1, 2], &[3, 4], named(0), named(5)),
        ] {
            let (protect, recover) = (protect.to_vec(), recover.to_vec());
            let expected = Split { protect, recover, lan, wan };
            assert_eq!(split(workers, peer_channels), Ok(expected), "{workers}");
        }
    }

    #[test]
    fn splits_that_are_none_are_refused_in_a_line() {
        let many = vec!["p"; 17].join(" ") + " r";
        for (workers, peer_channels, expected) in [
            ("p", None, "each at least once"),
            ("r", None, "each at least once"),
            ("lw", None, "each at least once"),
            ("pr -", None, "the second worker has no room"),
            ("prp", None, "the first worker has no room, or one twice"),
            ("p r r", None, "2 workers recover, but the peer sends on 1"),
            ("p p r r r", None, "expected at most 2, or another wan.peer_channels"),
            ("p p r r", Some(1), "2 workers recover, but the peer sends on 1"),
            ("pl rl", None, "the first worker and the second worker both have \"lan\""),
            ("pw r r w", Some(2), "the first worker and the 4th worker both have \"wan\""),
            (&many, None, "17 workers protect; expected at most 16"),
        ] {
            let error = split(workers, peer_channels).expect_err(workers);
            assert!(error.contains(expected) && error.lines().count() == 1, "{workers}: {error}");
        }
    }
}

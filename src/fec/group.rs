//! Which source packets a repair packet stands for.
//!
//! A group of a layer is an arithmetic progression: base, stride (the interleave), count. A flush
//! may merge what is open in several bins of a layer into one repair; its members are then several
//! such runs with a common stride, in different bins, and so without a packet in common. If each bin
//! holds just one packet of a train, the repair's packets are evenly spaced: one run of that stride.

use arrayvec::ArrayVec;

use super::seq;

/// The most runs that one repair may have.
pub const MAX_RUNS: usize = 12;
/// The most members that one repair may have.
pub const MAX_MEMBERS: usize = 4096;

/// `count` packets from `base` on, a stride apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The sequence number of the first packet.
    pub base: u64,
    /// How many packets, at least 1.
    pub count: u16,
}

impl Run {
    /// Bytes that a run beyond the first takes in a repair packet's header.
    pub const WIRE_LEN: usize = 6;
}

/// The members of one group. Always valid: not empty, below [`seq::LIMIT`], no member twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    stride: u16,
    runs: ArrayVec<Run, MAX_RUNS>,
}

/// Why a description of members is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMembers;

impl Members {
    /// One run: what a group that was filled has. `None` as in [`Members::from_runs`].
    pub fn single(base: u64, stride: u16, count: u16) -> Result<Members, BadMembers> {
        Members::from_runs(stride, [Run { base, count }].into_iter().collect())
    }

    /// Several runs in ascending order of their bases. Refuses an empty list, a zero stride or
    /// count, more than [`MAX_MEMBERS`], numbers beyond [`seq::LIMIT`], bases out of order, and
    /// two runs in one bin.
    pub fn from_runs(stride: u16, runs: ArrayVec<Run, MAX_RUNS>) -> Result<Members, BadMembers> {
        let members = Members { stride, runs };
        if members.is_valid() { Ok(members) } else { Err(BadMembers) }
    }

    /// Of groups that an encoder has made, which are valid by how they came about: becomes this
    /// list, in place, as moving one costs more than filling it.
    #[inline]
    pub(super) fn become_bins(&mut self, stride: u16, runs: impl IntoIterator<Item = Run>) {
        self.stride = stride;
        self.runs.clear();
        self.runs.extend(runs);
        debug_assert!(self.is_valid(), "{self:?}");
    }

    /// The simplest there is.
    pub(super) fn one() -> Members {
        Members { stride: 1, runs: [Run { base: 0, count: 1 }].into_iter().collect() }
    }

    fn is_valid(&self) -> bool {
        let in_range = |run: &Run| {
            run.count > 0
                && run.base < seq::LIMIT
                && run.base + u64::from(self.stride) * u64::from(run.count - 1) < seq::LIMIT
        };
        self.stride > 0
            && !self.runs.is_empty()
            && self.runs.iter().all(in_range)
            && self.len() <= MAX_MEMBERS
            && self.runs.is_sorted_by(|a, b| a.base < b.base)
            && self.in_different_bins()
    }

    fn in_different_bins(&self) -> bool {
        if self.runs.len() == 1 {
            return true;
        }
        let stride = u64::from(self.stride);
        let mut bins: ArrayVec<u64, MAX_RUNS> = self.runs.iter().map(|r| r.base % stride).collect();
        bins.sort_unstable();
        bins.is_sorted_by(|a, b| a < b)
    }

    /// The distance between neighbours in a run.
    pub fn stride(&self) -> u16 {
        self.stride
    }

    /// The runs, in ascending order of their bases.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The lowest member.
    pub fn first(&self) -> u64 {
        self.runs[0].base
    }

    /// The highest member.
    pub fn last(&self) -> u64 {
        let end = |run: &Run| run.base + u64::from(self.stride) * u64::from(run.count - 1);
        self.runs.iter().map(end).max().unwrap_or(0)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| usize::from(run.count)).sum()
    }

    /// Always false; a group has at least one member.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The sequence numbers of all members, run by run.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let stride = u64::from(self.stride);
        self.runs
            .iter()
            .flat_map(move |run| (0..u64::from(run.count)).map(move |k| run.base + k * stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &[(u64, u16)]) -> ArrayVec<Run, MAX_RUNS> {
        list.iter().map(|&(base, count)| Run { base, count }).collect()
    }

    #[test]
    fn members_are_enumerated() {
        let members = Members::from_runs(10, runs(&[(3, 3), (5, 1)])).unwrap();
        assert_eq!(members.iter().collect::<Vec<_>>(), [3, 13, 23, 5]);
        assert_eq!((members.first(), members.last(), members.len()), (3, 23, 4));
    }

    #[test]
    fn contradictions_are_refused() {
        let last = seq::LIMIT - 1;
        for (stride, list) in [
            (0, runs(&[(3, 1)])),
            (5, runs(&[])),
            (5, runs(&[(3, 0)])),
            (5, runs(&[(seq::LIMIT, 1)])),
            (5, runs(&[(u64::MAX, 2)])),
            (2, runs(&[(last - 1, 2)])),
            (5, runs(&[(3, 1), (2, 1)])),
            (5, runs(&[(3, 2), (8, 1)])),
            (5, runs(&[(3, 1), (13, 1)])),
            (5, runs(&[(3, 4097)])),
            (5, runs(&[(3, 4000), (4, 97)])),
        ] {
            assert_eq!(Members::from_runs(stride, list), Err(BadMembers));
        }
        assert!(Members::single(last, 2, 1).is_ok());
        assert!(Members::single(0, 1, 4096).is_ok());
    }
}

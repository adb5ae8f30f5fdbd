//! Which source packets a repair packet stands for.
//!
//! A group of a layer is an arithmetic progression: base, stride (the interleave), count. A flush
//! may merge what is open in several bins of a layer into one repair; its members are then several
//! such runs with a common stride, in different bins, and so without a packet in common. If each bin
//! holds just one packet of a train, the repair's packets are evenly spaced: one run of that stride.

use std::fmt;

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

/// The members of one group. Always valid: not empty, below [`seq::LIMIT`], no member twice. Kept
/// small, as it is moved with each repair.
#[derive(Clone)]
pub struct Members {
    base: u64,
    stride: u16,
    /// How many runs follow the first.
    further: u8,
    counts: [u16; MAX_RUNS],
    /// From the base of each run to that of the next.
    distances: [u32; MAX_RUNS - 1],
}

/// Why a description of members is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMembers;

impl Members {
    /// One run: what a group that was filled has. `Err` as in [`Members::from_runs`].
    pub fn single(base: u64, stride: u16, count: u16) -> Result<Members, BadMembers> {
        let mut members = Members::one();
        members.become_bins(stride, Run { base, count }, &[]);
        if members.is_valid() { Ok(members) } else { Err(BadMembers) }
    }

    /// Several runs in ascending order of their bases. Refuses an empty list, more than
    /// [`MAX_RUNS`], a zero stride or count, more than [`MAX_MEMBERS`], numbers beyond
    /// [`seq::LIMIT`], bases out of order or more than 2^32 apart, and two runs in one bin.
    pub fn from_runs(
        stride: u16,
        runs: impl IntoIterator<Item = Run>,
    ) -> Result<Members, BadMembers> {
        let mut runs = runs.into_iter();
        let first = runs.next().ok_or(BadMembers)?;
        let mut further = ArrayVec::<Run, { MAX_RUNS - 1 }>::new();
        let mut last = first.base;
        for run in runs {
            let distance = run.base.checked_sub(last).filter(|&distance| distance > 0);
            distance.and_then(|distance| u32::try_from(distance).ok()).ok_or(BadMembers)?;
            last = run.base;
            further.try_push(run).map_err(|_| BadMembers)?;
        }
        let mut members = Members::one();
        members.become_bins(stride, first, &further);
        if members.is_valid() { Ok(members) } else { Err(BadMembers) }
    }

    /// Becomes these runs, which are in ascending order and less than 2^32 apart: in place, as
    /// moving a list costs more than filling it. Only what is valid may be handed on.
    #[inline]
    pub(super) fn become_bins(&mut self, stride: u16, first: Run, further: &[Run]) {
        self.base = first.base;
        self.stride = stride;
        self.further = further.len() as u8;
        self.counts[0] = first.count;
        let mut last = first.base;
        for (n, run) in further.iter().enumerate() {
            self.counts[n + 1] = run.count;
            self.distances[n] = (run.base - last) as u32;
            last = run.base;
        }
    }

    /// The simplest there is.
    pub(super) fn one() -> Members {
        let mut counts = [0; MAX_RUNS];
        counts[0] = 1;
        Members { base: 0, stride: 1, further: 0, counts, distances: [0; MAX_RUNS - 1] }
    }

    pub(super) fn is_valid(&self) -> bool {
        let in_range = |run: Run| {
            run.count > 0
                && run.base < seq::LIMIT
                && run.base + u64::from(self.stride) * u64::from(run.count - 1) < seq::LIMIT
        };
        self.stride > 0
            && self.runs().all(in_range)
            && self.len() <= MAX_MEMBERS
            && self.in_different_bins()
    }

    fn in_different_bins(&self) -> bool {
        if self.further == 0 {
            return true;
        }
        let stride = u64::from(self.stride);
        let mut bins: ArrayVec<u64, MAX_RUNS> = self.runs().map(|r| r.base % stride).collect();
        bins.sort_unstable();
        bins.is_sorted_by(|a, b| a < b)
    }

    /// The distance between neighbours in a run.
    pub fn stride(&self) -> u16 {
        self.stride
    }

    /// The runs, in ascending order of their bases.
    #[inline]
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Run> + Clone + '_ {
        let mut base = self.base;
        (0..usize::from(self.further) + 1).map(move |n| {
            if n > 0 {
                base += u64::from(self.distances[n - 1]);
            }
            Run { base, count: self.counts[n] }
        })
    }

    /// The lowest member.
    #[inline]
    pub fn first(&self) -> u64 {
        self.base
    }

    /// The highest member.
    #[inline]
    pub fn last(&self) -> u64 {
        let end = |run: Run| run.base + u64::from(self.stride) * u64::from(run.count - 1);
        self.runs().map(end).max().unwrap_or(0)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.runs().map(|run| usize::from(run.count)).sum()
    }

    /// Always false: a group has at least one member.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The sequence numbers of all members, run by run.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let stride = u64::from(self.stride);
        let of_run = move |run: Run| (0..u64::from(run.count)).map(move |k| run.base + k * stride);
        self.runs().flat_map(of_run)
    }

    /// Hands each member to `f`, in the order of [`Members::iter`], and faster.
    #[inline]
    pub fn for_each(&self, mut f: impl FnMut(u64)) {
        for run in self.runs() {
            let mut seq = run.base;
            for _ in 0..run.count {
                f(seq);
                seq += u64::from(self.stride);
            }
        }
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Members) -> bool {
        self.stride == other.stride && self.runs().eq(other.runs())
    }
}

impl Eq for Members {}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every {} of ", self.stride)?;
        f.debug_list().entries(self.runs()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &[(u64, u16)]) -> Vec<Run> {
        list.iter().map(|&(base, count)| Run { base, count }).collect()
    }

    #[test]
    fn members_are_enumerated() {
        let members = Members::from_runs(10, runs(&[(3, 3), (5, 1)])).unwrap();
        assert_eq!(members.iter().collect::<Vec<_>>(), [3, 13, 23, 5]);
        let mut each = Vec::new();
        members.for_each(|seq| each.push(seq));
        assert_eq!(each, [3, 13, 23, 5]);
        assert_eq!(
            format!("{:?}", members.runs().collect::<Vec<_>>()),
            format!("{:?}", runs(&[(3, 3), (5, 1)]))
        );
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
            (5, runs(&[(3, 1), (1 << 33, 1)])),
            (50, runs(&std::array::from_fn::<_, 13, _>(|n| (n as u64, 1)))),
        ] {
            assert_eq!(Members::from_runs(stride, list), Err(BadMembers));
        }
        assert!(Members::single(last, 2, 1).is_ok());
        assert!(Members::single(0, 1, 4096).is_ok());
    }
}

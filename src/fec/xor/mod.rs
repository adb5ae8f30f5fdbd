//! XOR of one buffer into several others, and of several into one, by the widest instructions that
//! this CPU has.
//!
//! One file an instruction set; `portable` is the oracle of the others, and what every CPU can
//! run. The choice is made once, by [`Engine::detect`], and carried by whoever XORs.
//!
//! A packet goes into one open group of each layer. XORing it into all of them in one pass loads it
//! once; the groups are what the pass costs (perf/RESULTS.md has the figures). A packet that is rebuilt
//! is the sum of many: [`Engine::gather`] adds them up in registers and stores each byte once.

mod fetch;
mod gather;
mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

pub use fetch::fetch;

/// An instruction set to XOR with. Any value of this type can run on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Engine {
    /// The portable engine.
    pub const PORTABLE: Engine = Engine(Set::Portable);

    /// The fastest engine that this CPU can run.
    pub fn detect() -> Engine {
        *Engine::available().last().expect("the portable engine is always there")
    }

    /// Every engine that this CPU can run, slowest first.
    pub fn available() -> Vec<Engine> {
        let mut engines = vec![Engine::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        if avx2::is_available() {
            engines.push(Engine(Set::Avx2));
        }
        #[cfg(target_arch = "x86_64")]
        if avx512::is_available() {
            engines.push(Engine(Set::Avx512));
        }
        engines
    }

    /// The name of the instruction set.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
        }
    }

    /// XORs `from` into the first bytes of `into`; if one is longer, its rest is left alone.
    #[inline]
    pub fn xor(self, into: &mut [u8], from: &[u8]) {
        let len = into.len().min(from.len());
        self.scatter([&mut into[..len]], &from[..len]);
    }

    /// XORs `from` into each of `into`, which are as long as it.
    ///
    /// # Panics
    /// If one of `into` has another length.
    #[inline]
    pub fn scatter<const N: usize>(self, into: [&mut [u8]; N], from: &[u8]) {
        assert!(into.iter().all(|into| into.len() == from.len()), "buffers of one length");
        match self.0 {
            Set::Portable => portable::scatter(into, from),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::scatter(into, from),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::scatter(into, from),
        }
    }

    /// XORs each of `frames` into one slot of every layer: frame n into the slots number
    /// `layers[..][n]` of `sums`, each of which has `size` bytes.
    ///
    /// # Panics
    /// If a slot lies beyond `sums`, a frame is longer than a slot, or a layer has fewer numbers
    /// than there are frames.
    #[inline]
    pub fn enter<const N: usize>(
        self,
        sums: &mut [u8],
        size: usize,
        layers: [&[u32]; N],
        frames: &[&[u8]],
    ) {
        match self.0 {
            Set::Portable => portable::enter(sums, size, layers, frames),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::enter(sums, size, layers, frames),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::enter(sums, size, layers, frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(factor: u32, shift: u32) -> Vec<u8> {
        (0..2200u32).map(|n| (n.wrapping_mul(factor) >> shift) as u8).collect()
    }

    /// Every engine equals a byte at a time, whatever the length, alignment and number of buffers.
    fn check<const N: usize>(engine: Engine) {
        let from = bytes(2_654_435_761, 24);
        let into: [Vec<u8>; N] = std::array::from_fn(|n| bytes(40_503 + 2 * n as u32, 7));
        for len in 0..=2100 {
            let (a, b) = (len % 67, len % 31);
            let mut got = into.clone();
            let slices = got.each_mut().map(|into| &mut into[a..a + len]);
            engine.scatter(slices, &from[b..b + len]);
            for (got, into) in got.iter().zip(&into) {
                let mut expected = into.clone();
                for n in 0..len {
                    expected[a + n] ^= from[b + n];
                }
                assert_eq!(got, &expected, "{} at length {len}, {N} buffers", engine.name());
            }
        }
    }

    #[test]
    fn engines_agree() {
        for engine in Engine::available() {
            check::<1>(engine);
            check::<2>(engine);
            check::<3>(engine);
            check::<4>(engine);
            check::<8>(engine);
        }
    }

    #[test]
    fn the_shorter_side_decides() {
        for engine in Engine::available() {
            let mut into = [1u8; 100];
            engine.xor(&mut into, &[1; 70]);
            assert_eq!(into.iter().filter(|&&b| b == 0).count(), 70);
            engine.xor(&mut into[..10], &[1; 70]);
            assert_eq!(into.iter().filter(|&&b| b == 0).count(), 60);
        }
    }
}

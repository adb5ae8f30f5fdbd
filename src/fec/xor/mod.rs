//! XOR of one buffer into another, by the widest instructions that this CPU has.
//!
//! One file an instruction set; `portable` is the oracle of the others, and what every CPU can
//! run. The choice is made once, by [`Engine::detect`], and carried by whoever XORs.

mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;

/// An instruction set to XOR with. Any value of this type can run on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
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
        engines
    }

    /// The name of the instruction set.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
        }
    }

    /// XORs `from` into the first bytes of `into`; if one is longer, its rest is left alone.
    #[inline]
    pub fn xor(self, into: &mut [u8], from: &[u8]) {
        match self.0 {
            Set::Portable => portable::xor(into, from),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::xor(into, from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every engine equals the portable one, and that one equals a byte at a time.
    #[test]
    fn engines_agree_at_every_length_and_alignment() {
        let from: Vec<u8> =
            (0..2200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let into: Vec<u8> = (0..2200u32).map(|n| (n.wrapping_mul(40_503) >> 7) as u8).collect();
        for engine in Engine::available() {
            for len in 0..=2100 {
                let (a, b) = (len % 37, len % 31);
                let mut got = into.clone();
                engine.xor(&mut got[a..a + len], &from[b..b + len]);
                let mut expected = into.clone();
                for n in 0..len {
                    expected[a + n] ^= from[b + n];
                }
                assert_eq!(got, expected, "{} at length {len}", engine.name());
            }
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

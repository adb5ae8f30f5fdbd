//! Inputs for the bounded run: those of the corpus, changed at random.

/// Random numbers (splitmix64) that a seed replays.
pub struct Random(pub u64);

/// Values that bounds are made of.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    1023,
    1024,
    u32::MAX as u64,
    (1 << 62) - 1,
    1 << 62,
    u64::MAX,
];

impl Random {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// In 0..n; 0 when n is.
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % (n as u64).max(1)) as usize
    }

    /// One of the corpus with some changes, or noise. At most `longest` bytes.
    pub fn input(&mut self, corpus: &[Vec<u8>], longest: usize) -> Vec<u8> {
        let mut input = match self.below(corpus.len() + 1) {
            0 => (0..self.below(longest)).map(|_| self.word() as u8).collect(),
            n => corpus[n - 1].clone(),
        };
        let most = 1 << self.below(5);
        for _ in 0..1 + self.below(most) {
            self.change(&mut input, corpus);
        }
        input.truncate(longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.word() as u8,
            2 => input.insert(at, self.word() as u8),
            3 => drop(input.drain(at..(at + 1 + self.below(8)).min(input.len()))),
            4 => input.truncate(at),
            5 => {
                let part = at..(at + 1 + self.below(32)).min(input.len());
                let part = input[part].to_vec();
                let to = self.below(input.len());
                input.splice(to..to, part);
            }
            6 if !corpus.is_empty() => {
                let other = &corpus[self.below(corpus.len())];
                input.truncate(at);
                input.extend(&other[self.below(other.len())..]);
            }
            _ => {
                let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
                let edge = &edge[8 - [1, 2, 4, 8][self.below(4)]..];
                let end = (at + edge.len()).min(input.len());
                input.splice(at..end, edge.iter().copied());
            }
        }
    }
}

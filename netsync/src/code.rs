//! The code in force and what its levels are worth, as the control thread publishes it.
//!
//! A seqlock over some lines: it changes a few times a day.

use crate::layout::{BOUNDS, CLASSES, CODE, MAX_LEVELS, MAX_TEXT, TEXT};
use crate::memory::Memory;
use crate::sync::Word;

/// A code, and how likely each level leaves a packet unprotected.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// Counts the codes of a segment. 0 stands for none yet.
    pub generation: u64,
    /// As in the configuration, `20:97,101,103+g1`. Up to 128 bytes.
    pub text: String,
    /// How many levels there are, up to 8: its layers, as a rule.
    pub levels: usize,
    /// For each class, and level 1, 2, … 8: the probability, at most, that a packet in flight of
    /// which so many repairs have left is never recovered. 1 where there is no such level.
    pub bounds: [[f64; MAX_LEVELS]; CLASSES],
}

/// How a repair came about, which decides what it is worth: members next to each other on the wire
/// are lost together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Its group was filled by dense traffic.
    Dense = 0,
    /// Its group was filled by traffic with pauses.
    Sparse = 1,
    /// As [`Class::Dense`], but closed before it was full.
    DenseFlushed = 2,
    /// As [`Class::Sparse`], but closed before it was full.
    SparseFlushed = 3,
}

/// Where the code lies in a segment.
pub(crate) struct CodeLines<'a>(pub(crate) &'a Memory);

impl CodeLines<'_> {
    fn seq(&self) -> &Word {
        &self.0.lines()[CODE].0[0]
    }

    fn text(&self) -> impl Iterator<Item = &Word> {
        self.0.lines()[TEXT..BOUNDS].iter().flat_map(|line| &line.0)
    }

    fn bounds(&self) -> impl Iterator<Item = &Word> {
        self.0.lines()[BOUNDS..BOUNDS + CLASSES].iter().flat_map(|line| &line.0)
    }

    /// The writer's: a text that is too long is cut, levels are limited to 8. Returns the generation.
    pub(crate) fn publish(
        &self,
        text: &str,
        levels: usize,
        bounds: &[[f64; MAX_LEVELS]; CLASSES],
    ) -> u64 {
        let fits = |&end: &usize| text.is_char_boundary(end);
        let text = &text[..(0..=MAX_TEXT.min(text.len())).rev().find(fits).unwrap_or(0)];
        let seq = self.seq().own();
        self.seq().open(seq + 1);
        let [_, count, bytes, ..] = &self.0.lines()[CODE].0;
        count.put(levels.min(MAX_LEVELS) as u64);
        bytes.put(text.len() as u64);
        let mut padded = [0; MAX_TEXT];
        padded[..text.len()].copy_from_slice(text.as_bytes());
        let chunks = padded.as_chunks::<8>().0;
        self.text().zip(chunks).for_each(|(word, chunk)| word.put(u64::from_ne_bytes(*chunk)));
        self.bounds()
            .zip(bounds.as_flattened())
            .for_each(|(word, bound)| word.put(bound.to_bits()));
        self.seq().publish(seq + 2);
        (seq + 2) / 2
    }

    /// Which code is in force; none while it is being changed. What was read of watermarks before
    /// this call is of this code or an older one.
    #[inline]
    pub(crate) fn generation(&self) -> Option<u64> {
        let seq = self.seq().observe();
        seq.is_multiple_of(2).then_some(seq / 2)
    }

    /// None when the writer came in between.
    pub(crate) fn read(&self) -> Option<Code> {
        let seq = self.seq().observe();
        let [_, levels, bytes, ..] = &self.0.lines()[CODE].0;
        let (levels, bytes) = (levels.get(), bytes.get());
        let mut text = [0; MAX_TEXT];
        for (chunk, word) in text.as_chunks_mut::<8>().0.iter_mut().zip(self.text()) {
            *chunk = word.get().to_ne_bytes();
        }
        let mut bounds = [[0.0; MAX_LEVELS]; CLASSES];
        for (bound, word) in bounds.as_flattened_mut().iter_mut().zip(self.bounds()) {
            // What is no probability promises nothing.
            let value = f64::from_bits(word.get());
            *bound = if (0.0..=1.0).contains(&value) { value } else { 1.0 };
        }
        if !seq.is_multiple_of(2) || !self.seq().is_still(seq) {
            return None;
        }
        let text = &text[..bytes.min(MAX_TEXT as u64) as usize];
        Some(Code {
            generation: seq / 2,
            text: String::from_utf8_lossy(text).into_owned(),
            levels: levels.min(MAX_LEVELS as u64) as usize,
            bounds,
        })
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use crate::layout::HEADER;

    #[test]
    fn a_code_comes_back_as_it_was() {
        let (memory, _) = Memory::create(HEADER).unwrap();
        let lines = CodeLines(&memory);
        assert_eq!(lines.read().unwrap().generation, 0);
        assert_eq!(lines.read().unwrap().levels, 0);
        let mut bounds = [[0.5; MAX_LEVELS]; CLASSES];
        bounds[3][7] = 1e-9;
        assert_eq!(lines.publish("20:97,101,103+g1", 3, &bounds), 1);
        let code = lines.read().unwrap();
        assert_eq!(
            code,
            Code { generation: 1, text: "20:97,101,103+g1".into(), levels: 3, bounds }
        );
        assert_eq!(lines.generation(), Some(1));
    }

    #[test]
    fn what_can_t_be_becomes_what_promises_nothing() {
        let (memory, _) = Memory::create(HEADER).unwrap();
        let lines = CodeLines(&memory);
        let long = "é".repeat(100);
        let mut bounds = [[f64::NAN; MAX_LEVELS]; CLASSES];
        bounds[0] = [-1.0, 2.0, f64::INFINITY, 0.0, 1.0, -0.5, 1e300, f64::NEG_INFINITY];
        lines.publish(&long, 99, &bounds);
        let code = lines.read().unwrap();
        assert_eq!(code.text, "é".repeat(64));
        assert_eq!(code.levels, 8);
        assert_eq!(code.bounds[0], [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(code.bounds[1], [1.0; 8]);
        for word in &memory.lines()[CODE].0[1..] {
            word.put(u64::MAX);
        }
        assert_eq!(lines.read().unwrap().text.len(), MAX_TEXT);
    }
}

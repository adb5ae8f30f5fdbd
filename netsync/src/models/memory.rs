//! The segment as loom's memory: lines on the heap.

use crate::sync::{Line, Word};

#[derive(Debug)]
pub(crate) struct Memory(Vec<Line>);

impl Memory {
    pub(crate) fn new(lines: usize) -> Memory {
        Memory((0..lines).map(|_| Line(std::array::from_fn(|_| Word::new()))).collect())
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.0
    }
}

//! What the decoder shall do, defined slowly: nothing is ever forgotten, every list is searched from its
//! beginning, and every repair is tried until none is of use.

use std::collections::BTreeMap;

use maelstrom::fec::named::NameKey;

use crate::channel::{Packet, Repair};

/// A frame that has come or was rebuilt.
struct Arrival {
    name: u64,
    frame: Vec<u8>,
    number: Option<u64>,
    /// Rebuilt, and its original may still come.
    late: bool,
}

/// See the module's head.
pub struct Model {
    key: NameKey,
    arrivals: Vec<Arrival>,
    /// The name of each number that was heard of, and its arrival.
    numbers: BTreeMap<u64, (u64, Option<usize>)>,
    repairs: Vec<Repair>,
    pub suppressed: u64,
}

impl Model {
    pub fn new(key: NameKey) -> Model {
        let (arrivals, numbers, repairs) = Default::default();
        Model { key, arrivals, numbers, repairs, suppressed: 0 }
    }

    /// Takes a burst; what comes out.
    pub fn burst(&mut self, packets: &[Packet]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packet in packets {
            if let Packet::Frame(frame) = packet {
                out.extend(self.frame(frame));
            }
        }
        self.peel(&mut out);
        for packet in packets {
            if let Packet::Repair(repair) = packet {
                self.hear(repair);
                self.peel(&mut out);
            }
        }
        out
    }

    fn peel(&mut self, out: &mut Vec<Vec<u8>>) {
        while let Some(frame) = self.rebuild() {
            out.push(frame);
        }
    }

    fn frame(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let name = self.key.name(frame).name;
        let place = self.arrivals.len();
        let missing = self.numbers.iter().filter(|(_, of)| **of == (name, None));
        // The one that was missed first.
        let number = missing.min_by_key(|(number, _)| self.missed_at(**number)).map(|(n, _)| *n);
        if let Some(number) = number {
            self.numbers.insert(number, (name, Some(place)));
        } else if let Some(late) = self.arrivals.iter_mut().find(|a| a.late && a.name == name) {
            late.late = false;
            self.suppressed += 1;
            return None;
        }
        self.arrivals.push(Arrival { name, frame: frame.to_vec(), number, late: false });
        Some(frame.to_vec())
    }

    /// Which repair said first that a number exists, and where in it.
    fn missed_at(&self, number: u64) -> (usize, usize) {
        let place = |repair: &Repair| repair.members.iter().position(|member| member == number);
        let mut heard = self.repairs.iter().enumerate().filter_map(|(n, r)| Some((n, place(r)?)));
        heard.next().unwrap()
    }

    fn hear(&mut self, repair: &Repair) {
        for (number, name) in repair.members.iter().zip(&repair.names) {
            let name = u64::from_be_bytes(*name);
            let of = self.numbers.entry(number).or_insert((name, None));
            assert_eq!(of.0, name);
            if of.1.is_none() && !self.repairs.iter().any(|r| r.members.iter().any(|n| n == number))
            {
                of.1 = self
                    .arrivals
                    .iter()
                    .position(|a| a.name == name && a.number.is_none() && !a.late);
                if let Some(place) = of.1 {
                    self.arrivals[place].number = Some(number);
                }
            }
        }
        self.repairs.push(repair.clone());
    }

    fn rebuild(&mut self) -> Option<Vec<u8>> {
        for repair in &self.repairs {
            let missing: Vec<u64> =
                repair.members.iter().filter(|number| self.numbers[number].1.is_none()).collect();
            let [number] = missing[..] else { continue };
            let mut image = repair.xor.clone();
            let mut length = repair.lengths;
            for place in repair.members.iter().filter_map(|number| self.numbers[&number].1) {
                let frame = &self.arrivals[place].frame;
                let mut other = vec![0; frame.len() + 4];
                maelstrom::fec::named::image::write_image(frame, &mut other).unwrap();
                image.iter_mut().zip(&other).for_each(|(sum, byte)| *sum ^= byte);
                length ^= other.len() as u16;
            }
            let mut frame = vec![0; usize::from(length) - 4];
            let image = &image[..usize::from(length)];
            maelstrom::fec::named::image::read_image(image, &mut frame).unwrap();
            let name = self.key.name(&frame).name;
            assert_eq!(self.numbers[&number].0, name);
            let late = !self.arrivals.iter().any(|arrival| arrival.name == name);
            self.numbers.insert(number, (name, Some(self.arrivals.len())));
            self.arrivals.push(Arrival { name, frame: frame.clone(), number: Some(number), late });
            return Some(frame);
        }
        None
    }
}

//! What a code is: a list of layers and a guard, and how people write it down.
//!
//! `20:97,101,103+g1` is three layers of group size 20 with interleaves 97, 101 and 103, whose
//! repairs are held back one interleave. Layers of different group sizes are written one by one:
//! `8x1/64x101/64x103+g1`. Without `+g` there is no guard.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The most layers that a code may have.
pub const MAX_LAYERS: usize = 8;
/// The largest group size. Beyond this a repair is too dilute to be worth its window.
pub const MAX_GROUP: u16 = 1024;
/// The largest interleave.
pub const MAX_INTERLEAVE: u16 = 16_384;
/// The largest guard, in thousandths of an interleave.
const MAX_GUARD: u32 = 16_000;

/// One of the parallel XOR codes: packet `s` falls in bin `s mod interleave`, and `group`
/// successive packets of a bin share one repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Group size `r`, 1 to [`MAX_GROUP`].
    pub group: u16,
    /// Interleave `i`, 1 to [`MAX_INTERLEAVE`].
    pub interleave: u16,
}

/// A list of 1 to [`MAX_LAYERS`] layers and their guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    layers: Vec<Layer>,
    /// In thousandths of an interleave, so that codes compare equal exactly.
    guard: u32,
}

/// Why a text is not a code. One line, with what was got and what is expected.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "code {text:?}: {problem}; expected GROUP:INTERLEAVE,INTERLEAVE,...[+gGUARD], e.g. 20:97,101,103+g1"
)]
pub struct CodeError {
    text: String,
    problem: String,
}

impl Code {
    /// The layers, in the order in which they are numbered on the wire.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many further source packets must have gone before a repair of `layer` leaves.
    pub fn guard(&self, layer: Layer) -> u64 {
        (u64::from(self.guard) * u64::from(layer.interleave) + 500) / 1000
    }

    /// Repair packets per source packet while traffic is dense: the sum of 1/r.
    pub fn overhead(&self) -> f64 {
        self.layers.iter().map(|l| 1.0 / f64::from(l.group)).sum()
    }

    /// How many source packets lie between the first member of a group of `layer` and the
    /// departure of its repair.
    pub fn layer_span(&self, layer: Layer) -> u64 {
        u64::from(layer.group - 1) * u64::from(layer.interleave) + self.guard(layer)
    }

    /// The largest span of any layer.
    pub fn span(&self) -> u64 {
        self.layers.iter().map(|&l| self.layer_span(l)).max().unwrap_or(0)
    }

    /// Pairs of interleaves that share a factor, which weakens the code: packets that collide in
    /// one layer then collide in the other too. Allowed, since the published codes have them.
    pub fn common_factors(&self) -> Vec<(u16, u16)> {
        let mut pairs = Vec::new();
        for (n, a) in self.layers.iter().enumerate() {
            for b in &self.layers[n + 1..] {
                let both = a.interleave == b.interleave;
                if both || gcd(a.interleave, b.interleave) > 1 {
                    pairs.push((a.interleave, b.interleave));
                }
            }
        }
        pairs
    }

    /// The short code that stands in for this one while traffic is sparse: as many layers, so that
    /// the levels keep their meaning, with groups of at most 8 and interleaves from 5 upwards.
    pub fn short(&self) -> Code {
        const INTERLEAVES: [u16; MAX_LAYERS] = [5, 7, 9, 11, 13, 17, 19, 23];
        let layers = self.layers.iter().zip(INTERLEAVES).map(|(layer, interleave)| Layer {
            group: layer.group.min(8),
            interleave: layer.interleave.min(interleave),
        });
        Code { layers: layers.collect(), guard: self.guard.min(1000) }
    }
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        parse(text).map_err(|problem| CodeError { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Code, String> {
    let (layers, guard) = match text.trim().split_once("+g") {
        Some((layers, guard)) => (layers, parse_guard(guard)?),
        None => (text.trim(), 0),
    };
    let layers = match layers.split_once(':') {
        Some((group, interleaves)) => {
            let group = number("group size", group, MAX_GROUP)?;
            let interleaves = interleaves.split(',');
            interleaves
                .map(|i| Ok(Layer { group, interleave: number("interleave", i, MAX_INTERLEAVE)? }))
                .collect::<Result<Vec<_>, String>>()?
        }
        None => layers.split('/').map(parse_layer).collect::<Result<Vec<_>, String>>()?,
    };
    if layers.len() > MAX_LAYERS {
        return Err(format!("{} layers, at most {MAX_LAYERS} are possible", layers.len()));
    }
    Ok(Code { layers, guard })
}

fn parse_layer(text: &str) -> Result<Layer, String> {
    let (group, interleave) =
        text.split_once('x').ok_or_else(|| format!("{text:?} is not a layer such as 64x101"))?;
    Ok(Layer {
        group: number("group size", group, MAX_GROUP)?,
        interleave: number("interleave", interleave, MAX_INTERLEAVE)?,
    })
}

fn parse_guard(text: &str) -> Result<u32, String> {
    let range = || format!("the guard is {text:?}, not a number from 0 to 16");
    let guard: f64 = text.trim().parse().map_err(|_| range())?;
    let thousandths = (guard * 1000.0).round();
    // NaN fails this test too.
    if (0.0..=f64::from(MAX_GUARD)).contains(&thousandths) {
        Ok(thousandths as u32)
    } else {
        Err(range())
    }
}

fn number(what: &str, text: &str, max: u16) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(n) if (1..=max).contains(&n) => Ok(n),
        _ => Err(format!("the {what} is {text:?}, not a number from 1 to {max}")),
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.layers[0];
        if self.layers.iter().all(|l| l.group == first.group) {
            write!(f, "{}:", first.group)?;
            for (n, layer) in self.layers.iter().enumerate() {
                let comma = if n == 0 { "" } else { "," };
                write!(f, "{comma}{}", layer.interleave)?;
            }
        } else {
            for (n, layer) in self.layers.iter().enumerate() {
                let slash = if n == 0 { "" } else { "/" };
                write!(f, "{slash}{}x{}", layer.group, layer.interleave)?;
            }
        }
        match self.guard {
            0 => Ok(()),
            guard => write!(f, "+g{}", f64::from(guard) / 1000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn reads_both_notations() {
        let long = code("20:97,101,103+g1");
        assert_eq!(long.layers().len(), 3);
        assert_eq!(long.layers()[1], Layer { group: 20, interleave: 101 });
        assert_eq!(long.guard(long.layers()[2]), 103);
        assert_eq!(long.span(), 20 * 103);
        assert!((long.overhead() - 0.15).abs() < 1e-12);
        let mixed = code("8x1/64x101/64x103+g0.5");
        assert_eq!(mixed.layers()[0], Layer { group: 8, interleave: 1 });
        assert_eq!(mixed.guard(mixed.layers()[1]), 51);
        assert_eq!(code("8:1,20,40").guard(Layer { group: 8, interleave: 40 }), 0);
    }

    #[test]
    fn refuses_in_one_line_with_what_it_got() {
        for bad in [
            "",
            ":",
            "8",
            "8:",
            "8:1,",
            "8:0",
            "0:1",
            "8:1,20,x",
            "8:1+g",
            "8:1+g-1",
            "8:1+g17",
            "8:1+gNaN",
            "8x",
            "8x1/9",
            "8x1,64x2",
            "1025:1",
            "8:16385",
            "8:1,2,3,4,5,6,7,8,9",
            "8:-1",
            "8:1;2",
            "8:1,\n2 2",
            "8\n0x1",
            "8:1+g\n",
        ] {
            let error = bad.parse::<Code>().expect_err(bad).to_string();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("e.g."), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn names_common_factors() {
        assert_eq!(code("8:1,20,40").common_factors(), [(20, 40)]);
        assert_eq!(code("8:7,7").common_factors(), [(7, 7)]);
        assert_eq!(code("8:1,1").common_factors(), [(1, 1)]);
        assert!(code("20:97,101,103").common_factors().is_empty());
    }

    #[test]
    fn the_short_code_keeps_the_levels_and_is_short() {
        assert_eq!(code("64:97,101,103,107+g1").short().to_string(), "8:5,7,9,11+g1");
        assert_eq!(code("8:1,20,40").short().to_string(), "8:1,7,9");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            layers in prop::collection::vec((1..=MAX_GROUP, 1..=MAX_INTERLEAVE), 1..=MAX_LAYERS),
            guard in 0..=MAX_GUARD,
        ) {
            let layers =
                layers.into_iter().map(|(group, interleave)| Layer { group, interleave }).collect();
            let code = Code { layers, guard };
            prop_assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9x:,/+g.]{0,30}") {
            let _ = text.parse::<Code>();
        }
    }
}

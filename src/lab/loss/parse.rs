//! A loss model as text: one parser, one writer, one check, and the errors they share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use super::LossModel;

const GE_EXAMPLE: &str = "ge:0.01,20";
const IID_EXAMPLE: &str = "iid:0.01";
const BURST_EXAMPLE: &str = "burst:1000,25";

/// Why a loss model was refused. One line: what was got, what was expected, an example.
#[derive(Debug, Error)]
pub enum LossError {
    /// No model of that name, or not its number of values.
    #[error("loss {spec:?}: expected {expected}, e.g. {example}")]
    Shape {
        /// What was written.
        spec: String,
        /// The form, or forms, it could have had.
        expected: &'static str,
        /// Something that would have been accepted.
        example: &'static str,
    },
    /// A value that is no number of the right kind.
    #[error("loss {spec:?}: {got:?} is not {expected}, e.g. {example}")]
    Number {
        /// What was written.
        spec: String,
        /// The value in question.
        got: String,
        /// What kind of number it should be.
        expected: &'static str,
        /// Something that would have been accepted.
        example: &'static str,
    },
    /// A number out of its range.
    #[error("loss {spec:?}: {rule}, e.g. {example}")]
    Range {
        /// What was written.
        spec: String,
        /// The rule it breaks.
        rule: &'static str,
        /// Something that would have been accepted.
        example: &'static str,
    },
    /// A Gilbert–Elliott chain that would have to leave the good state more often than always.
    #[error(
        "loss {spec:?}: this loss rate needs a mean burst of at least {least:.2}, \
         e.g. {GE_EXAMPLE}"
    )]
    Impossible {
        /// What was written.
        spec: String,
        /// rate / (1 − rate)
        least: f64,
    },
    /// The file of `drop:FILE` could not be read.
    #[error(
        "loss {:?}: cannot read the file: {source}; expected a text file with one wire packet \
         index per line, e.g. drop:losses.txt", format!("drop:{}", file.display())
    )]
    File {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of that file is no index.
    #[error(
        "{}:{line}: {got:?} is not a wire packet index; expected one whole number per line, \
         counted from 0, e.g. 1042", file.display()
    )]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What stands there.
        got: String,
    },
}

impl FromStr for LossModel {
    type Err = LossError;

    /// Reads a model and checks it; `drop:FILE` reads the file.
    fn from_str(spec: &str) -> Result<LossModel, LossError> {
        let spec = spec.trim();
        let (name, values) = spec.split_once(':').map_or((spec, None), |(n, v)| (n, Some(v)));
        let model = match (name, values) {
            ("none", None) => LossModel::None,
            ("iid", Some(rate)) => {
                LossModel::Iid { rate: number(spec, rate, "a number", IID_EXAMPLE)? }
            }
            ("ge", Some(values)) => {
                let (rate, burst) = pair(spec, values, "ge:RATE,MEANBURST", GE_EXAMPLE)?;
                LossModel::Ge {
                    rate: number(spec, rate, "a number", GE_EXAMPLE)?,
                    mean_burst: number(spec, burst, "a number", GE_EXAMPLE)?,
                }
            }
            ("burst", Some(values)) => {
                let (start, length) = pair(spec, values, "burst:START,LENGTH", BURST_EXAMPLE)?;
                LossModel::Burst {
                    start: number(spec, start, "a whole number", BURST_EXAMPLE)?,
                    length: number(spec, length, "a whole number", BURST_EXAMPLE)?,
                }
            }
            ("drop", Some(file)) if !file.is_empty() => {
                let file = PathBuf::from(file);
                let text = std::fs::read_to_string(&file)
                    .map_err(|source| LossError::File { file: file.clone(), source })?;
                LossModel::from_drop_list(&file, &text)?
            }
            _ => {
                return Err(LossError::Shape {
                    spec: spec.to_owned(),
                    expected: "none, iid:P, ge:RATE,MEANBURST, drop:FILE or burst:START,LENGTH",
                    example: GE_EXAMPLE,
                });
            }
        };
        model.check()?;
        Ok(model)
    }
}

impl fmt::Display for LossModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossModel::None => f.write_str("none"),
            LossModel::Iid { rate } => write!(f, "iid:{rate}"),
            LossModel::Ge { rate, mean_burst } => write!(f, "ge:{rate},{mean_burst}"),
            LossModel::Drop { file, .. } => write!(f, "drop:{}", file.display()),
            LossModel::Burst { start, length } => write!(f, "burst:{start},{length}"),
        }
    }
}

impl LossModel {
    /// A `drop:FILE` model from the file's text: one wire packet index per line, counted from 0,
    /// in any order; blank lines, and whatever follows a `#`, do not count.
    ///
    /// # Errors
    /// At the first line that is no index; the error names it.
    pub fn from_drop_list(file: &Path, text: &str) -> Result<LossModel, LossError> {
        let mut indices = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let value = line.split('#').next().unwrap_or_default().trim();
            if value.is_empty() {
                continue;
            }
            indices.push(value.parse().map_err(|_| LossError::Line {
                file: file.to_owned(),
                line: at + 1,
                got: value.to_owned(),
            })?);
        }
        indices.sort_unstable();
        indices.dedup();
        Ok(LossModel::Drop { file: file.to_owned(), indices: indices.into() })
    }

    /// Whether the numbers are possible. A model that was parsed has passed.
    ///
    /// # Errors
    /// For a rate outside 0..1, a mean burst below 1, a pair of them that no chain has, an empty
    /// burst or one beyond the last index.
    pub fn check(&self) -> Result<(), LossError> {
        let refuse =
            |rule, example| Err(LossError::Range { spec: self.to_string(), rule, example });
        let rate_rule = "the loss rate must lie in 0..1";
        match *self {
            LossModel::Iid { rate } if !(0.0..1.0).contains(&rate) => {
                refuse(rate_rule, IID_EXAMPLE)
            }
            LossModel::Ge { rate, .. } if !(0.0..1.0).contains(&rate) => {
                refuse(rate_rule, GE_EXAMPLE)
            }
            LossModel::Ge { mean_burst, .. } if !(1.0..f64::INFINITY).contains(&mean_burst) => {
                refuse("the mean burst must be at least 1 packet", GE_EXAMPLE)
            }
            LossModel::Ge { rate, mean_burst } if rate / (1.0 - rate) > mean_burst => {
                Err(LossError::Impossible { spec: self.to_string(), least: rate / (1.0 - rate) })
            }
            LossModel::Burst { length: 0, .. } => {
                refuse("the length must be at least 1 packet", BURST_EXAMPLE)
            }
            LossModel::Burst { start, length } if start.checked_add(length).is_none() => {
                refuse("the burst must end below wire index 2^64", BURST_EXAMPLE)
            }
            _ => Ok(()),
        }
    }
}

fn pair<'a>(
    spec: &str,
    values: &'a str,
    expected: &'static str,
    example: &'static str,
) -> Result<(&'a str, &'a str), LossError> {
    match values.split_once(',') {
        Some((first, second)) if !second.contains(',') => Ok((first, second)),
        _ => Err(LossError::Shape { spec: spec.to_owned(), expected, example }),
    }
}

fn number<T: FromStr>(
    spec: &str,
    got: &str,
    expected: &'static str,
    example: &'static str,
) -> Result<T, LossError> {
    got.trim().parse().map_err(|_| LossError::Number {
        spec: spec.to_owned(),
        got: got.to_owned(),
        expected,
        example,
    })
}

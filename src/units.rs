//! Rates, times and sizes as people write them.
//!
//! * **What this room does:** turns `10Gbps`, `50ms` and `2GiB` into whole bits per second,
//!   nanoseconds and bytes, and back.
//! * **Who feeds it:** the command line and the configuration files.
//! * **Whom it feeds:** the configuration of gateways and links, and whatever prints one.
//! * **Which thread runs it:** the main thread, at start-up.
//! * **What it must not do:** round. `1.5Mbps` is exactly 1,500,000 bit/s; what is not a whole
//!   number of the smallest unit is refused.

use thiserror::Error;

/// Why a rate, a time or a size could not be read. One line, with an example.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a decimal number followed by a known unit.
    #[error("{kind} {got:?}: expected a number and one of {units}, e.g. {example}")]
    Shape {
        /// `rate`, `time` or `size`.
        kind: &'static str,
        /// What was written.
        got: String,
        /// The units that are known.
        units: &'static str,
        /// Something that would have been accepted.
        example: &'static str,
    },
    /// Finer than the smallest unit, or too large for 64 bits.
    #[error("{kind} {got:?}: expected a whole number of {unit} below 2^64, e.g. {example}")]
    Inexact {
        /// `rate`, `time` or `size`.
        kind: &'static str,
        /// What was written.
        got: String,
        /// The smallest unit.
        unit: &'static str,
        /// Something that would have been accepted.
        example: &'static str,
    },
}

/// A family of units: names in lower case, smallest first, with their size.
struct Scale {
    kind: &'static str,
    units: &'static [(&'static str, u64)],
    listed: &'static str,
    example: &'static str,
}

const RATE: Scale = Scale {
    kind: "rate",
    units: &[
        ("bps", 1),
        ("kbps", 1_000),
        ("Mbps", 1_000_000),
        ("Gbps", 1_000_000_000),
        ("Tbps", 1_000_000_000_000),
    ],
    listed: "bps, kbps, Mbps, Gbps, Tbps (or \"unlimited\")",
    example: "10Gbps",
};

const TIME: Scale = Scale {
    kind: "time",
    units: &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)],
    listed: "ns, us, ms, s",
    example: "50ms",
};

const SIZE: Scale = Scale {
    kind: "size",
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    listed: "B, KiB, MiB, GiB",
    example: "2GiB",
};

/// Reads a rate such as `10Gbps`, `1.5Mbps` or `unlimited` (None), in bits per second.
///
/// Units are accepted in any case, and a blank may stand before them.
///
/// # Errors
/// If the text is no number with a known unit, or no whole number of bits per second.
pub fn parse_rate(text: &str) -> Result<Option<u64>, UnitError> {
    if text.trim().eq_ignore_ascii_case("unlimited") {
        return Ok(None);
    }
    RATE.parse(text).map(Some)
}

/// Reads a time such as `50ms`, `10us` or `1s`, in nanoseconds.
///
/// # Errors
/// If the text is no number with a known unit, or no whole number of nanoseconds.
pub fn parse_time(text: &str) -> Result<u64, UnitError> {
    TIME.parse(text)
}

/// Reads a size such as `512MiB`, in bytes.
///
/// # Errors
/// If the text is no number with a known unit, or no whole number of bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    SIZE.parse(text)
}

/// Writes a rate so that [`parse_rate`] reads the same back.
pub fn show_rate(bits_per_second: Option<u64>) -> String {
    bits_per_second.map_or_else(|| "unlimited".to_owned(), |rate| RATE.show(rate))
}

/// Writes a time so that [`parse_time`] reads the same back.
pub fn show_time(nanoseconds: u64) -> String {
    TIME.show(nanoseconds)
}

impl Scale {
    fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
        let size = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (Some(&(_, size)), Some((whole, fraction))) = (size, split_decimal(number)) else {
            return Err(UnitError::Shape {
                kind: self.kind,
                got: text.to_owned(),
                units: self.listed,
                example: self.example,
            });
        };
        exact(whole, fraction, size).ok_or_else(|| UnitError::Inexact {
            kind: self.kind,
            got: text.to_owned(),
            unit: self.units[0].0,
            example: self.example,
        })
    }

    /// The largest unit in which the value is whole.
    fn show(&self, value: u64) -> String {
        let unit =
            self.units.iter().rev().find(|(_, size)| value > 0 && value.is_multiple_of(*size));
        let &(name, size) = unit.unwrap_or(&self.units[0]);
        format!("{}{name}", value / size)
    }
}

/// `12.5` into `12` and `5`; None unless there are digits, with digits after any point.
fn split_decimal(number: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some((whole, fraction))
}

/// `whole.fraction × size`, if that is a whole number of 64 bits.
fn exact(whole: &str, fraction: &str, size: u64) -> Option<u64> {
    let whole = whole.parse::<u64>().ok()?.checked_mul(size)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Some(whole);
    }
    // More digits than 128 bits hold are no whole number either: a size of 2^30 has 30 places.
    let digits = fraction.parse::<u128>().ok()?;
    let places = 10u128.checked_pow(fraction.len() as u32)?;
    let common = gcd(places, size.into());
    let (places, size) = (places / common, u128::from(size) / common);
    if !digits.is_multiple_of(places) {
        return None;
    }
    // Less than `size`, since a fraction is less than 1.
    whole.checked_add((digits / places * size) as u64)
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_and_times_are_exact() {
        assert_eq!(parse_rate("10Gbps"), Ok(Some(10_000_000_000)));
        assert_eq!(parse_rate("1.5Mbps"), Ok(Some(1_500_000)));
        assert_eq!(parse_rate(" 64 KBPS "), Ok(Some(64_000)));
        assert_eq!(parse_rate("0.10kbps"), Ok(Some(100)));
        assert_eq!(parse_rate("Unlimited"), Ok(None));
        assert_eq!(parse_time("50ms"), Ok(50_000_000));
        assert_eq!(parse_time("10us"), Ok(10_000));
        assert_eq!(parse_time("1s"), Ok(1_000_000_000));
        assert_eq!(parse_time("0ns"), Ok(0));
        assert_eq!(parse_time("1.000000001s"), Ok(1_000_000_001));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_size("0.0009765625KiB"), Ok(1));
        assert!(parse_size("0.3KiB").is_err());
        assert_eq!(parse_time("18446744073.709551615s"), Ok(u64::MAX));
        assert!(parse_time("18446744073.709551616s").is_err());
        assert!(parse_size("2GB").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_an_example() {
        for text in ["", "10", "Gbps", "10Gb", "-1Mbps", "1.Mbps", ".5Mbps", "1..2Mbps", "1e3bps"] {
            let error = parse_rate(text).unwrap_err().to_string();
            assert!(error.contains("e.g. 10Gbps") && !error.contains('\n'), "{error}");
        }
        assert_eq!(
            parse_time("0.5ns").unwrap_err().to_string(),
            "time \"0.5ns\": expected a whole number of ns below 2^64, e.g. 50ms"
        );
        assert!(parse_time("99999999999s").is_err());
        assert!(parse_time("99999999999999999999ns").is_err());
        assert!(parse_time("50µs").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(value: u64) {
            prop_assert_eq!(parse_time(&show_time(value)), Ok(value));
            prop_assert_eq!(parse_rate(&show_rate(Some(value))), Ok(Some(value)));
        }

        #[test]
        fn no_input_panics(text: String) {
            let _ = parse_rate(&text);
            let _ = parse_time(&text);
        }
    }
}

//! What people write: codes, loss models, units, devices, configurations.

use std::fmt::Display;
use std::path::Path;

use maelstrom::fec::Code;
use maelstrom::fec::code::{MAX_GROUP, MAX_INTERLEAVE, MAX_LAYERS};
use maelstrom::lab::loss::{LossModel, LossProcess};
use maelstrom::units;

/// An error is one line that repeats what it is about.
fn one_line(error: impl Display) {
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// A code, in either notation.
pub fn code(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let code = match text.parse::<Code>() {
        Ok(code) => code,
        Err(error) => return one_line(error),
    };
    for code in [&code, &code.short()] {
        assert_eq!(code.to_string().parse::<Code>().as_ref(), Ok(code));
        assert!((1..=MAX_LAYERS).contains(&code.layers().len()));
        for &layer in code.layers() {
            assert!((1..=MAX_GROUP).contains(&layer.group));
            assert!((1..=MAX_INTERLEAVE).contains(&layer.interleave));
            assert!(code.layer_span(layer) <= code.span());
            assert!(code.guard(layer) <= 16 * u64::from(layer.interleave));
        }
        assert!(code.overhead() > 0.0 && code.overhead() <= MAX_LAYERS as f64);
        code.common_factors();
    }
    assert_eq!(code.short().layers().len(), code.layers().len());
}

/// A loss model; behind a line break, the list of `drop:`, whose file is not opened here.
pub fn loss(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (spec, list) = text.split_once('\n').unwrap_or((text, ""));
    let (model, is_list) = match spec.trim().strip_prefix("drop:") {
        Some(_) => match LossModel::from_drop_list(Path::new("list"), list) {
            Ok(model) => (model, true),
            Err(error) => return one_line(error),
        },
        None => match spec.parse() {
            Ok(model) => (model, false),
            Err(error) => return one_line(error),
        },
    };
    assert!(model.check().is_ok(), "what is parsed has passed");
    let mut process = LossProcess::new(&model, 1, 0);
    let lost: Vec<bool> = (0..64).map(|_| process.lost()).collect();
    if is_list {
        let LossModel::Drop { indices, .. } = &model else { panic!("{model:?}") };
        assert!(indices.is_sorted_by(|a, b| a < b));
        for (at, &lost) in (0..).zip(&lost) {
            assert_eq!(lost, indices.contains(&at));
        }
    } else {
        assert_eq!(model.to_string().parse::<LossModel>().ok(), Some(model.clone()));
    }
    if let LossModel::Burst { start, length } = model {
        for (at, &lost) in (0..).zip(&lost) {
            assert_eq!(lost, (start..start + length).contains(&at));
        }
    }
}

const RATES: &[(&str, u128)] = &[
    ("bps", 1),
    ("kbps", 1000),
    ("mbps", 1_000_000),
    ("gbps", 1_000_000_000),
    ("tbps", 1_000_000_000_000),
];
const TIMES: &[(&str, u128)] = &[("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000)];
const SIZES: &[(&str, u128)] = &[("b", 1), ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30)];

/// A rate, a time and a size: each must come to exactly what is written.
pub fn units(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match units::parse_rate(text) {
        Ok(None) => assert_eq!(text.trim().to_ascii_lowercase(), "unlimited"),
        Ok(Some(rate)) => {
            assert_eq!(exactly(text, RATES), Some(rate));
            assert_eq!(units::parse_rate(&units::show_rate(Some(rate))), Ok(Some(rate)));
        }
        Err(error) => {
            assert_eq!(exactly(text, RATES), None, "{error}");
            one_line(error);
        }
    }
    match units::parse_time(text) {
        Ok(time) => {
            assert_eq!(exactly(text, TIMES), Some(time));
            assert_eq!(units::parse_time(&units::show_time(time)), Ok(time));
        }
        Err(error) => {
            assert_eq!(exactly(text, TIMES), None, "{error}");
            one_line(error);
        }
    }
    match units::parse_size(text) {
        Ok(size) => assert_eq!(exactly(text, SIZES), Some(size)),
        Err(error) => {
            assert_eq!(exactly(text, SIZES), None, "{error}");
            one_line(error);
        }
    }
}

/// The slow way: all digits as one number, times the unit, over a power of ten; whole or not.
fn exactly(text: &str, units: &[(&str, u128)]) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let number = &text[..text.find(|c| !is_number(c)).unwrap_or(text.len())];
    let unit = text[number.len()..].trim_start();
    let &(_, size) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    // Nothing longer is a whole number of 64 bits: 2^30 divides by no more tens and twos.
    if whole.len() > 20 || fraction.len() > 30 {
        return None;
    }
    let value =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let mut part = value(fraction)?;
    let mut size_left = size;
    // fraction × size ÷ 10^n, cancelling as it goes so that 128 bits are enough.
    for _ in 0..fraction.len() {
        for prime in [2, 5] {
            if size_left % prime == 0 {
                size_left /= prime;
            } else if part % prime == 0 {
                part /= prime;
            } else {
                return None;
            }
        }
    }
    let sum = value(whole)?.checked_mul(size)?.checked_add(part.checked_mul(size_left)?)?;
    u64::try_from(sum).ok()
}

/// A port: a PCI address or a vdev string.
#[cfg(feature = "dpdk")]
pub fn device(bytes: &[u8]) {
    use maelstrom::dpdk::Device;
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Device::parse(text) {
        Ok(device) => {
            assert!(!device.name().is_empty());
            let again = Device::parse(&device.to_string()).expect("what is shown reads back");
            assert_eq!((again.name(), again.arguments()), (device.name(), device.arguments()));
            device.values("iface").for_each(drop);
        }
        Err(error) => one_line(error),
    }
}

/// A gateway's configuration file.
#[cfg(feature = "dpdk")]
pub fn config(bytes: &[u8]) {
    use maelstrom::config::Config;
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Config::parse(Path::new("gateway.toml"), text) {
        Ok(config) => {
            let blueprint = config.blueprint();
            assert!(blueprint.check(config.gateway.memory_limit).is_ok());
            blueprint.warnings().iter().for_each(one_line);
            let codes = [Some(&blueprint.code), blueprint.sparse.as_ref()];
            let span = codes.into_iter().flatten().map(|code| code.span()).max();
            let window = blueprint.recover(0).decoder.window as u64;
            assert!(span.is_some_and(|span| span <= window), "{span:?} in {window}");
            runs(&blueprint);
        }
        Err(error) => {
            assert!(error.to_string().starts_with("gateway.toml:"), "{error}");
            one_line(error);
        }
    }
}

/// A configuration that was accepted makes an encoder that a few packets and years don't upset.
#[cfg(feature = "dpdk")]
fn runs(blueprint: &maelstrom::gateway::Blueprint) {
    use maelstrom::fec::Encoder;
    let mut config = blueprint.protect(0, 1, [2; 6], [4; 6]).encoder;
    // Time is what matters here; memory would be slow.
    if config.memory_bytes() > 4 << 20 {
        return;
    }
    config.max_frame = config.max_frame.min(64);
    let mut encoder = Encoder::new(&config);
    let mut now = 0;
    for step in [0, 1, 1 << 20, 1 << 30, 1 << 40, 1 << 58] {
        now += step;
        for _ in 0..3 {
            encoder.push(now, 1, &[1; 60]);
        }
        encoder.poll(now);
        let next = encoder.next_deadline();
        assert!(next.is_none_or(|next| next > now), "polled at {now}, next at {next:?}");
        while encoder.take_repair().is_some() {}
    }
}

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn model(spec: &str) -> LossModel {
    spec.parse().unwrap()
}

fn lost_indices(model: &LossModel, seed: u64, direction: u8, packets: u64) -> Vec<u64> {
    let mut process = LossProcess::new(model, seed, direction);
    (0..packets).filter(|_| process.lost()).collect()
}

#[test]
fn what_is_parsed_is_displayed() {
    for spec in ["none", "iid:0.01", "iid:0", "ge:0.01,20", "ge:0.0001,1.5", "burst:1000,25"] {
        assert_eq!(model(spec).to_string(), spec);
    }
    assert_eq!(model(" ge:1e-2, 20 "), LossModel::Ge { rate: 0.01, mean_burst: 20.0 });
}

#[test]
fn errors_say_what_was_got_what_was_expected_and_an_example() {
    let forms = "expected none, iid:P, ge:RATE,MEANBURST, drop:FILE or burst:START,LENGTH";
    for (spec, message) in [
        ("ge:2,20", "loss \"ge:2,20\": the loss rate must lie in 0..1, e.g. ge:0.01,20"),
        ("iid:1", "loss \"iid:1\": the loss rate must lie in 0..1, e.g. iid:0.01"),
        ("iid:-0.1", "loss \"iid:-0.1\": the loss rate must lie in 0..1, e.g. iid:0.01"),
        ("iid:NaN", "loss \"iid:NaN\": the loss rate must lie in 0..1, e.g. iid:0.01"),
        ("iid:x", "loss \"iid:x\": \"x\" is not a number, e.g. iid:0.01"),
        (
            "ge:0.1,0.5",
            "loss \"ge:0.1,0.5\": the mean burst must be at least 1 packet, e.g. ge:0.01,20",
        ),
        (
            "ge:0.1,nan",
            "loss \"ge:0.1,NaN\": the mean burst must be at least 1 packet, e.g. ge:0.01,20",
        ),
        (
            "ge:0.1,inf",
            "loss \"ge:0.1,inf\": the mean burst must be at least 1 packet, e.g. ge:0.01,20",
        ),
        (
            "ge:0.9,2",
            "loss \"ge:0.9,2\": this loss rate needs a mean burst of at least 9.00, e.g. ge:0.01,20",
        ),
        ("ge:0.1", "loss \"ge:0.1\": expected ge:RATE,MEANBURST, e.g. ge:0.01,20"),
        ("ge:0.1,2,3", "loss \"ge:0.1,2,3\": expected ge:RATE,MEANBURST, e.g. ge:0.01,20"),
        (
            "burst:5,0",
            "loss \"burst:5,0\": the length must be at least 1 packet, e.g. burst:1000,25",
        ),
        ("burst:5,-1", "loss \"burst:5,-1\": \"-1\" is not a whole number, e.g. burst:1000,25"),
        (
            "burst:18446744073709551615,1",
            "loss \"burst:18446744073709551615,1\": the burst must end below wire index 2^64, e.g. burst:1000,25",
        ),
        ("", &format!("loss \"\": {forms}, e.g. ge:0.01,20")),
        ("none:", &format!("loss \"none:\": {forms}, e.g. ge:0.01,20")),
        ("drop:", &format!("loss \"drop:\": {forms}, e.g. ge:0.01,20")),
        ("drpo:x", &format!("loss \"drpo:x\": {forms}, e.g. ge:0.01,20")),
    ] {
        assert_eq!(spec.parse::<LossModel>().unwrap_err().to_string(), message);
    }
}

#[test]
fn a_drop_file_is_read_and_its_errors_name_file_and_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "# lost on Tuesday\n7\n\n  3 # again\r\n7\n0").unwrap();
    let spec = format!("drop:{}", file.path().display());
    let model = model(&spec);
    assert_eq!(model.to_string(), spec);
    assert_eq!(lost_indices(&model, 1, 0, 100), [0, 3, 7]);

    let error = LossModel::from_drop_list(Path::new("a.txt"), "1\n# x\n-2\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.txt:3: \"-2\" is not a wire packet index; expected one whole number per line, \
         counted from 0, e.g. 1042"
    );
    let error = "drop:/nonexistent/list".parse::<LossModel>().unwrap_err().to_string();
    assert!(
        error.starts_with("loss \"drop:/nonexistent/list\": cannot read the file: "),
        "{error}"
    );
    assert!(error.ends_with("e.g. drop:losses.txt") && !error.contains('\n'), "{error}");
}

#[test]
fn a_burst_takes_exactly_its_packets() {
    assert_eq!(lost_indices(&model("burst:10,4"), 9, 1, 1000), [10, 11, 12, 13]);
    assert_eq!(lost_indices(&model("burst:0,1"), 9, 1, 1000), [0]);
    assert!(lost_indices(&model("none"), 9, 1, 1000).is_empty());
}

/// Five standard deviations of a binomial.
fn near(got: f64, packets: f64, rate: f64) {
    let deviation = (rate * (1.0 - rate) / packets).sqrt();
    assert!((got - rate).abs() < 5.0 * deviation, "{got} is not near {rate}");
}

#[test]
fn iid_loses_its_share() {
    for (spec, rate) in [("iid:0.001", 0.001), ("iid:0.03", 0.03), ("iid:0.5", 0.5)] {
        let lost = lost_indices(&model(spec), 42, 0, 1_000_000);
        near(lost.len() as f64 / 1e6, 1e6, rate);
        // Independent: a loss follows a loss as often as it follows anything else.
        let pairs = lost.windows(2).filter(|w| w[1] == w[0] + 1).count();
        near(pairs as f64 / 1e6, 1e6, rate * rate);
    }
    assert!(lost_indices(&model("iid:0"), 42, 0, 100_000).is_empty());
}

#[test]
fn gilbert_elliott_has_its_rate_and_its_mean_burst() {
    for (rate, burst) in [(0.01, 10.0), (0.01, 20.0), (0.1, 40.0), (0.3, 1.0), (0.9, 12.0)] {
        let packets = 1_000_000;
        let lost = lost_indices(&LossModel::Ge { rate, mean_burst: burst }, 42, 0, packets);
        let bursts: Vec<&[u64]> = lost.chunk_by(|a, b| a + 1 == *b).collect();
        let (lost, n) = (lost.len() as f64, bursts.len() as f64);

        // Burst lengths are geometric: standard deviation sqrt(B(B−1)).
        let deviation = (burst * (burst - 1.0) / n).sqrt();
        assert!((lost / n - burst).abs() <= 5.0 * deviation + 1e-3, "{} for {burst}", lost / n);

        // A two-state chain with second eigenvalue v: the variance of the mean is the binomial
        // one times (1 + v)/(1 − v).
        let v: f64 = 1.0 - 1.0 / burst - rate / ((1.0 - rate) * burst);
        let deviation = (rate * (1.0 - rate) / packets as f64 * (1.0 + v) / (1.0 - v)).sqrt();
        assert!((lost / packets as f64 - rate).abs() < 5.0 * deviation, "{lost} for {rate}");

        // Geometric also means: the share of bursts of one packet is 1/B.
        let ones = bursts.iter().filter(|b| b.len() == 1).count() as f64;
        let expected = 1.0 / burst;
        assert!((ones / n - expected).abs() <= 5.0 * (expected * (1.0 - expected) / n).sqrt());
    }
}

#[test]
fn gilbert_elliott_starts_stationary() {
    let model = LossModel::Ge { rate: 0.2, mean_burst: 50.0 };
    let first = (0..20_000).filter(|&seed| LossProcess::new(&model, seed, 0).lost()).count();
    near(first as f64 / 20_000.0, 20_000.0, 0.2);
}

#[test]
fn seed_and_direction_decide_and_nothing_else() {
    for spec in ["iid:0.01", "ge:0.01,10"] {
        let model = model(spec);
        let west = lost_indices(&model, 42, 0, 100_000);
        assert_eq!(west, lost_indices(&model, 42, 0, 100_000));
        assert_ne!(west, lost_indices(&model, 42, 1, 100_000));
        assert_ne!(west, lost_indices(&model, 43, 0, 100_000));
    }
}

proptest! {
    #[test]
    fn every_possible_chain_reads_back(rate in 0.0..1.0f64, burst in 1.0..1e4f64) {
        let model = LossModel::Ge { rate, mean_burst: burst };
        match model.to_string().parse::<LossModel>() {
            Ok(back) => prop_assert_eq!(back, model),
            Err(error) => {
                let impossible = matches!(error, LossError::Impossible { .. });
                prop_assert!(impossible);
                prop_assert!(rate / (1.0 - rate) > burst);
            }
        }
    }

    #[test]
    fn no_spec_panics(kind in "iid|ge|burst|none|x", values in "[-0-9.,naeif: ]{0,20}") {
        if let Ok(model) = format!("{kind}:{values}").parse::<LossModel>() {
            lost_indices(&model, 1, 0, 100);
        }
    }

    #[test]
    fn a_list_loses_exactly_what_it_lists(mut list in proptest::collection::vec(0u64..500, 0..80)) {
        let text: String = list.iter().map(|i| format!("{i}\n")).collect();
        let model = LossModel::from_drop_list(Path::new("l"), &text).unwrap();
        list.sort_unstable();
        list.dedup();
        prop_assert_eq!(lost_indices(&model, 0, 0, 500), list);
    }
}

//! What does not fit between two gateways, in a line.

use crate::wire::hello::Facts;

/// What does not fit, what it is here and there, and which key mends it; `None` if all does.
pub fn mismatch(here: &Facts, there: &Facts) -> Option<String> {
    let mut problems = Vec::new();
    let mut differs = |what: &str, key: &str, here: String, there: String| {
        if here != there {
            problems.push(format!("{what}: {here} here, {there} there; set {key} alike"));
        }
    };
    differs(
        "encapsulation",
        "wan.encapsulation",
        here.encapsulation.name(),
        there.encapsulation.name(),
    );
    differs("integrity", "code.integrity", integrity(here.integrity), integrity(there.integrity));
    differs("WAN MTU", "wan.mtu", here.wan_mtu.to_string(), there.wan_mtu.to_string());
    if here.wan_mtu == there.wan_mtu {
        let bytes = |frame: u16| format!("{frame} bytes");
        differs(
            "the longest protected frame",
            "lan.mtu",
            bytes(here.max_frame),
            bytes(there.max_frame),
        );
    }
    let takes = |yes| if yes { "bypass" } else { "drop" }.to_owned();
    differs("oversize", "wan.oversize", takes(here.unprotected), takes(there.unprotected));
    for (sends, expects, whose, key) in [
        (there.channels_out, here.channels_in, "the peer sends", "wan.peer_channels"),
        (
            here.channels_out,
            there.channels_in,
            "this gateway sends",
            "the peer's wan.peer_channels",
        ),
    ] {
        if sends != expects {
            let far = if whose == "the peer sends" { "this gateway" } else { "the peer" };
            problems.push(format!(
                "channels: {whose} on {sends}, {far} expects {expects}; set {key} = {sends}"
            ));
        }
    }
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// As the configuration has it.
fn integrity(number: u8) -> String {
    match number {
        0 => "off".to_owned(),
        1 => "check".to_owned(),
        2 => "keys".to_owned(),
        other => format!("unknown ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hello::Encapsulation;

    const FACTS: Facts = Facts {
        integrity: 1,
        encapsulation: Encapsulation::ETHER,
        channels_out: 1,
        channels_in: 1,
        wan_mtu: 1900,
        max_frame: 1522,
        unprotected: true,
        window: 13,
    };

    #[test]
    fn each_difference_names_both_ends_and_the_key() {
        assert_eq!(mismatch(&FACTS, &FACTS), None);
        for (there, expected) in [
            (Facts { integrity: 0, ..FACTS }, &["check here, off there", "code.integrity"][..]),
            (
                Facts { encapsulation: Encapsulation::UDP4, ..FACTS },
                &["ether here, udp over IPv4 there", "wan.encapsulation"],
            ),
            (
                Facts { wan_mtu: 9000, max_frame: 2000, ..FACTS },
                &["WAN MTU: 1900 here, 9000 there; set wan.mtu alike"],
            ),
            (Facts { max_frame: 1400, ..FACTS }, &["1522 bytes here, 1400 bytes there", "lan.mtu"]),
            (Facts { unprotected: false, ..FACTS }, &["bypass here, drop there"]),
            (
                Facts { channels_out: 4, ..FACTS },
                &["on 4", "expects 1", "set wan.peer_channels = 4"],
            ),
            (
                Facts { channels_in: 4, ..FACTS },
                &[
                    "this gateway sends on 1, the peer expects 4",
                    "the peer's wan.peer_channels = 1",
                ],
            ),
        ] {
            let line = mismatch(&FACTS, &there).unwrap();
            assert!(expected.iter().all(|part| line.contains(part)), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
        // Several at once are one line still.
        let line = mismatch(&FACTS, &Facts { integrity: 0, wan_mtu: 9000, ..FACTS }).unwrap();
        assert!(line.contains("integrity") && line.contains("WAN MTU") && !line.contains('\n'));
    }
}

use super::*;
use crate::dpdk::mempool;
use crate::wire::encap::{Carrier, Dscp, TAG_LEN, Tunnel};
use crate::wire::repair::REPAIR_LEN;

fn blueprint(code: &str) -> Blueprint {
    Blueprint::new(Side::West, code.parse().unwrap())
}

#[test]
fn says_what_does_not_fit() {
    let good = blueprint("20:97,101,103+g1");
    assert_eq!(good.check(1 << 30), Ok(()));
    assert!(good.warnings().is_empty());
    let error = good.check(1 << 20).unwrap_err().to_string();
    assert!(error.contains("20:97,101,103+g1") && error.contains("limit of 1 MiB"), "{error}");
    let small = Blueprint { wan_mtu: 90, ..good.clone() };
    assert!(small.check(1 << 30).unwrap_err().to_string().contains("MTU of 90"));
    let window = Blueprint { window: Some(1024), ..good.clone() };
    assert!(window.check(1 << 30).unwrap_err().to_string().contains("2060"));
}

#[test]
fn every_channel_takes_its_own() {
    let one = blueprint("20:97,101,103+g1");
    let four = Blueprint { channels_out: 2, channels_in: 4, ..one.clone() };
    assert_eq!(four.memory().groups, 2 * one.memory().groups);
    assert_eq!(four.memory().window, 4 * one.memory().window);
    assert_eq!((four.kept(), four.mbufs()), (4 * one.kept(), 4 * one.mbufs()));
    let limit = one.memory().total();
    assert_eq!(one.check(limit), Ok(()));
    assert!(four.check(limit).unwrap_err().to_string().contains("fewer channels"));
}

#[test]
fn codes_that_change_have_room_for_the_largest() {
    let fixed = blueprint("20:97,101,103+g1");
    let largest: Code = "24:307,311,313,317,331,337+g1".parse().unwrap();
    let auto = Blueprint { largest: Some(largest.clone()), ..fixed.clone() };
    assert_eq!((fixed.levels(), auto.levels(), auto.span()), (3, 6, largest.span()));
    let encoder = auto.encoder_for(&largest);
    assert_eq!((encoder.timing.flush_cap, &encoder.code), (6.0, &largest));
    assert_eq!(encoder.sparse, Some(largest.short()));
    assert_eq!(auto.memory().groups, 3 * encoder.memory_bytes() as u64);
    let window = auto.decoder().window as u64;
    assert!(window >= 3 * largest.span() && auto.memory().window > fixed.memory().window);
}

#[test]
fn warns_of_what_is_unwise() {
    assert_eq!(blueprint("8:1,20,40").warnings().len(), 1);
    let tight = Blueprint { wan_mtu: 1500, ..blueprint("20:97,101+g1") };
    assert!(tight.warnings()[0].contains("1459 to 1522"), "{:?}", tight.warnings());
    let told = Blueprint { mss_clamp: true, too_big: TooBig::Icmp, ..tight.clone() };
    assert!(told.warnings()[0].contains("TCP's MSS and by ICMP; others will be sent unprot"));
    assert_eq!((told.warnings().len(), told.max_ip()), (1, 1444));
    assert_eq!((told.clamp(), tight.clamp()), (Some(1458), None));
    let roomy = Blueprint { wan_mtu: 1564, ..told.clone() };
    assert_eq!((roomy.clamp(), roomy.max_ip(), roomy.warnings().len()), (None, 1500, 0));
    let narrow = Blueprint { wan_mtu: 1300, ..told };
    assert!(narrow.warnings()[1].contains("IP packets of 1244 bytes fit, and IPv6 needs 1280"));
    assert!(narrow.warnings()[1].contains("a WAN MTU of 1336"));
    let off = Blueprint { integrity: Integrity::Off, ..blueprint("20:97,101+g1") };
    assert!(off.warnings()[0].contains("integrity"));
}

#[test]
fn whatever_is_protected_fits_the_wan_with_its_repairs() {
    let tunnel = |ours: &str, peer: &str| {
        let [ours, peer] = [ours, peer].map(|address| address.parse().unwrap());
        let (port, dscp, checksum) = (8147, Dscp::Copy, false);
        let carrier = Carrier::Udp(Tunnel { ours, peer, port, dscp, checksum });
        Encapsulation { vlan: Some(100), carrier }
    };
    let v4 = tunnel("192.0.2.1", "198.51.100.1");
    let v6 = tunnel("2001:db8:1::1", "2001:db8:2::1");
    for (encapsulation, longest_at_1500) in
        [(Encapsulation::default(), 1458), (v4, 1430), (v6, 1410)]
    {
        for wan_mtu in [300, 1500, 9000] {
            let blueprint = Blueprint { wan_mtu, encapsulation, ..blueprint("20:97,101+g1") };
            let encoder = blueprint.encoder();
            if wan_mtu == 1500 {
                assert_eq!(encoder.max_frame, longest_at_1500);
            }
            assert!(encoder.repair_room >= encoder.max_frame);
            let longest = encapsulation.overhead() + REPAIR_LEN + encoder.repair_room;
            assert!(longest <= usize::from(wan_mtu));
            assert!(longest <= usize::from(blueprint.wan_port_mtu()));
            let room = usize::from(blueprint.data_room() - mempool::HEADROOM);
            assert!(OUTER_LEN + TAG_LEN + longest <= room);
        }
    }
}

//! A LAN as fast as the WAN, at gateways that know it and at gateways that don't.

use crate::bench::Bench;
use crate::common::distinct;

#[test]
fn gateways_that_know_the_rate_choose_what_is_dropped() {
    let bench = Bench::new(&distinct(21, 20_000));
    let full = "--rate 1Gbps --wan-rate 1Gbps --queue 100";
    let unaware = bench.run("unaware", full);
    unaware.adds_up(full);
    assert!(unaware.count("wan/eastward/tail_dropped") > 500, "{:#}", unaware.report);

    let flags = format!("{full} --overload reserve --gateway-queue 128KiB");
    let reserve = bench.run("reserve", &flags);
    reserve.adds_up(&flags);
    let dropped = reserve.count("dropped/overload_dropped");
    assert!(dropped > 500, "{:#}", reserve.report);
    for name in ["wan/eastward/tail_dropped", "repair_shed", "unrecovered"] {
        assert_eq!(reserve.count(name), 0, "{name}: {:#}", reserve.report);
    }
    for level in 0..3 {
        let name = format!("time_to_level_ns/{level}/count");
        assert_eq!(reserve.count(&name), 20_000 - dropped, "{:#}", reserve.report);
    }
    let said = &reserve.ended.stdout;
    assert!(said.contains(&format!("dropped         {dropped} overload_dropped")), "{said}");

    // Headers make of 1 Gb/s more than that.
    let flags = "--rate 800Mbps --wan-rate 1Gbps --overload source-first";
    let sources = bench.run("sources", flags);
    sources.adds_up(flags);
    assert_eq!(sources.count("delivered"), 20_000, "{:#}", sources.report);
    let shed = sources.count("repair_shed");
    assert!(shed > 500, "{:#}", sources.report);
    let by_layer = (0..3).map(|n| sources.count(&format!("repair_shed_by_layer/{n}")));
    let by_layer: Vec<u64> = by_layer.collect();
    assert_eq!(by_layer.iter().sum::<u64>(), shed);
    assert!(by_layer.is_sorted(), "{by_layer:?}");
    assert!(sources.ended.stdout.contains("repairs shed"), "{}", sources.ended.stdout);
}

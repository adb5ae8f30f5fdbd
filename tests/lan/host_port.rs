//! A gateway with a LAN port and a host port, and a WAN on which full LAN frames don't fit.
//!
//! ```text
//!   host 2 ─ veth ─ af_packet ┐
//!                             west ─ memif ─ east ─ tap ─ host 3
//!              host 1 ─ tap ┘
//! ```
//!
//! Host 1 is west's own, but in another namespace: a port that DPDK drives is no longer the kernel's, and
//! af_packet's are.

use std::path::Path;

use crate::common::Ended;
use crate::hosts::{answer, ask};
use crate::net::{Net, count, end};

fn configuration(side: &str, lan: &str, role: &str, folder: &Path, wan: &str) -> String {
    let socket = folder.join("wan.sock");
    format!(
        "[gateway]\nside = \"{side}\"\nkeys = \"none\"\nhugepages = false\nidle = \"rest\"\n[lan]\n{lan}\n[wan]\n\
         port = \"net_memif0,role={role},id=0,socket={},socket-abstract=no\"\nmtu = 1500\n{wan}\n\
         [code]\nlayers = \"8:21,23,25+g1\"\n[[worker]]\nrooms = [\"protect\", \"recover\"]\n",
        socket.display()
    )
}

#[test]
fn hosts_on_all_ports_reach_each_other_and_learn_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let Some(w) = Net::first(path) else { return };
    let [s, h, e] = ["s", "h", "e"].map(|name| w.next(path, name));
    w.veth(1500, "lan0", &h, "eth0", Some(2));
    let ports = "port = \"net_af_packet0,iface=lan0\"\nmore_ports = [\"net_tap0,iface=host0\"]";
    let west = w.gateway(path, "west", &configuration("west", ports, "server", path, ""));
    w.give("host0", &s);
    s.up("host0", Some(1));
    // One gateway clamps for both.
    let port = "port = \"net_tap0,iface=host0\"";
    let east = configuration("east", port, "client", path, "mss_clamp = false");
    let east = e.gateway(path, "east", &east);
    e.up("host0", Some(3));
    let answering = [("s", &s), ("h", &h), ("e", &e)].map(|(name, net)| answer(net, path, name));

    ask(&h, path, "everyone 3");
    ask(&s, path, "everyone 3");
    ask(&e, path, "everyone 3");
    // Over the WAN from both ports, and back.
    ask(&s, path, "stream 10.77.0.3 200000");
    ask(&h, path, "stream 10.77.0.3 200000");
    ask(&e, path, "stream 10.77.0.1 200000");
    ask(&e, path, "stream 10.77.0.2 200000");
    // Between them, not over the WAN.
    ask(&s, path, "stream 10.77.0.2 4000000");
    // Full frames that must not be fragmented, from either port and either side.
    for (net, to) in [(&s, 3), (&h, 3), (&e, 1)] {
        ask(net, path, &format!("datagram 10.77.0.{to} 1472"));
        ask(net, path, &format!("datagram fd77::{to} 1452"));
    }

    drop(answering);
    let (west, east) = (end(west), end(east));
    let told = format!("{west:?} {east:?}");
    assert!(west.stderr.contains("hosts are told so by TCP's MSS and by ICMP"), "{told}");
    assert!(west.stderr.contains("IP packets of up to 1444"), "{told}");
    let of = |ended: &Ended, room: &str, name: &str| count(ended, room, name);
    // 1.6 MB over the WAN, both ways, are some 600 packets from west, and 4 MB to and fro some 5600.
    assert!(of(&west, "protect", "lan_in") < 3000, "{told}");
    assert!(of(&west, "bridge", "lan_in") > 5000, "{told}");
    // Each SYN went through west, out or in; each asks for 1460.
    assert!(of(&west, "protect", "mss_clamped") >= 4, "{told}");
    assert!(of(&west, "recover", "mss_clamped") >= 4, "{told}");
    assert_eq!(of(&east, "protect", "mss_clamped"), 0, "{told}");
    for side in [&west, &east] {
        let dropped = of(side, "protect", "too_big");
        assert!((2..100).contains(&dropped), "{told}");
        assert_eq!(of(side, "protect", "too_big_told"), dropped, "{told}");
        assert_eq!(of(side, "recover", "answers"), dropped, "{told}");
        for none in ["too_large", "no_headroom"] {
            assert_eq!(of(side, "protect", none), 0, "{told}");
        }
    }
    // What host 2 fragments, af_packet puts together again (it asks for PACKET_FANOUT_FLAG_DEFRAG).
    assert_eq!(of(&east, "protect", "bypassed"), 0, "{told}");
    assert!(of(&west, "protect", "bypassed") < 10, "{told}");
    for none in ["moved", "lan_full", "wan_full", "no_mbuf", "malformed"] {
        assert_eq!(of(&west, "bridge", none), 0, "{none}: {told}");
    }
}

//! Frames of 9,000 bytes from end to end, unfragmented, on veths.
//!
//! ```text
//!   host 1 ─ veth ─ west ─ veth ─ east ─ veth ─ host 2
//! ```

use crate::hosts::{answer, ask};
use crate::net::{Net, count, end};

/// Room for whole frames, which af_packet has to be told of: of few, since it is memory that is locked.
const ROOM: &str = "blocksz=36864,framesz=9216,framecnt=128";

fn configuration(side: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nkeys = \"none\"\nhugepages = false\nidle = \"rest\"\n\
         [lan]\nport = \"net_af_packet0,iface=lan0,{ROOM}\"\nmtu = 9000\n\
         [wan]\nport = \"net_af_packet1,iface=wan0,{ROOM}\"\nmtu = 9600\n\
         [code]\nlayers = \"8:21,23,25+g1\"\n[[worker]]\nrooms = [\"protect\", \"recover\"]\n",
    )
}

#[test]
fn jumbo_frames_cross_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let Some(w) = Net::first(path) else { return };
    let (a, b, e) = (w.next(path, "a"), w.next(path, "b"), w.next(path, "e"));
    w.veth(9000, "lan0", &a, "eth0", Some(1));
    e.veth(9000, "lan0", &b, "eth0", Some(2));
    w.veth(9600, "wan0", &e, "wan0", None);
    let west = w.gateway(path, "west", &configuration("west"));
    let east = e.gateway(path, "east", &configuration("east"));
    let _answering = answer(&b, path, "answer");
    ask(&a, path, "datagram 10.77.0.2 8972");
    ask(&a, path, "datagram fd77::2 8952");
    ask(&a, path, "stream 10.77.0.2 1000000");
    let ended = [end(west), end(east)];
    for side in &ended {
        assert!(side.stderr.contains("IP packets of up to 9000"), "{ended:?}");
        let sources = count(side, "protect", "source_sent");
        let bytes = count(side, "protect", "source_sent_bytes");
        // 1 MB each way in some 115 frames, their acknowledgements, and a few more.
        assert!(bytes > 1_000_000 && sources < 600, "{ended:?}");
        for none in ["bypassed", "too_large", "too_big", "mss_clamped"] {
            assert_eq!(count(side, "protect", none), 0, "{ended:?}");
        }
    }
}

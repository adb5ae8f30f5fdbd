//! Gateways with a key file: what crosses with the same key, and what without.

use crate::*;

/// As [`pair`], each with a key file of its own, which a `maelstrom key` has made.
fn keyed(folder: &Path, files: [&str; 2], mode: &str) -> [Process; 2] {
    write_capture(&folder.join("in.pcap"), &distinct(3, 500));
    let lan = "net_pcap0,rx_pcap=in.pcap,infinite_rx=1";
    let [west, east] =
        [("west", lan, "server", files[0]), ("east", "net_null0,no-rx=1", "client", files[1])].map(
            |(side, lan, role, file)| {
                let text = configuration(side, lan, &memif(folder, role), "");
                let key = format!("key_file = \"{file}\"\nkey_mode = \"{mode}\"");
                (side, text.replacen("keys = \"none\"", &key, 1))
            },
        );
    [gateway(folder, west.0, &west.1), gateway(folder, east.0, &east.1)]
}

fn make_key(folder: &Path, file: &str) {
    let made = maelstrom(folder, &["key", file]);
    assert_eq!((made.status, made.stderr.as_str()), (Some(0), ""), "{made:?}");
}

#[test]
fn frames_cross_with_the_same_key_and_nothing_else_does() {
    for mode in ["tag", "seal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        make_key(path, "key");
        let gateways = keyed(path, ["key", "key"], mode);
        up(path);
        wait_until("frames in the east", || {
            count(&status(path, "east"), "recover", "delivered") > 1000
        });
        for side in ["west", "east"] {
            let status = status(path, side);
            assert_eq!(status["gateway"]["keys"], mode);
            assert_eq!(status["peer"]["keys_agreed"], true);
            assert_eq!(count(&status, "recover", "bad_tag"), 0, "{status}");
            let said = refused(path, side, &["bypass", "on"]);
            assert!(said.contains("with keys nothing crosses unprotected"), "{said}");
        }
        end(gateways);
    }
}

#[test]
fn nothing_crosses_with_another_key_and_both_ends_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    make_key(path, "key");
    make_key(path, "other");
    let mut gateways = keyed(path, ["key", "other"], "tag");
    let says = "that this gateway's key does not prove";
    gateways.iter_mut().for_each(|gateway| gateway.wait_for(says));
    for (side, gateway) in ["west", "east"].iter().zip(&gateways) {
        let (said, status) = (gateway.stderr(), status(path, side));
        assert_eq!(said.lines().filter(|line| line.contains(says)).count(), 1, "{said}");
        assert_eq!(status["peer"]["standing"], "down");
        assert_eq!(status["peer"]["keys_agreed"], false);
        assert_eq!(count(&status, "recover", "delivered"), 0, "{status}");
        assert_eq!(count(&status, "protect", "source_sent"), 0, "{status}");
    }
    assert!(count(&status(path, "west"), "protect", "no_keys") > 0);
    end(gateways);
}

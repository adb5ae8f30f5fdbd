//! Configuration files of `run`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::maelstrom;
use crate::{folder, refused};

const GOOD: &str = r#"[gateway]
side = "west"
hugepages = false
idle = "rest"
keys = "none"
[lan]
port = "net_null0"
[wan]
port = "net_null1"
mtu = 1900
[code]
layers = "20:97,101,103+g1"
[[worker]]
rooms = ["protect", "recover"]
"#;

#[test]
fn each_bad_key_is_named_with_what_was_got_and_what_is_expected() {
    let folder = folder();
    let path = folder.path();
    for (from, to, expected) in [
        ("side = \"west\"", "sdie = \"west\"", &["gateway.toml:2", "unknown field `sdie`"][..]),
        ("side = \"west\"", "", &["gateway.toml", "missing field `side`"]),
        ("side = \"west\"", "side = \"north\"", &["gateway.toml:2", "north", "west"]),
        ("[wan]", "[wna]", &["gateway.toml:8", "unknown field `wna`", "`wan`"]),
        ("hugepages = false", "hugepages = 1", &["gateway.toml:3", "expected a boolean"]),
        ("hugepages = false", "hugepages = fals", &["gateway.toml:3"]),
        ("mtu = 1900", "mtu = 100", &["wan.mtu", "got 100, expected 256 to 9600"]),
        ("mtu = 1900", "mtu = 1e9", &["gateway.toml:10", "mtu = 1e9"]),
        ("layers = \"20:97", "layers = \"20:x", &["gateway.toml:12", "the interleave is \"x\""]),
        ("\"20:97,101,103+g1\"", "\"1024:16381\"", &["code.layers", "limit of 2048 MiB"]),
        ("[code]", "[code]\nidle = \"0ms\"", &["code.idle", "got 0, expected a time"]),
        ("[code]", "[code]\nwindow = 300", &["code.layers", "expected at least 2060"]),
        ("[[worker]]", "[code.auto]\nresidual = 0.0\n[[worker]]", &["code.auto.residual", "got 0"]),
        (
            "[[worker]]",
            "[code.auto]\noverhead_limit = 0.1\n[[worker]]",
            &["code.auto.overhead_limit", "got 0.1, expected 0.150"],
        ),
        (
            "[[worker]]",
            "[code.auto]\nlargest = \"8:1\"\n[[worker]]",
            &["code.auto.largest", "got 8:1 with a span of 7", "at least 2060"],
        ),
        (
            "[[worker]]",
            "[code.auto]\nquiet = \"1ms\"\n[[worker]]",
            &["code.auto.quiet", "got 1 ms"],
        ),
        ("[[worker]]", "[code.auto]\ngain = 1.5\n[[worker]]", &["code.auto.gain", "got 1.5"]),
        ("[[worker]]", "[code.auto]\nfast = 1\n[[worker]]", &["unknown field `fast`", "residual"]),
        (
            "[code]",
            "[code]\nsparse = \"8:5,7,9\"\nauto = { }",
            &["code.sparse", "expected auto or off"],
        ),
        (
            "[code]",
            "[code]\nmax_age = [\"1ms\", \"1ms\", \"1ms\"]\nauto = { }",
            &["code.max_age", "expected none with code.auto"],
        ),
        ("[code]", "[code]\nmax_age = [\"1ms\"]", &["code.max_age", "got 1 times for 3 layers"]),
        ("\"protect\", ", "", &["worker", "expected the rooms", "each at least once"]),
        ("\"recover\"]", "\"recover\", \"recover\"]", &["worker", "the first worker", "twice"]),
        (
            "[[worker]]",
            "[[worker]]\nrooms = [\"recover\"]\n[[worker]]",
            &["worker", "wan.peer_channels"],
        ),
        ("mtu = 1900", "mtu = 1900\npeer_channels = 0", &["wan.peer_channels", "expected 1 to 16"]),
        ("mtu = 1900", "mtu = 1900\nrate = \"10Gb\"", &["gateway.toml:11", "10Gb", "e.g. 10Gbps"]),
        (
            "mtu = 1900",
            "mtu = 1900\nrate = \"10kbps\"",
            &["wan.rate", "got 10kbps, expected 1Mbps to 1Tbps"],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\noverload = \"fair\"",
            &["gateway.toml:11", "fair", "`reserve` or `source-first`"],
        ),
        ("mtu = 1900", "mtu = 1900\nqueue = \"1B\"", &["wan.queue", "expected 64KiB to 1GiB"]),
        (
            "mtu = 1900",
            "mtu = 1900\nrate = \"1Gbps\"\nqueue = \"1GiB\"",
            &["code.layers", "a smaller wan.queue"],
        ),
        ("mtu = 1900", "mtu = 1900\nqueues = 99", &["wan.queues", "expected 1 to 16"]),
        ("mtu = 1900", "mtu = 1900\nvlan = 0", &["wan.vlan", "got 0, expected 1 to 4094"]),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"gre\"",
            &["gateway.toml:11", "gre", "`udp`, `transparent`"],
        ),
        ("mtu = 1900", "mtu = 1900\nencapsulation = \"udp\"", &["wan.address", "missing"]),
        (
            "mtu = 1900",
            "mtu = 1900\npeer = \"192.0.2.1\"",
            &["wan.peer", "encapsulation = \"udp\""],
        ),
        ("mtu = 1900", "mtu = 1900\naddress = \"192.0.2.1\"", &["gateway.toml:11", "192.0.2.1/24"]),
        ("mtu = 1900", "mtu = 1900\ndscp = 99", &["gateway.toml:11", "99", "0 to 63"]),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"udp\"\naddress = \"192.0.2.1/24\"\npeer = \"198.51.100.1\"",
            &["wan.gateway", "198.51.100.1 is not in the network of 192.0.2.1/24"],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nvlan = 5\noversize = \"bypass\"",
            &["wan.oversize", "wan.vlan", "expected \"drop\""],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nrouted = true",
            &["wan.routed", "got a value", "encapsulation = \"transparent\""],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"transparent\"\npeer_channels = 2",
            &["worker", "the peer has 2", "expected one worker"],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"transparent\"\nvlan = 5",
            &["wan.vlan", "got 5", "a tag can't be added", "expected none"],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"transparent\"\noversize = \"drop\"",
            &["wan.oversize", "got \"drop\"", "nothing tells", "expected \"bypass\""],
        ),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"transparent\"\nudp_port = 8147",
            &["wan.udp_port", "expected none, or encapsulation = \"udp\""],
        ),
        (
            "[code]",
            "encapsulation = \"transparent\"\n[code.auto]\n[code]",
            &["code.auto", "no numbers", "expected none"],
        ),
        (
            "[code]",
            "encapsulation = \"transparent\"\n[code]\nintegrity = \"off\"",
            &["code.integrity", "got \"off\"", "expected \"check\""],
        ),
        (
            "[code]",
            "encapsulation = \"transparent\"\n[link]\nreliability = \"fec+nack\"\n[code]",
            &["link.reliability", "no numbers to ask for", "expected \"fec\""],
        ),
        (
            "[wan]",
            "resequence = \"2s\"\n[wan]",
            &["lan.resequence", "got 2000 ms, expected 0ms to 1s"],
        ),
        (
            "[[worker]]",
            "[link]\nreliability = \"arq\"\n[[worker]]",
            &["gateway.toml:14", "arq", "`fec` or `fec+nack`"],
        ),
        (
            "[[worker]]",
            "[link]\nround_trip = \"10us\"\n[[worker]]",
            &["link.round_trip", "got 10 us, expected 100us to 5s"],
        ),
        (
            "[[worker]]",
            "[link]\nretransmit = \"1KiB\"\n[[worker]]",
            &["link.retransmit", "got 1024 bytes, expected 64KiB to 64GiB"],
        ),
        (
            "[[worker]]",
            "[link]\nreliability = \"fec+nack\"\nretransmit = \"4GiB\"\n[[worker]]",
            &["code.layers", "a smaller wan.queue or link.retransmit"],
        ),
        ("rooms =", "core = 99999\nrooms =", &["worker", "core 99999 does not exist"]),
        ("net_null1", "net_null0", &["wan.port", "got net_null0", "expected another"]),
        ("net_null1", "null 1", &["gateway.toml:9", "null 1", "expected a PCI address"]),
        (
            "[wan]",
            "more_ports = [\"net_null0,size=9\"]\n[wan]",
            &["lan.more_ports", "got net_null0 twice", "expected each port once"],
        ),
        ("[wan]", "more_ports = [\"net_null1\"]\n[wan]", &["wan.port", "got net_null1"]),
        ("[wan]", "more_ports = \"net_null2\"\n[wan]", &["gateway.toml:8", "expected a sequence"]),
        ("[wan]", "more_ports = [\"null 2\"]\n[wan]", &["null 2", "expected a PCI address"]),
        ("[wan]", "addresses = 1000\n[wan]", &["lan.addresses", "got 1000", "a power of two"]),
        ("[wan]", "address_age = \"0s\"\n[wan]", &["lan.address_age", "expected 1s to"]),
        ("[wan]", "too_big = \"drop\"\n[wan]", &["gateway.toml:8", "drop", "`icmp`", "`oversize`"]),
        ("mtu = 1900", "mtu = 1900\nmss_clamp = 1400", &["gateway.toml:11", "expected a boolean"]),
        ("[gateway]", "[gateway", &["gateway.toml:1"]),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\nlink = \"burst:1,2\"\n[code]",
            &["burst:1,2", "iid:"],
        ),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\nflows = 3\n[code]",
            &["netsync.flows", "power of two"],
        ),
        ("[code]", "[netsync]\nsocket = \"\"\n[code]", &["netsync.socket", "expected a path"]),
        ("[code]", "[netsync]\nsocket = \"s\"\nmode = \"9\"\n[code]", &["mode", "octal"]),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\n[[netsync.track]]\nprefix = \"10.0.0.1/8\"\n[code]",
            &["10.0.0.1/8", "bits beyond"],
        ),
        ("[[worker]]", "[netsync]\n[[worker]]", &["missing field `socket`"]),
        ("[code]", "[link]\nhello = \"5ms\"\n[code]", &["link.hello: got 5 ms", "20ms to 10s"]),
        ("[code]", "[link]\nhello = 5\n[code]", &["gateway.toml:12", "expected a string"]),
        ("[code]", "[link]\npeer_down = \"stop\"\n[code]", &["gateway.toml:12", "stop", "drop"]),
        ("[code]", "[control]\n[code]", &["missing field `socket`"]),
        ("[code]", "[control]\nsocket = \"\"\n[code]", &["control.socket", "expected a path"]),
        ("[code]", "[control]\nsocket = \"s\"\nmode = \"8\"\n[code]", &["octal"]),
        (
            "[[worker]]",
            "[netsync]\nsocket = \"s\"\nflows = 3\n[[worker]]",
            &["netsync.flows", "got 3, expected a power of two"],
        ),
        (
            "[[worker]]",
            "[netsync]\nsocket = \"s\"\n[[netsync.track]]\nprefix = \"10.0.0.0/99\"\n[[worker]]",
            &["10.0.0.0/99", "no length from 0 to 32"],
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        fs::write(path.join("gateway.toml"), GOOD.replacen(from, to, 1)).unwrap();
        refused(path, &["run", "--config", "gateway.toml"], expected);
    }
}

#[test]
fn a_key_that_is_none_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (to, expected) in [
        ("", &["gateway.key_file: missing", "`maelstrom key FILE`", "keys = \"none\""][..]),
        ("key_file = \"key\"\nkeys = \"none\"", &["gateway.key_file: got both"]),
        ("keys = \"some\"", &["gateway.toml:5", "expected `none`"]),
        ("key_file = \"key\"\nkey_mode = \"both\"", &["gateway.toml:6", "`tag` or `seal`"]),
        ("key_file = \"nosuch\"", &["nosuch: ", "as `maelstrom key` writes it"]),
        ("key_file = \"key\"", &["key: got mode 0644", "`chmod 600 key`"]),
        ("key_file = \"short\"", &["short: got no key, expected 64 hexadecimal digits"]),
    ] {
        for (name, text, mode) in
            [("key", "0f".repeat(32), 0o644), ("short", "0f".repeat(31), 0o600)]
        {
            fs::write(path.join(name), text).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let text = GOOD.replacen("keys = \"none\"", to, 1);
        fs::write(path.join("gateway.toml"), text).unwrap();
        refused(path, &["run", "--config", "gateway.toml"], expected);
    }
    for (from, to, expected) in [
        ("mtu = 1900", "mtu = 1900\noversize = \"bypass\"", "wan.oversize: got \"bypass\" with"),
        ("[code]", "[link]\npeer_down = \"bypass\"\n[code]", "link.peer_down: got \"bypass\" with"),
        ("[code]", "[code]\nintegrity = \"off\"", "code.integrity: got \"off\" with"),
    ] {
        let text = GOOD.replacen("keys = \"none\"", "key_file = \"key\"", 1).replacen(from, to, 1);
        fs::write(path.join("gateway.toml"), text).unwrap();
        refused(path, &["run", "--config", "gateway.toml"], &[expected]);
    }
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let made = maelstrom(path, &["key", "new"]);
    assert_eq!((made.status, &made.stdout[..], &made.stderr[..]), (Some(0), "", ""), "{made:?}");
    let mode = path.join("new").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::read_to_string(path.join("new")).unwrap();
    assert!(key.len() == 65 && key.trim_end().chars().all(|c| c.is_ascii_hexdigit()));
    refused(path, &["key", "new"], &["new: exists; expected a new file"]);
    refused(path, &["key", "nosuch/new"], &["nosuch/new: ", "expected a key file"]);
}

#[test]
fn channels_that_need_too_much_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = GOOD
        .replacen("mtu = 1900", "mtu = 1900\npeer_channels = 16\nqueues = 1", 1)
        .replacen("[code]", "[code]\nwindow = 16384", 1);
    fs::write(path.join("gateway.toml"), text).unwrap();
    refused(path, &["run", "--config", "gateway.toml"], &["fewer channels"]);
}

#[test]
fn a_file_that_is_no_configuration_is_named() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("empty.toml"), "").unwrap();
    refused(path, &["run", "--config", "empty.toml"], &["empty.toml", "missing field"]);
    let expected = "expected a readable configuration file";
    refused(path, &["run", "--config", "nosuch.toml"], &["nosuch.toml", expected]);
    refused(path, &["run", "--config", "in.pcap"], &["in.pcap", expected]);
    refused(path, &["run", "--config", "."], &[".: ", expected]);
}

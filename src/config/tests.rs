use super::*;
use crate::gateway::{Limit, Overload, Oversize, Side};
use crate::wire::seal::Mode;

const WEST: &str = include_str!("../../config/gateway-west.toml");
const EAST: &str = include_str!("../../config/gateway-east.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("gateway.toml"), text).map_err(|error| error.to_string())
}

fn blueprint(config: &Config) -> Blueprint {
    config.blueprint(&config.split().unwrap())
}

/// `text` with its first line that begins with `from` replaced.
fn with(text: &str, from: &str, to: &str) -> String {
    let mut found = false;
    let lines = text.lines().map(|line| match line.starts_with(from) && !found {
        true => {
            found = true;
            to
        }
        false => line,
    });
    let changed = lines.collect::<Vec<_>>().join("\n");
    assert!(found, "no line begins with {from}");
    changed
}

#[test]
fn the_shipped_pair_is_a_pair() {
    let (west, east) = (parse(WEST).unwrap(), parse(EAST).unwrap());
    assert_eq!((west.gateway.side, east.gateway.side), (Side::West, Side::East));
    let of_west = Blueprint { side: Side::East, ..blueprint(&west) };
    assert_eq!(format!("{of_west:?}"), format!("{:?}", blueprint(&east)));
    assert!(blueprint(&west).warnings().is_empty());
}

/// What the shipped file shows as a default is the default.
#[test]
fn commented_defaults_are_the_defaults() {
    let computed = ["#max_age", "#window"];
    let shown: Vec<&str> = WEST
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key)
                if key.starts_with(|c: char| c.is_ascii_lowercase())
                    && !computed.iter().any(|name| line.starts_with(name)) =>
            {
                key
            }
            _ => line,
        })
        .collect();
    let shown = shown.join("\n");
    assert!(shown.contains("\nmtu = 1500") && shown.contains("\nflush_cap = 3.0"));
    let (shown, default) = (parse(&shown).unwrap(), parse(WEST).unwrap());
    assert_eq!(format!("{:?}", blueprint(&shown)), format!("{:?}", blueprint(&default)));
    assert_eq!(shown.gateway.memory_limit, default.gateway.memory_limit);
    assert_eq!(shown.wan.peer_mac(), default.wan.peer_mac());
}

/// The shipped file's example of a routed WAN, what goes into `[wan]`.
fn with_udp() -> String {
    let keys = ["address", "peer", "gateway", "udp_port", "dscp", "udp_checksum"];
    let example = WEST
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| keys.contains(&key)));
    let example = ["mtu = 9000\nencapsulation = \"udp\""].into_iter().chain(example);
    with(WEST, "mtu = 9000", &example.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_shipped_example_of_a_routed_wan_is_one() {
    let example = parse(&with_udp()).unwrap();
    let blueprint = blueprint(&example);
    let tunnel = blueprint.encapsulation.tunnel().unwrap();
    assert_eq!((tunnel.ours.to_string(), tunnel.port), ("192.0.2.1".to_owned(), 8147));
    assert_eq!(blueprint.next_hop.unwrap().to_string(), "192.0.2.254");
    assert_eq!(blueprint.oversize, Oversize::Drop);
    // What it shows as defaults are the defaults.
    let fewer = with_udp();
    let fewer: Vec<&str> = fewer
        .lines()
        .filter(|line| {
            !["udp_port", "dscp", "udp_checksum"].iter().any(|key| line.starts_with(key))
        })
        .collect();
    let default = parse(&fewer.join("\n")).unwrap();
    assert_eq!(blueprint.encapsulation, self::blueprint(&default).encapsulation);
}

#[test]
fn what_a_routed_wan_lacks_or_has_too_much_is_named() {
    for (from, to, expected) in [
        ("address", "", &["wan.address", "missing", "192.0.2.1/24"][..]),
        ("address", "address = \"192.0.2.1\"", &["192.0.2.1", "expected an IP address and its"]),
        ("address", "address = \"192.0.2.255/24\"", &["wan.address", "of one host"]),
        ("address", "address = \"2001:db8::1/64\"", &["wan.peer", "family of 2001:db8::1"]),
        ("peer =", "", &["wan.peer", "missing"]),
        ("peer =", "peer = \"here\"", &["here", "expected an IP address"]),
        ("peer =", "peer = \"192.0.2.1\"", &["wan.peer", "which is wan.address"]),
        ("peer =", "peer = \"224.0.0.1\"", &["wan.peer", "of one host"]),
        ("gateway", "", &["wan.gateway", "198.51.100.1 is not in the network of 192.0.2.1/24"]),
        ("gateway", "gateway = \"192.0.3.1\"", &["wan.gateway", "in the network of"]),
        ("udp_port", "udp_port = 0", &["wan.udp_port", "got 0"]),
        ("udp_port", "udp_port = 70000", &["70000"]),
        ("dscp", "dscp = 64", &["dscp 64", "0 to 63"]),
        ("dscp", "dscp = \"low\"", &["low", "\"copy\""]),
        ("udp_checksum", "oversize = \"bypass\"", &["wan.oversize", "\"drop\""]),
        ("udp_checksum", "ethertype = 0x88B5", &["wan.ethertype", "expected none"]),
        ("udp_checksum", "peer_mac = \"02:00:00:00:00:01\"", &["wan.peer_mac", "expected none"]),
        ("udp_checksum", "vlan = 4095", &["wan.vlan", "got 4095, expected 1 to 4094"]),
        ("encapsulation", "encapsulation = \"ether\"", &["wan.address", "encapsulation = \"udp\""]),
        ("encapsulation", "encapsulation = \"gre\"", &["gre", "udp"]),
    ] {
        let error = parse(&with(&with_udp(), from, to)).expect_err(to);
        assert!(expected.iter().all(|part| error.contains(part)), "{to}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let tagged = with(WEST, "mtu = 9000", "mtu = 9000\nvlan = 5\noversize = \"bypass\"");
    assert!(parse(&tagged).unwrap_err().contains("wan.vlan"));
    let v6 = with(&with_udp(), "address", "address = \"2001:db8::1/64\"");
    let v6 = with(&with(&v6, "peer =", "peer = \"2001:db8::2\""), "gateway", "");
    assert!(parse(&v6).is_ok());
    let small = with(&v6, "mtu = 9000", "mtu = 1279");
    assert!(parse(&small).unwrap_err().contains("expected at least 1280 for IPv6"));
}

/// The shipped file's example of `[netsync]`.
fn with_netsync() -> String {
    let example = WEST.lines().skip_while(|line| *line != "# [netsync]");
    let example = example.take_while(|line| line.starts_with("# "));
    let keys = example.filter_map(|line| line.strip_prefix("# ")).filter(|line| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    });
    format!("{WEST}\n{}\n", keys.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_shipped_example_of_netsync_is_one() {
    let netsync = parse(&with_netsync()).unwrap().netsync.unwrap();
    assert_eq!((netsync.flows, netsync.ring, netsync.mode), (4096, 65536, 0o660));
    assert_eq!((netsync.exit_delay, netsync.idle), (0, Some(100_000)));
    assert_eq!(netsync.tracks.len(), 1);
    assert!(parse(WEST).unwrap().netsync.is_none());
    // Its defaults are the defaults.
    let least = format!("{WEST}\n[netsync]\nsocket = \"/run/maelstrom/west.sock\"\n");
    let least = parse(&least).unwrap().netsync.unwrap();
    assert_eq!((least.flows, least.ring, least.mode), (4096, 65536, 0o660));
    assert_eq!((least.exit_delay, least.idle), (0, None));
    assert!(least.filter().is_empty() && least.group.is_none());
}

#[test]
fn bad_values_of_netsync_are_named_in_one_line() {
    for (from, to, expected) in [
        ("socket", "", "missing field `socket`"),
        ("socket", "socket = \"\"", "netsync.socket"),
        ("mode", "mode = \"0999\"", "octal permissions"),
        ("mode", "mode = 660", "expected a string"),
        ("exit_delay", "exit_delay = \"2s\"", "netsync.exit_delay"),
        ("idle = \"100us", "idle = \"0us\"", "netsync.idle: got 0"),
        ("flows", "flows = 1000", "got 1000, expected a power of two from 1 to"),
        ("ring", "ring = 2", "got 2, expected a power of two from 4 to"),
        ("prefix", "prefix = \"10.1.0.0/40\"", "from 0 to 32"),
        ("port = 5432", "port = 70000", "u16"),
        ("end", "end = \"near\"", "near"),
        ("end", "ends = \"local\"", "unknown field `ends`"),
        ("port = 5432", "[[netsync.track]]", "neither prefix nor port"),
    ] {
        let error = parse(&with(&with_netsync(), from, to)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn bad_values_are_named_in_one_line() {
    for (from, to, expected) in [
        ("side", "side = \"north\"", "north"),
        ("side", "", "missing field `side`"),
        ("side", "side = \"west\"\nsdie = 1", "unknown field `sdie`"),
        ("hugepages", "hugepages = 7", "expected a boolean"),
        ("#memory_limit", "memory_limit = \"2GB\"", "2GB"),
        ("#memory_limit", "memory_limit = \"1MiB\"", "limit of 1 MiB"),
        ("idle", "idle = \"sleep\"", "sleep"),
        ("port", "port = \"nonsense port\"", "nonsense port"),
        ("#mtu", "mtu = 20", "lan.mtu"),
        ("mtu", "mtu = 100", "wan.mtu"),
        ("mtu", "mtu = 99999", "99999"),
        ("#ethertype", "ethertype = 5", "wan.ethertype"),
        ("#peer_mac", "peer_mac = \"1:2\"", "MAC address"),
        ("#oversize", "oversize = \"split\"", "split"),
        ("#encapsulation", "encapsulation = \"gre\"", "gre"),
        ("# routed", "routed = true", "wan.routed: got a value"),
        ("# routed", "routed = \"yes\"", "expected a boolean"),
        (
            "#peer_channels",
            "encapsulation = \"transparent\"\npeer_channels = 2",
            "worker: 1 protect and the peer has 2",
        ),
        (
            "[code]",
            "encapsulation = \"transparent\"\n[code]\nintegrity = \"off\"",
            "code.integrity: got \"off\"",
        ),
        (
            "#encapsulation",
            "encapsulation = \"transparent\"",
            "gateway.key_file: got a key, but transparent",
        ),
        ("layers", "layers = \"8:\"", "8:"),
        ("layers", "layers = \"8:1,x\"", "interleave"),
        ("layers", "layers = \"1024:16381\"", "code.layers"),
        ("#sparse", "sparse = \"some\"", "or off"),
        ("#latency", "latency = \"1us\"", "code.latency"),
        ("#idle", "idle = \"0ms\"", "code.idle"),
        ("#sparse", "sparse = \"64:101\"\nwindow = 4096", "64:101"),
        ("#max_age", "max_age = [\"10ms\"]", "code.max_age"),
        ("#flush_cap", "flush_cap = 0.5", "code.flush_cap"),
        ("#window", "window = 300", "2060"),
        ("#window", "window = 128", "expected 256 to"),
        ("#integrity", "integrity = \"crc\"", "crc"),
        ("core = 3", "core = 2", "named twice"),
        ("rooms", "rooms = [\"recover\"]", "each at least once"),
        ("#queues", "queues = 0", "lan.queues: got 0, expected 1 to 16"),
        ("#rate", "rate = \"10Gb\"", "10Gb"),
        ("#rate", "rate = 10", "expected a string"),
        ("#rate", "rate = \"0bps\"", "wan.rate: got 0bps, expected 1Mbps to 1Tbps"),
        ("#rate", "rate = \"2Tbps\"", "wan.rate: got 2Tbps"),
        ("#overload", "overload = \"fair\"", "expected `reserve` or `source-first`"),
        ("#queue = \"", "queue = \"1KiB\"", "wan.queue: got 1024 bytes, expected 64KiB to"),
        ("#queue = \"", "queue = \"2GiB\"", "wan.queue"),
        ("#queue = \"", "queue = \"2MB\"", "2MB"),
        ("#rate", "rate = \"1Gbps\"\nqueue = \"1GiB\"", "limit of 2048 MiB"),
        ("#peer_channels", "peer_channels = 17", "wan.peer_channels: got 17"),
        ("#peer_channels", "peer_channels = 300", "300"),
        ("rooms", "rooms = [\"protect\", \"recover\"]", "2 workers recover"),
        ("rooms", "rooms = []", "the first worker has no room"),
        ("rooms", "rooms = [\"kitchen\"]", "kitchen"),
        ("#too_big", "too_big = \"fragment\"", "fragment"),
        (
            "#more_ports",
            "more_ports = [\"0000:03:00.0\"]",
            "lan.more_ports: got 0000:03:00.0 twice",
        ),
        ("#more_ports", "more_ports = [\"0000:03:00.1\"]", "wan.port: got 0000:03:00.1"),
        ("#more_ports", "more_ports = [\"net tap\"]", "net tap"),
        ("#more_ports", "more_ports = \"net_tap0\"", "expected a sequence"),
        ("#addresses", "addresses = 100", "lan.addresses: got 100, expected a power of two"),
        ("#address_age", "address_age = \"1ms\"", "lan.address_age: got 1ms, expected 1s to"),
        ("#mss_clamp", "mss_clamp = \"yes\"", "expected a boolean"),
        ("[code]", "[cod]", "cod"),
        ("#hello", "hello = \"5ms\"", "link.hello: got 5 ms, expected 20ms to 10s"),
        ("#hello", "hello = 100", "expected a string"),
        ("#peer_down", "peer_down = \"stop\"", "stop"),
        ("#peer_down", "peer_up = \"drop\"", "unknown field `peer_up`"),
        ("key_file", "", "gateway.key_file: missing; expected key_file = \"FILE\", a key that"),
        ("key_file", "key_file = \"k\"\nkeys = \"none\"", "gateway.key_file: got both"),
        ("key_file", "keys = \"some\"", "unknown variant `some`, expected `none`"),
        ("key_file", "keys = \"none\"\nkey_mode = \"tag\"", "gateway.key_mode: got a value"),
        ("#key_mode", "key_mode = \"hide\"", "expected `tag` or `seal`"),
        ("#oversize", "oversize = \"bypass\"", "wan.oversize: got \"bypass\" with gateway.key"),
        ("#peer_down", "peer_down = \"bypass\"", "link.peer_down: got \"bypass\" with gateway."),
        ("#integrity", "integrity = \"off\"", "code.integrity: got \"off\" with gateway.key_file"),
        ("[link]", "[control]\nsocket = \"\"\n[link]", "control.socket: got \"\""),
        ("[link]", "[control]\n[link]", "missing field `socket`"),
        ("[link]", "[control]\nsocket = \"s\"\nmode = \"9\"\n[link]", "octal"),
    ] {
        let error = parse(&with(WEST, from, to)).expect_err(to);
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.starts_with("gateway.toml:"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn keys_are_asked_for_or_declined() {
    let keyed = blueprint(&parse(WEST).unwrap());
    assert_eq!((keyed.keys, keyed.oversize), (Some(Mode::Tag), Oversize::Drop));
    let sealed = parse(&with(WEST, "#key_mode", "key_mode = \"seal\"")).unwrap();
    assert_eq!(blueprint(&sealed).keys, Some(Mode::Seal));
    let none = parse(&with(WEST, "key_file", "keys = \"none\"")).unwrap();
    assert_eq!((blueprint(&none).keys, blueprint(&none).oversize), (None, Oversize::Bypass));
    assert!(none.gateway.load_key().unwrap().is_none());
}

#[test]
fn a_rate_is_shared_by_channels_and_its_queue_counted() {
    let limited = "rate = \"10Gbps\"\noverload = \"source-first\"\n#peer_channels";
    let config = parse(&with(WEST, "#peer_channels", limited)).unwrap();
    let limit = Limit { rate: 10_000_000_000, overload: Overload::SourceFirst, queue: 2 << 20 };
    assert_eq!(blueprint(&config).limit, Some(limit));
    let two = Blueprint { channels_out: 2, ..blueprint(&config) };
    let share = Some(Limit { rate: 5_000_000_000, ..limit });
    assert_eq!(two.protect(1, 1, [2; 6], [4; 6]).limit, share);
    // Sources and repairs, each of 512 bytes at least.
    let unlimited = Blueprint { limit: None, ..two.clone() };
    assert_eq!(two.mbufs(), unlimited.mbufs() + 2 * 2 * 4096);
    assert!(two.memory().groups > unlimited.memory().groups + 2 * 4096 * 8);
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such.toml: ") && error.lines().count() == 1, "{error}");
}

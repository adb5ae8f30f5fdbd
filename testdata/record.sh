#!/bin/bash
# Records the demo capture: real traffic between two network namespaces that a veth pair
# joins, as tcpdump sees it at one end. See README.md for what is in it.
#
#   sudo testdata/record.sh testdata/demo.pcap
#
# Makes two namespaces, and removes them and everything it started whatever happens.
# The output appears only when it is whole and has passed the checks at the end.
set -euo pipefail

readonly MIN_FRAMES=22000 MIN_BYTES=3000000 MAX_BYTES=6000000
readonly A=mlcap-a-$$ B=mlcap-b-$$ # the namespaces
readonly VID=7
readonly A4=192.0.2.1 B4=192.0.2.2 A6=2001:db8::1 B6=2001:db8::2
readonly A4V=198.51.100.1 B4V=198.51.100.2 A6V=2001:db8:7::1 B6V=2001:db8:7::2
here=$(cd "$(dirname "$0")" && pwd)
readonly here

die() {
    echo "record.sh: $*" >&2
    exit 1
}

# ---- what is needed ----------------------------------------------------------------------

[ $# -eq 1 ] || die "expected one argument, the capture to write, got $#: record.sh OUT.pcap"
out=$1
lacking=
[ "$(id -u)" -eq 0 ] || lacking+=" root"
for tool in ip ss ethtool tcpdump iperf3 python3; do
    command -v "$tool" >/dev/null || lacking+=" $tool"
done
[ -z "$lacking" ] || die "missing:$lacking (root: use sudo; the tools, on Debian: apt install iproute2 ethtool tcpdump iperf3 python3)"
[ -d "$(dirname "$out")" ] || die "no directory $(dirname "$out") to write $(basename "$out") into"
[ ! -e "$out" ] || [ -f "$out" ] || die "$out exists and is not a file"

# ---- cleaning up, always -----------------------------------------------------------------

started=()
work=
cleanup() {
    trap - EXIT INT TERM HUP
    local pid ns
    for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do
        for _ in {1..20}; do kill -0 "$pid" 2>/dev/null && sleep 0.1 || break; done
        kill -KILL "$pid" 2>/dev/null || true
    done
    for ns in $A $B; do ip netns del "$ns" 2>/dev/null || true; done
    [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Beside the output, so that the last step is a rename within one file system.
work=$(mktemp -d "$(dirname "$out")/.record.XXXXXX")

in_ns() { ip netns exec "$@"; } # execs: $! is the command's own id

start() { # start LOG NS COMMAND...: runs on in the background
    local log=$work/$1
    shift
    ip netns exec "$@" >"$log" 2>&1 &
    started+=($!)
}

wait_until() { # wait_until WHAT COMMAND...: polls for up to 10 s
    local what=$1
    shift
    for _ in {1..100}; do
        ! "$@" || return 0
        sleep 0.1
    done
    die "waited 10 s for $what; logs: $(tail -qn 2 "$work"/*.log 2>/dev/null | tr '\n' ' ')"
}

finish() { # finish PID...: each must succeed
    local pid
    for pid in "$@"; do
        wait "$pid" || die "a traffic process failed: $(tail -qn 2 "$work"/*.log | tr '\n' ' ')"
    done
}

# ---- two hosts and a wire ----------------------------------------------------------------

ip netns add $A
ip netns add $B
ip link add lan netns $A mtu 1500 address 02:00:00:00:00:0a type veth \
    peer name lan netns $B mtu 1500 address 02:00:00:00:00:0b
for ns in $A $B; do
    # The capture is to hold frames as a wire would carry them: no segments of 64 kB, and
    # checksums that are filled in.
    in_ns $ns ethtool -K lan tso off gso off gro off sg off tx off rx off >/dev/null
    in_ns $ns ip link set lo up
    in_ns $ns ip link set lan up
done

start tcpdump.log $A tcpdump -i lan -s 0 -n -Z root -B 32768 --time-stamp-precision=nano -w "$work/raw.pcap"
tcpdump_pid=${started[-1]}
wait_until "tcpdump to listen" grep -qs 'listening on' "$work/tcpdump.log"

vlan_by="the kernel's 8021q"
make_vlan() { # make_vlan NS MAC: lan.VID, the kernel's own where it has 8021q, else a tap
    in_ns "$1" ip link add link lan name lan.$VID type vlan id $VID 2>/dev/null && return
    [ -c /dev/net/tun ] || die "the kernel has neither 8021q nor /dev/net/tun: no VLAN to record"
    vlan_by="a tap and traffic.py tag (the kernel has no 8021q)"
    start "tag-$1.log" "$1" python3 "$here/traffic.py" tag lan lan.$VID $VID
    wait_until "the VLAN interface" ip -n "$1" -br link show lan.$VID >/dev/null 2>&1
    in_ns "$1" ip link set lan.$VID address "$2" mtu 1500
}
make_vlan $A 02:00:00:00:00:0a
make_vlan $B 02:00:00:00:00:0b

settle() { # settle NS IPV4 IPV6 VLAN_IPV4 VLAN_IPV6
    ip -n "$1" link set lan.$VID up
    ip -n "$1" addr add "$2/24" dev lan
    ip -n "$1" addr add "$3/64" dev lan
    ip -n "$1" addr add "$4/24" dev lan.$VID
    ip -n "$1" addr add "$5/64" dev lan.$VID
}
settle $A $A4 $A6 $A4V $A6V
settle $B $B4 $B6 $B4V $B6V
settled() { [ -z "$(ip -n $A -6 addr show tentative)$(ip -n $B -6 addr show tentative)" ]; }
wait_until "duplicate address detection" settled

# ---- traffic -----------------------------------------------------------------------------

listening() { [ -n "$(in_ns $B ss -Hltn "sport = :$1")" ]; }
start serve.log $B python3 "$here/traffic.py" serve 7000
for port in 5201 5202 5203; do start iperf-$port.log $B iperf3 -s -1 -p $port; done
for port in 7000 5201 5202 5203; do wait_until "port $port" listening $port; done

pings() {
    local addr
    for addr in $B4 $B6 $B4V $B6V; do
        in_ns $A python3 "$here/traffic.py" ping $addr 10 >>"$work/ping.log" 2>&1 ||
            die "$(tail -qn 1 "$work"/ping.log "$work"/tag-*.log 2>/dev/null | tr '\n' ' ')"
    done
}
forget() { # neighbours are asked for again: ARP and neighbour discovery
    local ns
    for ns in $A $B; do
        ip -n $ns neigh flush dev lan
        ip -n $ns neigh flush dev lan.$VID
    done
}

pings
jobs_=()
traffic() { # traffic COMMAND...: from A, beside the others
    start "traffic-${#jobs_[@]}.log" $A "$@"
    jobs_+=("${started[-1]}")
}
say() { traffic python3 "$here/traffic.py" "$@"; }
say talk tcp $B4 7000 1700 11
say talk tcp $B4 7000 1700 12
say talk tcp $B6 7000 1700 13
say talk tcp $B6 7000 1700 14
say talk tcp $B4V 7000 500 15
say talk tcp $B6V 7000 400 16
say talk udp $B4 7000 1400 21
say talk udp $B6 7000 1200 22
say talk udp $B4V 7000 300 23
say talk udp $B6V 7000 300 24
say stream $B4 7000 300 31
say stream $B6 7000 300 32
say stream $B4V 7000 50 33
say stream $B6V 7000 50 34
traffic iperf3 -c $B4 -p 5201 -n 600K -l 8K -b 3M
traffic iperf3 -c $B6 -p 5202 -n 600K -l 8K -b 3M -R
traffic iperf3 -c $B4V -p 5203 -n 150K -l 8K -b 1M
for _ in 1 2 3 4; do
    sleep 0.4
    forget
done
finish "${jobs_[@]}"
forget
pings

# ---- the capture -------------------------------------------------------------------------

sleep 1.5 # the ring hands tcpdump a block that isn't full after a second
kill -INT "$tcpdump_pid"
wait "$tcpdump_pid" || die "tcpdump failed: $(tail -n 1 "$work/tcpdump.log")"
grep -q '^0 packets dropped by kernel' "$work/tcpdump.log" ||
    die "tcpdump lost frames ($(grep dropped "$work/tcpdump.log" | tr '\n' ' ')): run it again on a quieter machine"
python3 "$here/traffic.py" order "$work/raw.pcap" "$work/ordered.pcap"

count() { tcpdump -r "$work/ordered.pcap" --count "$@" 2>/dev/null | sed 's/ .*//'; }
frames=$(count)
bytes=$(stat -c %s "$work/ordered.pcap")
[ "$frames" -ge $MIN_FRAMES ] || die "recorded $frames frames, expected at least $MIN_FRAMES"
[ "$bytes" -ge $MIN_BYTES ] && [ "$bytes" -le $MAX_BYTES ] ||
    die "recorded $bytes bytes, expected $MIN_BYTES to $MAX_BYTES"
[ "$(count 'greater 1519')" -eq 0 ] || die "frames above 1518 bytes: an offload is still on"

chmod 644 "$work/ordered.pcap"
mv "$work/ordered.pcap" "$out"
echo "$out: $frames frames, $bytes bytes; VLAN $VID by $vlan_by"

#!/usr/bin/env python3
"""Traffic for record.sh: small seeded conversations between two namespaces.

The sizes, pauses and payloads come from the seed; the packets that carry them
are the kernels' own. Standard library only.

  serve PORT                          answer TCP and UDP requests, until stopped
  talk  tcp|udp ADDR PORT COUNT SEED  COUNT requests, each with its response
  stream ADDR PORT COUNT SEED         COUNT datagrams of all sizes, no responses
  ping  ADDR COUNT                    ICMP or ICMPv6 echo
  tag   DEV TAP VID                   an 802.1Q sub-interface of DEV, as a tap
  order FROM TO                       the same capture, sorted by time
"""

import errno
import fcntl
import os
import random
import select
import socket
import struct
import sys
import threading
import time

ASK = struct.Struct("!HH")  # length of this request, length of the response wanted
BATCH = 48  # exchanges between two pauses: traffic comes in bursts


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def read_whole(conn, size):
    data = b""
    while len(data) < size:
        part = conn.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def answer_tcp(conn):
    rng = random.Random(1)
    try:
        while True:
            asked, wanted = ASK.unpack(read_whole(conn, ASK.size))
            read_whole(conn, asked - ASK.size)
            conn.sendall(rng.randbytes(wanted))
    except EOFError:
        conn.close()


def serve(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))

    def answer_udp():
        rng = random.Random(2)
        while True:
            data, peer = udp.recvfrom(65535)
            wanted = ASK.unpack_from(data)[1] if len(data) >= ASK.size else 0
            if wanted:
                udp.sendto(rng.randbytes(wanted), peer)

    threading.Thread(target=answer_udp, daemon=True).start()
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as tcp:
        while True:
            conn, _ = tcp.accept()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=answer_tcp, args=(conn,), daemon=True).start()


def sizes(rng):
    """A request and its response: mostly a few dozen bytes, now and then more."""
    big = rng.random() < 0.02
    return (rng.randint(ASK.size, 64), rng.randint(200, 1400) if big else rng.randint(1, 96))


def ask_udp(conn, request, wanted):
    """Asks again when nothing comes: a kernel drops what waits for a neighbour that is
    forgotten meanwhile."""
    for _ in range(5):
        conn.send(request)
        try:
            while len(conn.recv(65535)) != wanted:
                pass  # a late response to a request that was asked twice
            return
        except TimeoutError:
            continue
    sys.exit("talk: asked 5 times, and no response")


def talk(kind, addr, port, count, seed):
    rng = random.Random(seed)
    conn = socket.socket(family(addr), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    conn.settimeout(5 if kind == "tcp" else 1)
    conn.connect((addr, port))
    if kind == "tcp":
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(count):
        asked, wanted = sizes(rng)
        request = ASK.pack(asked, wanted) + rng.randbytes(asked - ASK.size)
        if kind == "tcp":
            conn.sendall(request)
            read_whole(conn, wanted)
        else:
            ask_udp(conn, request, wanted)
        if i % BATCH == BATCH - 1:
            time.sleep(rng.uniform(0, 0.05))
    conn.close()


def stream(addr, port, count, seed):
    """From an empty datagram to a full frame; every fiftieth is cut up by IP."""
    rng = random.Random(seed)
    full = 1500 - (48 if ":" in addr else 28)
    conn = socket.socket(family(addr), socket.SOCK_DGRAM)
    for i in range(count):
        size = rng.randint(full + 1, 4000) if i % 50 == 49 else rng.choice(
            (0, 18, full, rng.randint(0, full), rng.randint(0, 200)))
        # A length of 0 for the response: nobody answers.
        conn.sendto((bytes(ASK.size) + rng.randbytes(size))[:size], (addr, port))
        time.sleep(rng.uniform(0, 0.006))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(addr, count):
    six = ":" in addr
    proto = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    sock = socket.socket(family(addr), socket.SOCK_RAW, proto)
    ask, reply = (128, 129) if six else (8, 0)
    for seq in range(1, count + 1):
        body = bytes(range(56))
        head = struct.pack("!BBHHH", ask, 0, 0, os.getpid() & 0xFFFF, seq)
        if not six:  # the kernel fills in ICMPv6's checksum itself
            head = struct.pack("!BBHHH", ask, 0, checksum(head + body), os.getpid() & 0xFFFF, seq)
        sock.sendto(head + body, (addr, 0))
        deadline = time.monotonic() + 5
        while True:
            if not select.select([sock], [], [], max(0, deadline - time.monotonic()))[0]:
                sys.exit(f"ping: no reply from {addr} within 5 s")
            got = sock.recv(65535)[0 if six else 20:]
            if got[0] == reply and got[4:] == head[4:] + body:
                break
        time.sleep(0.02)


def tag(dev, tap, vid):
    """What `ip link add link DEV type vlan id VID` does, for kernels without 8021q:
    frames the stack sends on TAP leave DEV with the tag, frames that reach DEV with
    the tag come up on TAP without it."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    iff_tap, iff_no_pi, tunsetiff = 0x0002, 0x1000, 0x400454CA
    fcntl.ioctl(tun, tunsetiff, struct.pack("16sH14x", tap.encode(), iff_tap | iff_no_pi))
    sol_packet, packet_auxdata, packet_ignore_outgoing, eth_p_all = 263, 8, 23, 3
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(eth_p_all))
    wire.bind((dev, eth_p_all))
    wire.setsockopt(sol_packet, packet_auxdata, 1)
    wire.setsockopt(sol_packet, packet_ignore_outgoing, 1)
    header = struct.pack("!HH", 0x8100, vid)
    auxdata = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata, linux/if_packet.h
    vlan_valid = 0x10  # TP_STATUS_VLAN_VALID
    while True:
        for ready in select.select([tun, wire], [], [])[0]:
            if ready is tun:
                frame = os.read(tun, 65535)
                wire.send(frame[:12] + header + frame[12:])
                continue
            # The kernel takes the tag out of a received frame and tells it beside it.
            frame, beside, _, _ = wire.recvmsg(65535, socket.CMSG_SPACE(auxdata.size))
            for level, kind, data in beside:
                if (level, kind) == (sol_packet, packet_auxdata):
                    status, *_, tci, _ = auxdata.unpack(data[: auxdata.size])
                    if status & vlan_valid and tci & 0x0FFF == vid:
                        try:
                            os.write(tun, frame)
                        except OSError as e:
                            if e.errno != errno.EIO:  # the tap isn't up yet: nobody's frame
                                raise


def order(source, target):
    """tcpdump writes frames as they reach it, which on a machine with several cores is
    not quite the order of their stamps."""
    with open(source, "rb") as file:
        data = file.read()
    head = struct.Struct("=IIII")
    if struct.unpack_from("=I", data)[0] not in (0xA1B2C3D4, 0xA1B23C4D):
        sys.exit(f"order: {source} is not a pcap of this machine's byte order")
    records, at = [], 24
    while at < len(data):
        second, fraction, held, whole = head.unpack_from(data, at)
        end = at + head.size + held
        if held != whole or end > len(data):
            sys.exit(f"order: frame {len(records) + 1} of {source} is cut off")
        records.append((second, fraction, data[at:end]))
        at = end
    records.sort(key=lambda record: record[:2])  # stable
    with open(target, "wb") as file:
        file.write(data[:24])
        file.writelines(record[2] for record in records)


def main():
    verbs = {"serve": serve, "talk": talk, "stream": stream, "ping": ping, "tag": tag, "order": order}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:]))


main()

# `make demo` shows the product on a capture; `make test` is what every change must pass. Both
# install what they need from Debian, saying so first. Only `make lab` needs root, nothing needs hugepages.

.PHONY: help setup demo bench test lint unit soak fuzz plots netsync install-netsync lab lab-quick lab-shell \
        lab-build
.DEFAULT_GOAL := help

CARGO := cargo
SECONDS := 60
TARGETS :=
SEEDS := 100000
FROM := 1
TRACE := 0
PREFIX := /usr/local
DESTDIR :=
LAB :=
BUILT := $(or $(CARGO_TARGET_DIR),target)/release

help:
	@echo "make demo   play a real capture through a pair of gateways and a lossy WAN (a minute or two)"
	@echo "make bench  measure what one core of this machine does; rewrites perf/RESULTS.md (five minutes)"
	@echo "make test   formatting, lints, all tests, the demo's assertions, and as root make lab-quick (a quarter of an hour)"
	@echo "make soak   two gateways against everything at once, in virtual time: SEEDS=1000 FROM=1 says which"
	@echo "            seeds (some minutes for a thousand), TRACE=1 prints what each packet met"
	@echo "make lab    as root: kernel TCP across gateways and a lossy WAN, in real time; fills docs/evaluation"
	@echo "            (two and a half hours; goes on where it was interrupted). make lab-quick is a taste of it"
	@echo "            (about eighty seconds), make lab-shell a shell on each side of the link:"
	@echo "            LAB='--delay 20 --loss 0.01'"
	@echo "make plots  draw what redundancy buys, overhead against residual: docs/frontier.svg,"
	@echo "            and how the code follows a link: docs/adapt.svg (three minutes)"
	@echo "make install-netsync  the C library of storage processes, below PREFIX=/usr/local (no DPDK needed)"
	@echo "make fuzz   every parser and the code against inputs without end: SECONDS=600 for each target,"
	@echo "            TARGETS='stream hostile' for some of them"

setup:
	@scripts/setup

demo: setup
	$(CARGO) build --release
	@scripts/demo target/release/maelstrom

# ISA-L's xor_gen is a yardstick, and needed for nothing else.
bench:
	@scripts/setup libisal-dev
	$(CARGO) build --release
	@scripts/bench target/release/maelstrom

plots:
	$(CARGO) run --release --no-default-features --example frontier docs/frontier.svg
	$(CARGO) run --release --no-default-features --example adapt draw docs/adapt.tsv docs/adapt.svg

# The laboratory where namespaces can be had, as root mostly; it says when it is skipped.
test: lint unit demo
	@if ip netns add mstprobe$$$$ 2>/dev/null && ip netns del mstprobe$$$$; then \
		$(MAKE) lab-quick; \
	else \
		echo "skipped: make lab-quick needs root and network namespaces"; \
	fi

lint: setup
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

# As root, with what puts gateways into network namespaces; else the tests that need them are skipped, and
# say so. The lines from the third on are the parts that must build and pass without libdpdk.
unit: setup
	@[ "$$(id -u)" -ne 0 ] || scripts/setup iproute2 iputils-ping ethtool iperf3 util-linux
	$(CARGO) test --workspace
	$(CARGO) test --no-default-features --lib --test code --test no_alloc --test calibration
	$(CARGO) test -p maelstrom-fuzz --no-default-features
	$(CARGO) test -p netsync -p netsync-capi
	$(CARGO) test -p netsync --features loom --release --lib models

# Says which seeds failed, and how to replay each.
soak: setup
	@SEEDS=$(SEEDS) FROM=$(FROM) TRACE=$(TRACE) $(CARGO) test --quiet --release --test soak

# What fails is saved where `make test` replays it. The bounded run is part of `make test`.
fuzz: setup
	@scripts/fuzz $(SECONDS) $(TARGETS)

# As root. Kernel TCP across gateways in network namespaces; each cleans up behind itself, on Ctrl-C too. LAB= is
# for options of the latter two, such as LAB='--delay 20'.
lab: lab-build
	$(BUILT)/field all

lab-quick: lab-build
	$(BUILT)/field quick $(LAB)

lab-shell: lab-build
	$(BUILT)/field shell $(LAB)

lab-build: setup
	@scripts/setup iperf3 kcptun iproute2 ethtool util-linux
	$(CARGO) build --release --package maelstrom --package maelstrom-field --package mirror-store

# For storage processes in C; needs a Rust toolchain and no DPDK.
netsync:
	$(CARGO) build --release --package netsync-capi
	@echo "built: $(BUILT)/libnetsync.a and .so, for netsync/include/netsync.h"

install-netsync: netsync
	@scripts/install-netsync $(BUILT) $(PREFIX) $(DESTDIR)

# `make demo` shows the product on a capture; `make test` is what every change must pass. Both
# install what they need from Debian, saying so first. Nothing here needs root or hugepages.

.PHONY: help setup demo test lint unit bench
.DEFAULT_GOAL := help

CARGO := cargo

help:
	@echo "make demo   play a real capture through a pair of gateways and a lossy WAN (a minute or two)"
	@echo "make bench  measure what one core of this machine does; rewrites perf/RESULTS.md"
	@echo "make test   formatting, lints, all tests, and the demo's assertions (about ten minutes)"

setup:
	@scripts/setup

demo: setup
	$(CARGO) build --release
	@scripts/demo target/release/maelstrom

bench: setup
	$(CARGO) build --release
	@scripts/bench target/release/maelstrom

test: lint unit demo

lint: setup
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

# The second and third line are the parts that must build and pass without libdpdk.
unit: setup
	$(CARGO) test --workspace
	$(CARGO) test --no-default-features --lib --test code
	$(CARGO) test -p netsync

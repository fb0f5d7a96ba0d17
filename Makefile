# FitBridge: the few commands people type. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TOOLS := target/tools
DENY_VERSION := 0.20.2

.PHONY: help run test lint check build test-aws deploy dev soak bench clean setup

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: # What every other target needs; says what is missing and how to get it
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install rustup from https://rustup.rs, then run this again"; exit 1; }
	@command -v cc >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -q && apt-get install -yq build-essential; \
	  else echo "a C compiler is missing (SQLite and TLS are built from source): install gcc or clang, for example with: sudo apt-get install build-essential"; exit 1; fi; }

run: setup ## The main job, against the built-in simulator; ends by itself within a minute
	$(CARGO) run -q -p fitbridge -- demo

test: setup ## Everything: unit, conformance, property and end-to-end tests, the service on AWS over emulators among them
	@.ci/venv >/dev/null || [ $$? = 3 ] # installs the emulator, or says what is skipped without it
	$(CARGO) build -p fitbridge -p fitbridge-poller -p fitbridge-sink
	RUST_TEST_THREADS=4 $(CARGO) test --workspace --no-fail-fast --features fitbridge-tests/aws
	$(CARGO) run --profile sim -q -p fitbridge-sim -- --seeds 2000
	$(CARGO) run --profile sim -q -p fitbridge-sim -- --bugs
	tests/deploy/terraform
	CARGO="$(CARGO)" tests/deploy/sizes

lint: setup ## Formatting, clippy, docs, dependency policy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features fitbridge-tests/aws,fitbridge-tests/soak -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --features fitbridge-tests/aws --no-deps --document-private-items
	@.ci/deny "$(CARGO)" "$(TOOLS)" "$(DENY_VERSION)"
	@.ci/aws-lint

check: test lint ## What CI runs

build: setup ## What is released: target/release/fitbridge, and both functions for AWS (arm64) in target/sam
	$(CARGO) build --release -p fitbridge
	infra/deploy build

test-aws: setup ## Of these, the service on AWS over emulators, with the built functions
	@.ci/venv >/dev/null || [ $$? = 3 ]
	$(CARGO) build -p fitbridge -p fitbridge-poller -p fitbridge-sink
	$(CARGO) test -p fitbridge-tests --features aws --test aws
	tests/deploy/terraform

deploy: setup ## The service on AWS (docs/DEPLOY.md); asks for everything the first time
	infra/deploy $(DEPLOY)

dev: setup ## The service on this machine: emulators, simulator, ticks, and the functions with hot reload; until Ctrl-C
	$(CARGO) build -p fitbridge -p fitbridge-poller -p fitbridge-sink
	$(CARGO) test -p fitbridge-tests --features aws --test aws -- --ignored --exact --nocapture dev::until_ctrl_c

soak: setup ## Long proofs: kills, stops and faults, a million records, 20,000 worlds; needs about two hours and 6 GiB of disk (LOAD="days=1" is shorter)
	FITBRIDGE_FUZZ_ROUNDS=50 FITBRIDGE_FUZZ_SEED=2 $(CARGO) test -p fitbridge-fuzz -- --nocapture
	$(CARGO) run --profile sim -q -p fitbridge-sim -- --seeds 20000 --from 1000000
	$(CARGO) build -p fitbridge
	RUST_TEST_THREADS=1 $(CARGO) test -p fitbridge-tests --features soak --test soak -- --nocapture
	$(CARGO) bench --profile sim -p fitbridge-local --bench load -- $(LOAD)
	$(CARGO) bench -p fitbridge-local --bench ledger

bench: setup ## The numbers, each bench printing a table
	$(CARGO) bench -p fitbridge-fit --bench scan
	$(CARGO) bench -p fitbridge-local --bench ledger
	$(CARGO) bench -p fitbridge-core --bench plan
	$(CARGO) bench -p fitbridge-tests --bench idle
	$(CARGO) bench -p fitbridge-tests --bench throughput
	$(CARGO) bench -p fitbridge-tests --features aws --bench cold
	$(CARGO) bench -p fitbridge-tests --features aws --bench poller

clean: ## Removes everything that was built
	$(CARGO) clean

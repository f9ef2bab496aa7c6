# One entry for each thing one does here. Every target works on a machine that has only Rust
# (and root or sudo, for system packages): it installs what is missing and says so.

SHELL := /usr/bin/env bash -euo pipefail
.DEFAULT_GOAL := help

# Outside the clone, so that a second clone and CI reuse it: RocksDB alone is 16 CPU-minutes of C++.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/conclave-target
TOOLS := $(HOME)/.cache/conclave-tools
export PATH := $(PATH):$(HOME)/.cargo/bin:$(TOOLS)/bin

BIN := $(CARGO_TARGET_DIR)/release
# The whole workspace's features, so that the devnet and the tests share one build of each dependency.
BUILD := cargo build --release --workspace --bins --locked

FORGE := PATH=$(CURDIR)/contracts/node_modules/.bin:$$PATH forge

.PHONY: help setup build devnet test ts soak mutants lint docs fuzz bench calibrate contracts contracts-audit artifacts gas

help: ## What there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 17

setup: ## Install the system packages that building needs, if they are missing.
	@.ci/setup

build: setup ## Build all binaries.
	$(BUILD)

devnet: build ## Four validators, two EVM rollups and an Ethereum on this machine, until Ctrl-C. ARGS='--blocks 50 --json' is passed on.
	@exec $(BIN)/conclave devnet $(ARGS)

test: build contracts/node_modules/.package-lock.json ## Every test: unit, simulator, tidy, fuzz (bounded), end to end over real processes.
	@.ci/tool cargo-nextest
	cargo nextest run --release --workspace --locked --profile ci $(ARGS)
	cargo test --release --workspace --locked --doc

ts: build ## The TypeScript client: lint, build, its tests in Node.js and Chromium, alone and against a devnet.
	@.ci/ts

soak: build contracts/node_modules/.package-lock.json ## The end-to-end tests over and over, and the simulator over fresh seeds, for MINUTES (60). SEED and ROUND, as one prints them, go on with it.
	@.ci/tool cargo-nextest
	@SEED='$(SEED)' ROUND='$(ROUND)' .ci/soak $(or $(MINUTES),60)

mutants: setup ## Break each guard of the core in turn and show that an oracle sees it. ARGS='lock cursor' takes only these.
	cargo run --release --locked -p conclave-tests --bin conclave-mutants -- $(ARGS)

lint: setup ## Formatting, clippy, and the licences, bans and sources of dependencies.
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	@.ci/tool cargo-deny
	cargo deny --offline --locked check licenses bans sources

docs: setup ## The API documentation, with warnings refused.
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --release --workspace --no-deps --document-private-items --locked

fuzz: setup ## The fuzz targets with CASES (1000000) cases each, from a fresh SEED unless one is given.
	FUZZ_CASES=$(or $(CASES),1000000) FUZZ_SEED=$(or $(SEED),$$(date +%s)) \
	  cargo test --release --locked -p conclave-tests --test fuzz -- --nocapture

bench: build ## Throughput and latency of a devnet on this machine. ARGS='--bundle-bytes 1024 --duration 20' is passed on.
	@exec $(BIN)/conclave bench $(ARGS)

CALIBRATION := $(CARGO_TARGET_DIR)/calibration
calibrate: build ## Fit the simulator to a devnet on this machine, which must do nothing else, and compare what it predicts: 5 minutes.
	@mkdir -p $(CALIBRATION)
	@for point in fit:1024:250 low:1024:100 high:1024:350 size:65536:50; do IFS=: read -r name bytes rate <<< "$$point"; for run in 1 2; do \
	  $(BIN)/conclave bench --bundle-bytes $$bytes --rate $$rate --duration 15 --json > $(CALIBRATION)/$$name-$$run.json; done; done
	$(BIN)/conclave-sim calibrate --fit $(CALIBRATION)/fit-{1,2}.json --predict $(CALIBRATION)/{low,high,size}-{1,2}.json \
	  --output simulator/scenarios/devnet.toml --date $$(date -u +%F) $(ARGS)

contracts: contracts/node_modules/.package-lock.json ## The L1 contracts: formatting, build, committed artifacts, every test, and the gas that they are known to cost.
	cd contracts && $(FORGE) fmt --check
	cd contracts && $(FORGE) build
	contracts/tools/artifacts --check
	PATH=$(CURDIR)/contracts/node_modules/.bin:$$PATH contracts/tools/snapshots

artifacts: contracts/node_modules/.package-lock.json ## Compile the contracts to contracts/artifacts, which the rest of the repository is built with.
	cd contracts && $(FORGE) build
	contracts/tools/artifacts

gas: contracts/node_modules/.package-lock.json ## What the contracts cost, measured anew and written to contracts/snapshots.
	cd contracts && $(FORGE) test
	@cd contracts && grep -hE '": "' snapshots/*.json | sed -E 's/^ *"([^"]+)": "([0-9]+)",?/\2\t\1/'

SLITHER := $(TOOLS)/slither/bin/slither
HALMOS := $(TOOLS)/halmos/bin/halmos
contracts-audit: contracts/node_modules/.package-lock.json ## What slither says about the contracts, failing on what it rates high; and what halmos proves. Needs Python.
	@[ -x $(SLITHER) ] || { python3 -m venv $(TOOLS)/slither && $(TOOLS)/slither/bin/pip install -q slither-analyzer==0.11.6; }
	cd contracts && PATH=$(CURDIR)/contracts/node_modules/.bin:$$PATH $(SLITHER) .
	@[ -x $(HALMOS) ] || { python3 -m venv $(TOOLS)/halmos && $(TOOLS)/halmos/bin/pip install -q halmos==0.3.3; }
	cd contracts && FOUNDRY_PROFILE=symbolic PATH=$(CURDIR)/contracts/node_modules/.bin:$(TOOLS)/halmos/bin:$$PATH $(HALMOS) --forge-build-out out/symbolic

contracts/node_modules/.package-lock.json: contracts/package.json contracts/package-lock.json
	@.ci/setup contracts
	cd contracts && npm ci --ignore-scripts
	@touch $@

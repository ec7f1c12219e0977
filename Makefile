# What one can do here: `make` says it. Each target does all the set-up that it needs.
#
# Build results lie outside the clone, in the cache: see tools/env.sh.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup build check test demo bench compare count peers soak simulate fuzz docs fmt clean

# The settings of tools/env.sh, then cargo.
cargo = eval "$$(tools/env.sh)" && cargo
# Tests that take more than a few seconds have `slow_` in their names; `make check` leaves them out.
nextest = $$(cargo nextest --version > /dev/null 2>&1 && echo nextest run || echo test --all-targets)
TIME ?= 60
OUT ?= docs
MINUTES ?= 30

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)$$/  make \1 \2/p' Makefile | awk '{ printf "  make %-8s", $$2; $$1 = $$2 = ""; print }'

setup: ## what a fresh Debian 12 with Rust still lacks: packages, and RocksDB built once
	@tools/setup.sh

build: setup ## the program, optimised
	@$(cargo) build --release --package twintalk-cli
	@eval "$$(tools/env.sh)" && echo "Built: $$CARGO_TARGET_DIR/release/twintalk"

check: setup ## before every commit: format, lints, and the tests that are quick
	@$(cargo) fmt --all --check
	@$(cargo) clippy --quiet --workspace --all-targets -- --deny warnings
	@export NEXTEST_STATUS_LEVEL=fail; $(cargo) $(nextest) --workspace -- --skip slow_

test: setup ## all tests
	@$(cargo) test --workspace --doc --quiet
	@$(cargo) $(nextest) --workspace
	@$(cargo) test --quiet --profile threaded --package twintalk-vm

demo: build ## examples/plant, killed and reopened on the way; DATA=readings.csv watches a real machine
	@eval "$$(tools/env.sh)" && TWINTALK="$$CARGO_TARGET_DIR/release/twintalk" bash examples/plant/demo.sh "$(DATA)"

bench: setup ## the figures of benches/results.md, on this machine; WRITE=1 puts them there
	@$(cargo) build --release --package twintalk-cli --package twintalk-benches
	@eval "$$(tools/env.sh)" && "$$CARGO_TARGET_DIR/release/twintalk-benches" $(if $(WRITE),--write)

compare: setup ## the programs of benches/programs beside Lua; ONLY=word some, WRITE=1 puts table and plot into benches/results
	@$(cargo) build --release --package twintalk-benches
	@eval "$$(tools/env.sh)" && "$$CARGO_TARGET_DIR/release/twintalk-benches" compare $(if $(ONLY),--only $(ONLY)) $(if $(WRITE),--write)

count: setup ## their instructions, held against benches/results/instructions.tsv; WRITE=1 makes that anew
	@$(cargo) build --release --package twintalk-benches
	@eval "$$(tools/env.sh)" && "$$CARGO_TARGET_DIR/release/twintalk-benches" count $(if $(ONLY),--only $(ONLY)) $(if $(WRITE),--write)

peers: setup ## actix, ractor, kameo and, where there is one, Erlang beside TwinTalk; WRITE=1 puts table and plot into benches/results
	@eval "$$(tools/env.sh)" && cd benches/peers && cargo run --release --locked -- $(if $(WRITE),--write)

soak: setup ## MINUTES=30 at full load: memory, latency and disk; WRITE=1 puts the table into benches/results
	@$(cargo) build --release --package twintalk-benches
	@eval "$$(tools/env.sh)" && "$$CARGO_TARGET_DIR/release/twintalk-benches" soak --minutes $(MINUTES) $(if $(WRITE),--write)

simulate: setup ## HOURS=1 of stores on disks that fail as a number says; SEED=7 is one of them, told in full
	@$(cargo) test --quiet --package twintalk-tests --test simulator -- --nocapture whatever

fuzz: setup ## each fuzz target for TIME=60 seconds
	@tools/fuzz.sh $(TIME)

docs: build ## pages about the class library and the example, in the folder OUT
	@eval "$$(tools/env.sh)" && "$$CARGO_TARGET_DIR/release/twintalk" doc --kernel examples/plant --output "$(OUT)"

fmt: ## the sources in their one layout
	@cargo fmt --all

clean: ## without the build results of this work tree
	@$(cargo) clean

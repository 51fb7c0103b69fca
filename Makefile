# vzvault. `make help` lists the targets; Debian's make is enough.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

JOBS := $(shell nproc)
BIN := node_modules/.bin
# Some npm configurations warn about settings that npm itself does not know; errors still show.
NPM := npm --loglevel=error

CXX_SOURCES := $(shell find native -name '*.cc' -o -name '*.h')

# The demonstration, the fuzzers and the benchmarks take these.
SEED ?= $(shell date +%s)
SEEDS ?= 200
KILLS ?= 1000
SECONDS_EACH := $(or $(SECONDS),30)

.PHONY: help deps build native js launchers lint check test demo simulate crash sanitize fuzz model bench bench-container bench-repository format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  \1\t/' | expand -t 20

deps: node_modules/.package-lock.json ## installs missing Debian packages (as root) and npm packages
	@tools/apt-deps

node_modules/.package-lock.json: package.json package-lock.json .npmrc
	$(NPM) ci
	@touch $@

build: deps ## builds everything into build/
	@$(MAKE) native js launchers

native:
	@$(BIN)/cmake-js build -d native -O build/native -m -B RelWithDebInfo -l warn -p $(JOBS)

js:
	@$(BIN)/tsc -p .

launchers:
	@mkdir -p build/bin
	@install -m 755 tools/launchers/vzvault tools/launchers/vzvaultd build/bin/
	@ln -sfn ../native/fuse/vzvault-fuse build/bin/vzvault-fuse

lint: deps
	$(BIN)/prettier --check --log-level warn .
	$(BIN)/eslint --max-warnings 0 .
	clang-format --dry-run -Werror $(CXX_SOURCES)
	tools/check-perl

check: build lint ## format, lint, types and the unit tests: seconds
	tools/run-tests unit

test: build lint ## everything
	tools/run-tests all

demo: build ## a backup and a restore from real QEMU, start to end
	node build/js/tools/demo.js

simulate: deps ## writers, readers and collectors of one repository under every fault: make simulate SEEDS=10000
	@$(MAKE) js
	VZVAULT_SIMULATION_SEEDS=$(SEEDS) node --test build/js/test/simulation/simulation.test.js

crash: build ## real programs killed at random moments, then checked: make crash KILLS=1000 SEED=1 (as root; seconds for each kill)
	VZVAULT_CRASH_KILLS=$(KILLS) VZVAULT_CRASH_SEED=$(SEED) node --test build/js/test/crash/random-kills.test.js

sanitize: deps ## native tests under the address, undefined-behaviour and thread sanitizers
	tools/run-sanitized address,undefined
	tools/run-sanitized thread

fuzz: deps ## every fuzzer under the sanitizers: make fuzz SEED=1 SECONDS=60 (seconds for each)
	@$(MAKE) js
	tools/run-fuzz --sanitized --seed $(SEED) --seconds $(SECONDS_EACH)

model: ## checks the models of sharing and collection with spin, and that it finds mistakes: minutes
	tools/run-model full

bench: build ## benchmarks
	tools/run-bench

bench-container: build ## what backups of a Debian root file system cost: minutes, needs debootstrap and a mirror
	node build/js/bench/container.js

bench-repository: build ## what a repository of two million chunks costs to collect, verify and list: minutes, needs 5 GiB in the temporary directory
	node build/js/bench/repository.js

format: deps ## rewrites the sources as `make check` wants them
	$(BIN)/prettier --write --log-level warn .
	clang-format -i $(CXX_SOURCES)

clean: ## removes build/
	rm -rf build

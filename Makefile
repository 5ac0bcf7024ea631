# callsheet. `make` lists the targets; `make demo` and `make test` install what they need into this folder.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
CORE := Cargo.toml Cargo.lock core/Cargo.toml $(shell find core/src -type f)
PYTHON_SOURCES := $(shell find bindings-python/src bindings-python/python bindings-python/Cargo.toml \
	bindings-python/pyproject.toml -type f -not -name '*.pyc')
NODE_SOURCES := $(shell find bindings-node/src bindings-node/Cargo.toml bindings-node/build.rs bindings-node/scripts -type f)
C_SOURCES := $(shell find bindings-c/src bindings-c/Cargo.toml bindings-c/build.rs bindings-c/build.sh -type f)
GO_SOURCES := $(shell find bindings-c/go -name '*.go' -o -name '*.c' -o -name '*.h')
C_LANGUAGE := $(shell find bindings-c/examples bindings-c/tests bindings-c/go demo tests/bench tests/conformance/c tests/soak/cast/c \
	-name '*.c' -o -name '*.cpp' -o -path '*/tests*/*.h' -o -path 'tests/*.h' -o -path '*/go/*.h')

GO_FOLDERS := bindings-c/go demo tests/bench/go tests/bench/peers/go tests/bench/peers/pickers tests/conformance/go tests/soak/cast/go

.NOTPARALLEL:

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Tools -----------------------------------------------------------------------------------------------------------

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "callsheet needs Rust 1.89 or newer: install it with rustup" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "callsheet needs a C compiler: install gcc or clang" >&2; exit 1; }
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "callsheet needs Python 3.10 or newer with its venv module (PYTHON=... names another one)" >&2; exit 1; }

.PHONY: node-tools
node-tools:
	@node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' 2>/dev/null && command -v npm >/dev/null || \
		{ echo "callsheet's npm package needs Node.js 20.9 or newer and npm" >&2; exit 1; }

.PHONY: go-tools
go-tools:
	@command -v go >/dev/null || { echo "callsheet's Go package needs Go 1.24 or newer" >&2; exit 1; }

$(BIN)/.tools: bindings-python/pyproject.toml | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade 'pip>=25.1' # the first that reads dependency groups
	@$(PIP) --group bindings-python/pyproject.toml:dev
	@touch $@

# The wheel is built as users get it, optimised, and installed into the venv.
$(BIN)/.package: $(BIN)/.tools $(CORE) $(PYTHON_SOURCES)
	@echo "building the Python package (minutes the first time, seconds after) ..."
	@rm -rf target/wheels
	@mkdir -p target
	@$(BIN)/maturin build --release --locked --manifest-path bindings-python/Cargo.toml --out target/wheels \
		--interpreter $(BIN)/python > target/maturin.log 2>&1 || { cat target/maturin.log >&2; exit 1; }
	@$(PIP) --no-deps --force-reinstall target/wheels/*.whl
	@touch $@

target/.c-library: $(BIN)/.tools $(CORE) $(C_SOURCES)
	@echo "building the C library ..."
	@bindings-c/build.sh
	@touch $@

bindings-node/node_modules/.package-lock.json: bindings-node/package-lock.json | node-tools
	@cd bindings-node && npm ci --silent --no-audit --no-fund
	@touch $@

target/.npm-package: bindings-node/node_modules/.package-lock.json $(BIN)/.tools $(CORE) $(NODE_SOURCES)
	@echo "building the npm package ..."
	@cd bindings-node && npm run --silent build
	@touch $@

.PHONY: servers
servers: | go-tools ## etcd, Consul and the fault proxy, for the tests (ten minutes the first time)
	@tests/servers/build.sh

.PHONY: servers-path
servers-path: ## Where they are
	@tests/servers/build.sh --path

.PHONY: setup
setup: $(BIN)/.package target/.npm-package target/.c-library servers ## Everything that the other targets need, in every language

# --- What to look at -------------------------------------------------------------------------------------------------

target/demo/cyd: target/.c-library demo/cast/cyd/main.go demo/cast/cyd/go.mod $(GO_SOURCES) | go-tools
	@rm -f $@ # Go does not see that the library in it is another one
	@go build -C demo/cast/cyd -o $(CURDIR)/$@ .

target/demo/dot: target/.c-library demo/cast/dot.c
	@mkdir -p target/demo
	@cc -std=c11 -O2 -Wall -Wextra -Werror -pedantic -Ibindings-c/include demo/cast/dot.c -o $@ \
		-Ltarget/release -lcallsheet -Wl,-rpath,$(CURDIR)/target/release -pthread

DEMO := setup target/demo/cyd target/demo/dot

REGISTRY = local

.PHONY: demo
demo: $(DEMO) ## The main job with real processes in four languages; REGISTRY=etcd or consul plays it there
	@$(BIN)/python demo/demo.py --registry $(REGISTRY)

# The clients that callsheet is measured beside, in a venv and a node_modules of their own: nothing else needs them.
PEERS := tests/bench/peers

target/bench/python/.peers: $(PEERS)/requirements.txt $(BIN)/.tools
	@$(BIN)/python -m venv target/bench/python
	@target/bench/python/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(PEERS)/node_modules/.package-lock.json: $(PEERS)/package-lock.json | node-tools
	@cd $(PEERS) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

.PHONY: bench
bench: setup target/bench/python/.peers $(PEERS)/node_modules/.package-lock.json | go-tools ## callsheet beside its floors and peers, in one run, into docs/benchmarks.md; or parts (ONLY="etcd consul" and so on)
	@cargo build --quiet --release --locked -p callsheet-bench
	@go vet -C $(PEERS)/pickers . # not by `make lint`, for which half of Kubernetes would be compiled
	@$(BIN)/python tests/bench/bench.py $(ONLY)

.PHONY: simulate
simulate: ## Every policy on the same bad day, in simulated time: the tables and the picture of docs/balancing.md
	@cargo run --quiet --locked -p callsheet-simulation

# --- Tests -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint test-rust test-loom test-python test-node test-c test-go test-sanitizers test-servers test-etcd test-consul \
	test-faults test-conformance test-demo test-soak test-bench test-fuzz ## Everything

.PHONY: test-rust
test-rust: $(BIN)/.tools servers ## The core, its command line, and conformance in Rust
	@mkdir -p target/conformance && rm -f target/conformance/rust.jsonl
	@cargo test --quiet --locked --workspace --exclude callsheet-python --exclude callsheet-node \
		--exclude callsheet-bench --exclude callsheet-soak --all-features

.PHONY: test-loom
test-loom: | tools ## Every interleaving of the threads at a watch's slot, the callbacks and a picker
	@RUSTFLAGS="--cfg callsheet_loom" CARGO_TARGET_DIR=target/loom CARGO_PROFILE_DEV_OPT_LEVEL=1 LOOM_MAX_PREEMPTIONS=4 \
		cargo test --quiet --locked -p callsheet --no-default-features --lib models

.PHONY: test-python
test-python: $(BIN)/.package ## The Python package
	@$(BIN)/python -m pytest --quiet bindings-python/tests

.PHONY: test-node
test-node: setup ## The npm package
	@cd bindings-node && npm test --silent

.PHONY: test-c
test-c: $(BIN)/.tools target/.c-library ## The C library, under sanitizers and valgrind
	@$(BIN)/python -m pytest --quiet bindings-c/tests

.PHONY: test-go
test-go: target/.c-library | go-tools ## The Go package
	@cd bindings-c/go && go test -count=1 -race .
	@cd bindings-c/go && GODEBUG=cgocheck=1 go test -count=1 -run 'Example|Picker|Lookup|Watch' .
	@cd bindings-c/go/internal/beside && go test -count=1 .

.PHONY: test-sanitizers
test-sanitizers: $(BIN)/.package target/.npm-package ## Python and Node under valgrind: close, fork, workers, every end
	@$(BIN)/python -m pytest --quiet --timeout 300 tests/sanitizers

# The standard library is built along: what it does with memory has to be seen as well. A backtrace takes so long to write
# that tests of panics would be late. `local:` is left out: nothing sees into SQLite's C.
.PHONY: tsan
tsan: | tools ## The core's tests of threads under the thread sanitizer
	@rustup component list --toolchain nightly --installed 2>/dev/null | grep -qx rust-src || { echo "the thread sanitizer" \
		"needs a nightly Rust and its sources: rustup toolchain install nightly --component rust-src" >&2; exit 1; }
	@RUST_BACKTRACE=0 RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=target/tsan \
		cargo +nightly test --quiet --locked -Zbuild-std --target "$$(rustc +nightly --print host-tuple)" \
		-p callsheet --no-default-features --lib --test picker --test callbacks --test dispatcher

.PHONY: test-servers
test-servers: $(BIN)/.tools servers ## How the tests start real servers, and hurt them
	@$(BIN)/python -m pytest --quiet --timeout 120 tests/servers/tests

.PHONY: test-etcd
test-etcd: $(BIN)/.package servers ## etcd: its errors, TLS, users, doctor, and what its guide says
	@$(BIN)/python -m pytest --quiet --timeout 240 tests/etcd

.PHONY: test-consul
test-consul: $(BIN)/.package servers ## Consul: its fields, checks, tokens, errors, TLS, doctor, and what its guide says
	@$(BIN)/python -m pytest --quiet --timeout 240 tests/consul

.PHONY: test-faults
test-faults: setup ## The known failures of this field, by number, done to real servers
	@$(BIN)/python tests/faults

.PHONY: test-conformance
test-conformance: setup | go-tools ## The same scenarios in every language, and their matrix
	@$(BIN)/python -m pytest --quiet tests/conformance/engine
	@$(BIN)/python tests/conformance/matrix.py

.PHONY: test-demo
test-demo: $(DEMO)
	@$(BIN)/python demo/demo.py --check
	@$(BIN)/python demo/demo.py --check --registry etcd
	@$(BIN)/python demo/demo.py --check --registry consul

SOAK_CAST := tests/soak/cast

target/soak/go: target/.c-library $(wildcard $(SOAK_CAST)/go/*) $(GO_SOURCES) | go-tools
	@mkdir -p target/soak
	@rm -f $@ # Go does not see that the library in it is another one
	@go build -C $(SOAK_CAST)/go -o $(CURDIR)/$@ .

target/soak/c: target/.c-library $(wildcard $(SOAK_CAST)/c/*)
	@mkdir -p target/soak
	@cc -std=c11 -O2 -Wall -Wextra -Werror -pedantic -Ibindings-c/include $(SOAK_CAST)/c/*.c -o $@ \
		-Ltarget/release -lcallsheet -Wl,-rpath,$(CURDIR)/target/release -pthread

target/soak/rust: $(BIN)/.tools $(CORE) $(wildcard $(SOAK_CAST)/rust/Cargo.toml $(SOAK_CAST)/rust/src/*)
	@mkdir -p target/soak
	@cargo build --quiet --release --locked -p callsheet-soak
	@cp target/release/callsheet-soak $@

SOAK := setup target/soak/go target/soak/c target/soak/rust
SECONDS = 30

.PHONY: soak
soak: $(SOAK) ## Random faults for SECONDS=30, those of SEED=... if it is given, on REGISTRY=etcd, consul, or both at once
	@$(BIN)/python tests/soak $(if $(filter-out local,$(REGISTRY)),--registry $(filter-out local,$(REGISTRY))) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

.PHONY: test-soak
test-soak: $(SOAK)
	@$(BIN)/python -m pytest --quiet tests/soak/tests
	@$(BIN)/python tests/soak --seconds 30

.PHONY: test-bench
test-bench: $(BIN)/.package servers ## The benchmark's pages and pictures, and that what is measured of scale can be, at small sizes
	@cargo build --quiet --locked -p callsheet-bench
	@$(BIN)/python -m pytest --quiet --timeout 240 tests/bench/tests

.PHONY: fuzz
fuzz: SECONDS = 20
fuzz: $(BIN)/.tools ## Each fuzzer for SECONDS=20, or those of ONLY="url etcd"; KEEP=1 adds to fuzz/corpus what is worth it
	@$(BIN)/python fuzz/run.py --seconds $(SECONDS) $(if $(KEEP),--keep) $(ONLY)

.PHONY: test-fuzz
test-fuzz: $(BIN)/.tools
	@$(BIN)/python fuzz/run.py --seconds 20

.PHONY: lint
lint: setup | go-tools ## Formatters and linters, as errors
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@cargo metadata --quiet --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --strict --no-error-summary demo fuzz tests/bench tests/sanitizers tests/servers tests/soak bindings-c/tests
	@MYPYPATH=tests $(BIN)/mypy --strict --no-error-summary tests/conformance/registries
	@MYPYPATH=tests $(BIN)/mypy --strict --no-error-summary tests/consul
	@MYPYPATH=tests $(BIN)/mypy --strict --no-error-summary tests/etcd
	@MYPYPATH=tests $(BIN)/mypy --strict --no-error-summary tests/faults
	@cd bindings-python && ../$(BIN)/mypy --no-error-summary && ../$(BIN)/python -m mypy.stubtest callsheet --concise
	@cd bindings-node && npm run --silent lint
	@unformatted=$$(gofmt -l $(GO_FOLDERS)); \
		test -z "$$unformatted" || { echo "not formatted by gofmt: $$unformatted" >&2; exit 1; }
	@for module in bindings-c/go bindings-c/go/internal/beside tests/bench/go tests/bench/peers/go \
		tests/conformance/go tests/soak/cast/go demo/cast/cyd; do \
		go vet -C $$module .; done
	@$(BIN)/clang-format --dry-run --Werror $(C_LANGUAGE)

.PHONY: format
format: $(BIN)/.tools bindings-node/node_modules/.package-lock.json | go-tools ## Format everything
	@cargo fmt --all
	@cargo fmt --manifest-path fuzz/Cargo.toml
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@cd bindings-node && npm run --silent format
	@gofmt -w $(GO_FOLDERS)
	@$(BIN)/clang-format -i $(C_LANGUAGE)

.PHONY: clean
clean: ## Remove what was built here
	@rm -rf target $(VENV) bindings-node/node_modules bindings-node/callsheet.node $(PEERS)/node_modules

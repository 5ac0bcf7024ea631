# callsheet. `make` lists the targets; `make demo` and `make test` install what they need into this folder.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find core/src bindings-python/src bindings-python/Cargo.toml -type f)
PYTHON_SOURCES := bindings-python/pyproject.toml $(shell find bindings-python/python -type f -not -name '*.pyc')

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Tools -----------------------------------------------------------------------------------------------------------

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "callsheet needs Rust 1.89 or newer: install it with rustup" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "callsheet needs a C compiler: install gcc or clang" >&2; exit 1; }
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "callsheet needs Python 3.10 or newer with its venv module (PYTHON=... names another one)" >&2; exit 1; }

$(BIN)/.tools: bindings-python/pyproject.toml | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade 'pip>=25.1' # the first that reads dependency groups
	@$(PIP) --group bindings-python/pyproject.toml:dev
	@touch $@

# The wheel is built as users get it, optimised, and installed into the venv.
$(BIN)/.package: $(BIN)/.tools $(RUST_SOURCES) $(PYTHON_SOURCES)
	@echo "building the Python package (minutes the first time, seconds after) ..."
	@rm -rf target/wheels
	@mkdir -p target
	@$(BIN)/maturin build --release --locked --manifest-path bindings-python/Cargo.toml --out target/wheels \
		--interpreter $(BIN)/python > target/maturin.log 2>&1 || { cat target/maturin.log >&2; exit 1; }
	@$(PIP) --no-deps --force-reinstall target/wheels/*.whl
	@touch $@

.PHONY: setup
setup: $(BIN)/.package ## Everything that the other targets need: .venv with the package in it

# --- What to look at -------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(BIN)/.package ## The main job with real processes: a crash, a graceful exit, a newcomer (under a minute)
	@$(BIN)/python demo/demo.py

.PHONY: bench
bench: $(BIN)/.package ## callsheet beside its floors, measured in one run
	@cargo build --quiet --release --locked -p callsheet-bench
	@$(BIN)/python tests/bench/bench.py

# --- Tests -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint test-rust test-python test-conformance test-demo ## Everything

.PHONY: test-rust
test-rust: | tools ## The core, its command line, and conformance in Rust
	@mkdir -p target/conformance && rm -f target/conformance/rust.jsonl
	@cargo test --quiet --locked --workspace --exclude callsheet-python --exclude callsheet-bench --all-features

.PHONY: test-python
test-python: $(BIN)/.package ## The Python package
	@$(BIN)/python -m pytest --quiet bindings-python/tests

.PHONY: test-conformance
test-conformance: $(BIN)/.package ## The same scenarios in every language, and their matrix
	@mkdir -p target/conformance && rm -f target/conformance/python.jsonl
	@$(BIN)/python -m pytest --quiet tests/conformance/python
	@$(BIN)/python tests/conformance/matrix.py

.PHONY: test-demo
test-demo: $(BIN)/.package
	@$(BIN)/python demo/demo.py --check

.PHONY: lint
lint: $(BIN)/.package ## Formatters and linters, as errors
	@cargo fmt --all --check
	@cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --strict --no-error-summary demo tests/bench
	@cd bindings-python && ../$(BIN)/mypy --no-error-summary && ../$(BIN)/python -m mypy.stubtest callsheet --concise

.PHONY: format
format: $(BIN)/.tools ## Format everything
	@cargo fmt --all
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

.PHONY: clean
clean: ## Remove what was built here
	@rm -rf target $(VENV)

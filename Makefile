# Two commands: `make run` starts a server to play with, `make test` runs everything that proves it works.
# Both install what is missing first; nothing is installed when nothing is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

export CARGO_TARGET_DIR ?= $(HOME)/.cache/kuorum-target
export KUORUM_TOOLS ?= $(CARGO_TARGET_DIR)/tools
export PATH := $(HOME)/.cargo/bin:$(PATH)
BIN := $(CARGO_TARGET_DIR)/release/kuorum

# What `make run ARGS="--secure-port 7443"` hands to `kuorum dev`.
ARGS ?=

.PHONY: help
help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: run
run: build ## Build and start `kuorum dev`: an API server with a one-member store
	@exec $(BIN) dev $(ARGS)

.PHONY: build
build: setup-build ## Build the binary
	cargo build --release -p kuorum
	@echo "built $(BIN)"

.PHONY: test
test: setup-build setup-test ## Run all tests (unit, contract, real clients, recorded answers, crashes, containers)
	deploy/scripts/test

.PHONY: check
check: setup-build ## Formatting and lints; changes nothing
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --config .deny.toml check bans licenses sources; \
	  else echo "cargo-deny is not installed: dependency rules not checked"; fi

.PHONY: fix
fix: setup-build ## Formatting, and the lints that can be repaired without a person
	cargo fmt --all
	cargo clippy --release --workspace --all-targets --fix --allow-dirty --allow-staged

.PHONY: oracle
oracle: build setup-test ## Replay the recorded answers; ONLY=kind-pods for a part, V=1 for every difference
	$(if $(ONLY),KUORUM_ORACLE_ONLY=$(ONLY)) $(if $(V),KUORUM_ORACLE_VERBOSE=1) \
	  cargo test --release -p kuorum-tests --test oracle -- --nocapture

.PHONY: oracle-update
oracle-update: build setup-test ## Take steps that are now the same off tests/oracle/differs.txt; adds none
	KUORUM_ORACLE=update cargo test --release -p kuorum-tests --test oracle -- --nocapture

.PHONY: soak
soak: build setup-test ## Crash loop under load for SOAK_SECONDS (600)
	KUORUM_SOAK_SECONDS=$${SOAK_SECONDS:-600} cargo test --release -p kuorum-tests --test cluster crash -- --nocapture

.PHONY: setup-build
setup-build:
	@deploy/scripts/setup build

.PHONY: setup-test
setup-test:
	@deploy/scripts/setup test

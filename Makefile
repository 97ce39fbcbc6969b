# Everything that a person or CI does here has a target; `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

SANDBAR = $${CARGO_TARGET_DIR:-target}/release/sandbar
# The same flags everywhere, so that what one target compiles the next finds in the cache.
GO = CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" go
GO_TOOL = $(GO) tool -modfile=$(CURDIR)/images/tools/go.mod
STATICCHECK = $(GO_TOOL) staticcheck
GO_TAGS = -tags "no_aufs no_btrfs no_devmapper no_zfs"

# Seconds that each fuzz target gets.
FUZZ_TIME = 600

# How many processes make soak kills.
KILLS = 100
# How often make power-cuts kills a machine.
CUTS = 30

# The engines that make test installs, and what leads to them; only the superuser may start a dockerd and an sshd of his own.
REQUIRED_ENGINES = podman machine device $(if $(filter 0,$(shell id -u)),docker sshd)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 18

.PHONY: up
up: ## install what is missing, build everything, start a cluster in Podman
	@scripts/requirements.sh up
	@$(MAKE) --no-print-directory cli image
	@"$(SANDBAR)" up

.PHONY: cli
cli: ## build the command-line tool, target/release/sandbar
	@cargo build --release --locked

.PHONY: install
install: cli ## put the command-line tool into ~/.cargo/bin
	@cargo install --path . --locked --quiet --force

.PHONY: node
node: ## build the node's programs into build/
	@images/build.sh binaries

.PHONY: image
image: ## build the node image, localhost/sandbar-node
	@images/build.sh image

.PHONY: machine-image
machine-image: ## make what machines start from into build/ARCH/machine; ARCH=arm64, amd64 or riscv64, else this machine's
	@scripts/requirements.sh machine
	@images/machine/build.sh set $(ARCH)

.PHONY: test-riscv64
test-riscv64: ## boot a machine of riscv64 until its node is healthy, unless it did with the same inputs
	@scripts/requirements.sh riscv64
	@scripts/test-riscv64.sh

.PHONY: cross
cross: ## build the command-line tool for Linux, macOS and Windows into build/cross/
	@scripts/cross.sh build

.PHONY: cross-check
cross-check: ## check that it would compile for Windows and macOS
	@scripts/cross.sh check

.PHONY: cross-test
cross-test: ## run its tests for Windows on Wine, and its arm64 build on QEMU
	@scripts/cross.sh test

.PHONY: dist
dist: ## make a release in build/dist: archives, packages, checksums; and test it
	@scripts/dist.sh
	@scripts/dist-test.sh

.PHONY: completions
completions: ## write completions/ anew after a change of the command line
	@mkdir -p completions
	@cargo run --quiet --locked -- completions bash > completions/sandbar.bash
	@cargo run --quiet --locked -- completions zsh > completions/_sandbar
	@cargo run --quiet --locked -- completions fish > completions/sandbar.fish

.PHONY: check
check: ## formatting, lints, unit and command-line tests: the quick part
	@cargo fmt --check
	@cargo clippy --quiet --locked --all-targets -- -D warnings
	@cargo test --quiet --locked --lib --bins --test cli

.PHONY: lint
lint: ## every linter, of Rust, Go and the shell
	@scripts/requirements.sh lint
	@cargo fmt --check
	@cargo clippy --quiet --locked --all-targets -- -D warnings
	@unformatted=$$(gofmt -l images/node examples); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted" >&2; exit 1; }
	@cd images/node && $(GO) vet $(GO_TAGS) ./...
	@cd examples/hello && $(GO) vet ./...
	@cd images/node && $(STATICCHECK) $(GO_TAGS) ./...
	@cd examples/hello && $(STATICCHECK) ./...
	@shellcheck scripts/*.sh images/build.sh images/*/build.sh ci/*.sh .ci/run

.PHONY: test
test: ## every test there is, real engines included; installs what is missing
	@scripts/requirements.sh test
	@$(MAKE) --no-print-directory lint cross-check image machine-image
	@images/machine/build.sh set arm64
	@cd images/node && $(GO_TOOL) gotestsum --format pkgname --format-hide-empty-pkg -- $(GO_TAGS) ./...
	@SANDBAR_TEST_REQUIRE="$(REQUIRED_ENGINES)" cargo test --locked
	@$(MAKE) --no-print-directory test-riscv64
	@# The same inputs each time: what a test says depends on the change alone. `make fuzz` by itself looks further.
	@$(MAKE) --no-print-directory fuzz FUZZ_TIME=60 FUZZ_SEED=1
	@$(MAKE) --no-print-directory reproduce

.PHONY: fuzz
fuzz: ## look for inputs that break something, FUZZ_TIME seconds for each target (or for TARGET)
	@scripts/requirements.sh fuzz
	@FUZZ_SEED="$(FUZZ_SEED)" scripts/fuzz.sh "$(FUZZ_TIME)" $(TARGET)

.PHONY: soak
soak: ## kill a hundred processes of a node, one after the other, and say how long it takes to heal
	@scripts/requirements.sh test
	@$(MAKE) --no-print-directory image
	@SANDBAR_TEST_REQUIRE=podman SANDBAR_TEST_KILLS=$(KILLS) cargo test --locked --test faults -- storm --nocapture

.PHONY: power-cuts
power-cuts: ## cut the power of a machine thirty times while it is written to, and count what is lost
	@scripts/requirements.sh test
	@$(MAKE) --no-print-directory machine-image
	@SANDBAR_TEST_REQUIRE=machine SANDBAR_TEST_POWER_CUTS=$(CUTS) cargo test --locked --test machine -- --nocapture

.PHONY: reproduce
reproduce: ## build the node image and what machines start from twice and compare
	@images/build.sh reproduce
	@images/machine/build.sh reproduce

.PHONY: bench
bench: ## measure the figures of docs/performance.md and write its table
	@scripts/requirements.sh bench
	@$(MAKE) --no-print-directory cli image
	@bench/bench.py --sandbar "$(SANDBAR)" --json build/bench.json --write docs/performance.md
	@$(MAKE) --no-print-directory machine-image
	@$(MAKE) --no-print-directory machine-image ARCH=arm64
	@bench/machine.py --sandbar "$(SANDBAR)" --json build/bench-machine.json --write docs/performance.md

.PHONY: clean
clean: ## remove what was built; clusters and the engine's images stay
	@rm -rf build target

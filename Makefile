# Everything that a person or CI does here has a target; `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 18

.PHONY: node
node: ## build the node's programs into build/
	@images/build.sh binaries

.PHONY: image
image: ## build the node image, localhost/sandbar-node
	@images/build.sh image

.PHONY: bench
bench: image ## measure the figures of docs/performance.md and write its table
	@cargo build --release --locked
	@bench/bench.py --sandbar "$${CARGO_TARGET_DIR:-target}/release/sandbar" --json build/bench.json --write docs/performance.md

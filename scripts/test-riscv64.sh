#!/bin/sh
# Makes what machines of riscv64 start from, boots one until its node is healthy, stops it and starts it again, and runs a program
# for amd64 in it. What has passed with the same inputs is not done again: build/riscv64/tested.inputs has their digest.
# Where Debian's mirror has no lists of riscv64 that fit their Release file, which happens to an architecture that few people
# fetch, that is counted as skipped; whatever else fails is a failure.
#   test-riscv64.sh
set -eu
export LC_ALL=C

root=$(dirname "$(dirname "$(realpath "$0")")")
build=$root/build/riscv64
stamp=$build/tested.inputs

# shellcheck source=scripts/counted.sh
. "$root/scripts/counted.sh"

# Makes the set. What it says is in make.log, too.
make_set() {
	mkdir -p "$build"
	rm -f "$build/made"
	{ "$root/images/machine/build.sh" set riscv64 && touch "$build/made"; } 2>&1 | tee "$build/make.log"
	[ -e "$build/made" ]
}

# ended_with_lists: whether that ended because apt could not update its lists: with apt's own words, or with mmdebstrap's, which
# keeps apt's to itself.
ended_with_lists() {
	tail -n 1 "$build/make.log" | grep -q -e '^E: Some index files failed to download\.' -e '^E: mmdebstrap failed to run' &&
		{ ! grep -q '^E: mmdebstrap' "$build/make.log" || grep -q '^E: apt-get update .* failed$' "$build/make.log"; }
}

boot() {
	cd "$root/images/node"
	CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" SANDBAR_TEST_MACHINE=riscv64 go test -tags "no_aufs no_btrfs no_devmapper no_zfs" \
		-count 1 -timeout 30m -v -run '^(TestMachine|TestEmulateBinaries)$' ./internal/machine/machinetest/
}

inputs=$(
	cd "$root"
	{
		go version
		qemu-system-riscv64 --version
		find images contract Cargo.toml scripts/test-riscv64.sh -type f -print0 | sort -z | xargs -0 sha256sum
	} | sha256sum | cut -d' ' -f1
)
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$inputs" ]; then
	echo "riscv64 has passed with these inputs" >&2
	exit 0
fi
if ! make_set; then
	if ended_with_lists && reason=$("$root/scripts/undelivered.sh" riscv64); then
		skip "a machine of riscv64" "$reason"
		exit 0
	fi
	echo "error: what machines of riscv64 start from could not be made" >&2
	exit 1
fi
counted "a machine of riscv64" boot
report
printf '%s\n' "$inputs" >"$stamp"

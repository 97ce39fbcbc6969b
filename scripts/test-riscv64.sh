#!/bin/sh
# Makes what machines of riscv64 start from, boots one until its node is healthy, stops it and starts it again, and runs a program
# for amd64 in it. What has passed with the same inputs is not done again: build/riscv64/tested.inputs has their digest.
#   test-riscv64.sh
set -eu
export LC_ALL=C

root=$(dirname "$(dirname "$(realpath "$0")")")
stamp=$root/build/riscv64/tested.inputs
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
"$root/images/machine/build.sh" set riscv64
cd "$root/images/node"
CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" SANDBAR_TEST_MACHINE=riscv64 go test -tags "no_aufs no_btrfs no_devmapper no_zfs" \
	-count 1 -timeout 30m -v -run '^(TestMachine|TestEmulateBinaries)$' ./internal/machine/machinetest/
printf '%s\n' "$inputs" >"$stamp"

#!/bin/sh
# Runs the fuzz targets, two at a time, each for so many seconds: those of the command line with libFuzzer, those of the
# node with Go's own fuzzer. What was learned stays in build/fuzz; an input that breaks something is kept there, too, and is
# printed with what to do with it.
#
# FUZZ_SEED makes libFuzzer try the same inputs again, and then nothing that was learned before is used.
#
# usage: fuzz.sh SECONDS [TARGET]
set -eu

seconds=$1
only=${2:-}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

rust="cluster_file image_archive kubeconfig_edit node_status"
# package:target
go="images:FuzzArchive config:FuzzLoad components/ingress/translate:FuzzNoObjectInjectsADirective machine/control:FuzzReadHost"

target=$(rustc -vV | sed -n 's/^host: //p')
programs=build/fuzz/target/$target/release

# What cargo-fuzz does without a sanitizer, which needs no nightly compiler. The command line has no unsafe code, so there is
# nothing that a sanitizer would find; overflows and failed assertions end a run.
build_rust() {
	RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
		-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
		-Cllvm-args=-sanitizer-coverage-trace-compares" \
		cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target-dir build/fuzz/target \
		--target "$target"
}

# Says how many inputs a target was given. Where something holds it up, nothing is found that could break it, either.
tried() {
	if [ "${2:-0}" -lt $((seconds * 10)) ]; then
		echo "error: $1 has tried ${2:-no} inputs in $seconds s; build/fuzz/$1.log may say why" >&2
		return 1
	fi
	echo "$1: $2 inputs, none breaks it"
}

run_rust() {
	mkdir -p "build/fuzz/found/$1"
	if [ -n "${FUZZ_SEED:-}" ]; then
		learned=$(mktemp -d)
	else
		learned=build/fuzz/corpus/$1
		mkdir -p "$learned"
	fi
	if ! "$programs/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
		-seed="${FUZZ_SEED:-0}" -artifact_prefix="build/fuzz/found/$1/" -dict="fuzz/dictionaries/$1" "$learned" "fuzz/corpus/$1" \
		>"build/fuzz/$1.log" 2>&1; then
		tail -n 40 "build/fuzz/$1.log" >&2
		echo "error: $1 has found an input that breaks it; put it into fuzz/corpus/$1, where \`cargo test fuzzing\` runs it" >&2
		return 1
	fi
	[ -z "${FUZZ_SEED:-}" ] || rm -r "$learned"
	tried "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$1.log")"
}

run_go() {
	package=${1%%:*}
	name=${1#*:}
	mkdir -p build/fuzz
	# What is new is made smaller for a minute by default, and in a run of a minute nothing else is done.
	if ! (cd images/node && CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" go test \
		-tags "no_aufs no_btrfs no_devmapper no_zfs" -run '^$' -fuzz "^$name\$" -fuzztime "${seconds}s" -fuzzminimizetime 1s \
		-parallel 1 "./internal/$package") >"build/fuzz/$name.log" 2>&1; then
		tail -n 40 "build/fuzz/$name.log" >&2
		echo "error: $name has found an input that breaks it; Go has put it into images/node/internal/$package/testdata/fuzz" >&2
		return 1
	fi
	tried "$name" "$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "build/fuzz/$name.log" | tail -n 1)"
}

run() {
	case $1 in
	*:*) run_go "$1" ;;
	*) run_rust "$1" ;;
	esac
}

# One after the other; every one of them has its turn.
run_all() {
	failed=0
	for one in "$@"; do
		if [ -z "$only" ] || [ "${one#*:}" = "$only" ]; then
			run "$one" || failed=1
		fi
	done
	return "$failed"
}

if [ -n "$only" ]; then
	case " $rust $go " in
	*" $only "* | *":$only "*) ;;
	*)
		echo "error: there is no target $only; there are: $rust $(echo "$go" | sed 's/[^ ]*://g')" >&2
		exit 2
		;;
	esac
fi

build_rust
# shellcheck disable=SC2086 # lists of words
run_all $rust &
others=$!
failed=0
# shellcheck disable=SC2086
run_all $go || failed=1
wait "$others" || failed=1
exit "$failed"

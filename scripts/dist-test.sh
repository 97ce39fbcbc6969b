#!/bin/sh
# Tests what dist.sh made: checksums, archives that run, packages that install, and that the same sources give the same
# bytes. What is not there, or what this machine cannot do, is counted as skipped.
set -eu

root=$(dirname "$(dirname "$(realpath "$0")")")
dist=$root/build/dist
mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org/debian}
# shellcheck source=scripts/counted.sh
. "$root/scripts/counted.sh"

if [ ! -e "$dist/SHA256SUMS" ]; then
	echo "error: there is no release in build/dist; \`make dist\` makes it" >&2
	exit 3
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

checksums() { (cd "$dist" && sha256sum --check --quiet SHA256SUMS); }

# begins FILE BYTES: whether a file begins with these bytes, in hexadecimal.
begins() { [ "$(od -An -tx1 -N"$((${#2} / 2))" "$1" | tr -d ' \n')" = "$2" ]; }

# An archive has one folder of its name with all that belongs there, and a program for its system.
complete() {
	target=$1
	name=sandbar-$version-$target
	program=sandbar
	case $target in
	*-windows-*)
		program=sandbar.exe
		unzip -q "$dist/$name.zip" -d "$work"
		[ -s "$work/$name/completions/sandbar.ps1" ] || return 1
		;;
	*) tar -xzf "$dist/$name.tar.gz" -C "$work" ;;
	esac
	for file in LICENSE README.md completions/sandbar.bash completions/_sandbar completions/sandbar.fish man/sandbar.1 \
		man/sandbar-up.1 "$program"; do
		[ -s "$work/$name/$file" ] || { echo "$name has no $file"; return 1; }
	done
	case $target in
	*-linux-*) magic=7f454c46 ;;
	*-apple-*) magic=cffaedfe ;;
	*-windows-*) magic=4d5a ;;
	esac
	begins "$work/$name/$program" "$magic"
}

# No path of the machine that built it is in a program.
anonymous() { ! grep -aqF -e "$root/" -e "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/sandbar-$version-$1"/sandbar*; }

runs() { says "sandbar $version " "$work/sandbar-$version-x86_64-unknown-linux-gnu/sandbar" version; }

# The package goes into a Debian of its own, runs there, and goes without leaving anything.
installs() {
	machine=$work/debian
	mmdebstrap --quiet --variant=essential bookworm "$machine" "$mirror"
	dpkg --root="$machine" --install "$1" >/dev/null || return 1
	says "sandbar $version " chroot "$machine" /usr/bin/sandbar version || return 1
	[ -s "$machine/usr/share/man/man1/sandbar-up.1.gz" ] || return 1
	[ -s "$machine/usr/share/bash-completion/completions/sandbar" ] || return 1
	dpkg --root="$machine" --purge sandbar >/dev/null || return 1
	[ -z "$(find "$machine/usr" -name '*sandbar*')" ]
}

# lists COMMAND...: whether a package has the program, its manual, completions and licence.
lists() {
	"$@" >"$work/list" || return 1
	for file in /usr/bin/sandbar man1/sandbar.1.gz bash-completion/completions/sandbar completions.d/sandbar.fish _sandbar; do
		grep -q "$file$" "$work/list" || { echo "no $file"; return 1; }
	done
	grep -Eq '/(copyright|LICENSE)$' "$work/list"
}

# Every checksum in the formula is that of the file whose address stands above it.
formula() {
	[ "$(grep -c 'sha256 "' "$dist/sandbar.rb")" = 4 ] || return 1
	sed -n 's/^ *url ".*\/\(.*\)"$/\1/p' "$dist/sandbar.rb" >"$work/names"
	sed -n 's/^ *sha256 "\(.*\)"$/\1/p' "$dist/sandbar.rb" >"$work/sums"
	paste -d' ' "$work/sums" "$work/names" | sed 's/ /  /' >"$work/formula"
	(cd "$dist" && sha256sum --check --quiet "$work/formula")
}

manifest() {
	python3 - "$dist" <<-'END'
		import hashlib, json, pathlib, sys
		dist = pathlib.Path(sys.argv[1])
		download = json.loads((dist / "sandbar.json").read_text())["architecture"]["64bit"]
		file = dist / download["url"].rsplit("/", 1)[1]
		assert hashlib.sha256(file.read_bytes()).hexdigest() == download["hash"]
		assert file.stem == download["extract_dir"]
	END
}

# bill FILE COMPONENT: whether that component is in a bill of materials, with a version.
bill() {
	! grep -qF "$root" "$dist/$1" || return 1
	python3 - "$dist/$1" "$2" <<-'END'
		import json, sys
		bill = json.load(open(sys.argv[1]))
		assert bill["bomFormat"] == "CycloneDX"
		assert any(part["name"] == sys.argv[2] and part["version"] for part in bill["components"])
	END
}

# The release once more, from the same binaries.
again() {
	cp "$dist/SHA256SUMS" "$work/first"
	# shellcheck disable=SC2086 # a list of targets
	"$root/scripts/dist.sh" $targets >"$work/again" 2>&1 || { cat "$work/again"; return 1; }
	diff "$work/first" "$dist/SHA256SUMS"
}

counted "checksums" checksums
targets=
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-gnu; do
	if [ -e "$dist/sandbar-$version-$target.tar.gz" ] || [ -e "$dist/sandbar-$version-$target.zip" ]; then
		targets="$targets $target"
		counted "the archive for $target is complete" complete "$target"
		counted "the program for $target names no folder of this machine" anonymous "$target"
	else
		skip "the archive for $target" "it is not in this release"
	fi
done
if [ "$(uname -m)" = x86_64 ]; then
	counted "the archive for this machine runs" runs
else
	skip "the archive for this machine runs" "this is no x86_64"
fi
for deb in "$dist"/*.deb; do
	counted "what is in $(basename "$deb")" lists dpkg-deb --contents "$deb"
done
for rpm in "$dist"/*.rpm; do
	if command -v rpm >/dev/null 2>&1; then
		counted "what is in $(basename "$rpm")" lists rpm --query --list --package "$rpm"
	else
		skip "what is in $(basename "$rpm")" "rpm is not installed"
	fi
done
if [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null 2>&1; then
	counted "the deb installs, runs and goes" installs "$dist/sandbar_${version}-1_$(dpkg --print-architecture).deb"
else
	skip "the deb installs, runs and goes" "it takes the superuser and mmdebstrap to make a Debian for it"
fi
if [ -e "$dist/sandbar.rb" ]; then
	counted "the formula's checksums" formula
	if command -v ruby >/dev/null 2>&1; then
		counted "the formula is Ruby" ruby -c "$dist/sandbar.rb"
	else
		skip "the formula is Ruby" "ruby is not installed"
	fi
else
	skip "the formula" "it is not in this release"
fi
if [ -e "$dist/sandbar.json" ]; then
	counted "the manifest's checksum" manifest
else
	skip "the manifest" "it is not in this release"
fi
counted "the bill of materials of the command-line tool" bill "sandbar-$version.cdx.json" tokio
counted "the bill of materials of the node" bill "sandbar-node-$version.cdx.json" k8s.io/kubernetes
counted "the same sources give the same bytes" again
report

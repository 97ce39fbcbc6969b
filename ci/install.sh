#!/bin/sh
# Installs a release of sandbar: downloads it, checks its digest, and puts the program into a folder.
#
# usage: install.sh [VERSION]
#   VERSION            such as 0.1.0; SANDBAR_VERSION says it, too; one of both has to
#   SANDBAR_RELEASES   where releases are, in place of the usual place
#   SANDBAR_BIN        the folder, $HOME/.local/bin where it is not set
# Linux and macOS, on amd64 and arm64, with curl or wget. The folder's name is the one line on stdout.
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() {
	code=$1
	shift
	say "error: $*"
	exit "$code"
}

version=${1:-${SANDBAR_VERSION:-}}
version=${version#v}
case $version in
'') fail 2 "which version? usage: install.sh VERSION, or SANDBAR_VERSION=VERSION" ;;
*[!0-9A-Za-z.+-]*) fail 2 "$version is not a version" ;;
esac
releases=${SANDBAR_RELEASES:-https://github.com/sandbar-dev/sandbar/releases/download}
base=${releases%/}/v$version
bin=${SANDBAR_BIN:-${HOME:?}/.local/bin}

case $(uname -s) in
Linux) system=unknown-linux-gnu ;;
Darwin) system=apple-darwin ;;
*) fail 3 "there is no release for $(uname -s); on Windows use Scoop" ;;
esac
case $(uname -m) in
x86_64 | amd64) machine=x86_64 ;;
aarch64 | arm64) machine=aarch64 ;;
*) fail 3 "there is no release for $(uname -m)" ;;
esac
name=sandbar-$version-$machine-$system.tar.gz

# download URL FILE: a proxy comes from the environment, as curl and wget have it.
download() {
	if command -v curl >/dev/null 2>&1; then
		curl --fail --silent --show-error --location --retry 5 --connect-timeout 30 --output "$2" "$1"
	elif command -v wget >/dev/null 2>&1; then
		wget --quiet --tries=5 --timeout=30 --output-document="$2" "$1"
	else
		fail 3 "neither curl nor wget is installed"
	fi || fail 1 "cannot download $1; SANDBAR_RELEASES says where releases are"
}

digest() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1"
	else
		shasum -a 256 "$1"
	fi | cut -d' ' -f1
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT TERM HUP

say "Downloading $base/$name"
download "$base/SHA256SUMS" "$temporary/SHA256SUMS"
expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]\(\.\/\)\{0,1\}$(printf '%s' "$name" | sed 's/[.+]/\\&/g')\$/\1/p" "$temporary/SHA256SUMS")
[ -n "$expected" ] || fail 1 "$base/SHA256SUMS does not list $name"
download "$base/$name" "$temporary/$name"
found=$(digest "$temporary/$name")
[ "$found" = "$expected" ] || fail 1 "$base/$name is not what it should be: its SHA-256 digest is $found, not $expected"

mkdir "$temporary/unpacked"
tar -xzf "$temporary/$name" -C "$temporary/unpacked"
program=$(find "$temporary/unpacked" -type f -name sandbar -print | head -n 1)
[ -n "$program" ] || fail 1 "there is no program in $name"
mkdir -p "$bin"
# First beside its place, so that there is never half of one, and none that does not run.
cp "$program" "$bin/.sandbar.$$"
chmod 0755 "$bin/.sandbar.$$"
if ! "$bin/.sandbar.$$" version >&2; then
	rm -f "$bin/.sandbar.$$"
	fail 3 "$name does not run on this machine"
fi
mv "$bin/.sandbar.$$" "$bin/sandbar"
say "Installed in $bin"
printf '%s\n' "$bin"

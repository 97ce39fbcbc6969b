#!/bin/sh
# Asks Debian's mirror for its lists of packages of an architecture, and says in one line which one does not fit its Release file
# or is not there: then nothing can be made of its packages, whatever is made here. It fails where all lists are fine, and
# where anything else is wrong.
#   undelivered.sh ARCHITECTURE
set -eu
# What apt says is read.
export LC_ALL=C

architecture=${1:?usage: undelivered.sh ARCHITECTURE}
mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org}
suite=trixie
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
keys="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
# Those of images/base/build.sh and images/machine/build.sh.
cat >"$apt/sources.list" <<END
deb [$keys] $mirror/debian $suite main
deb [$keys] $mirror/debian $suite-updates main
deb [$keys] $mirror/debian-security $suite-security main
END
if apt-get -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists" \
	-o Dir::State::status=/dev/null -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none \
	-o Acquire::Retries=2 -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" update >"$apt/words" 2>&1; then
	exit 1
fi
# E: Failed to fetch URL  REASON [IP: ADDRESS PORT], then lines about it that are indented
list='^E: Failed to fetch [^ ]*/dists/[^ ]*/binary-[^ ]*/Packages[^ ]* *'
reason='\(File has unexpected size ([0-9]* != [0-9]*)\. Mirror sync in progress?\|Hash Sum mismatch\|404 *Not Found\)'
if grep '^E:' "$apt/words" | grep -v -e "$list$reason" -e '^E: Some index files failed to download\.' >/dev/null; then
	exit 1
fi
sed -n "s#^E: Failed to fetch \\([^ ]*\\) *$reason.*#\\1: \\2#p" "$apt/words" | grep -m 1 .

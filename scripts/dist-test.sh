#!/bin/sh
# Tests what dist.sh made: checksums, archives that run, packages that install, node images, what package managers are
# told, and that the same sources give the same bytes. What is not there, or what this machine cannot do, is counted as skipped.
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
digests=$("$root/images/build.sh" digests)
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || :)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

checksums() { (cd "$dist" && sha256sum --check --quiet SHA256SUMS); }

# holds FILE OFFSET BYTES: whether a file has these bytes there, in hexadecimal.
holds() { [ "$(od -An -tx1 -j"$2" -N"$((${#3} / 2))" "$1" | tr -d ' \n')" = "$3" ]; }

# program_of TARGET: the program out of its archive.
program_of() {
	case $1 in
	*-windows-*) echo "$work/sandbar-$version-$1/sandbar.exe" ;;
	*) echo "$work/sandbar-$version-$1/sandbar" ;;
	esac
}

# An archive has one folder of its name with all that belongs there, and a program for its system and processor.
complete() {
	name=sandbar-$version-$1
	program=$(program_of "$1")
	case $1 in
	*-windows-*)
		unzip -q "$dist/$name.zip" -d "$work" || return 1
		[ -s "$work/$name/completions/sandbar.ps1" ] || return 1
		;;
	*) tar -xzf "$dist/$name.tar.gz" -C "$work" || return 1 ;;
	esac
	for file in LICENSE README.md CHANGELOG.md completions/sandbar.bash completions/_sandbar completions/sandbar.fish \
		man/sandbar.1 man/sandbar-up.1; do
		[ -s "$work/$name/$file" ] || { echo "$name has no $file"; return 1; }
	done
	# The magic number, and the processor: e_machine of ELF, cputype of Mach-O.
	case $1 in
	x86_64-*-linux-*) holds "$program" 0 7f454c46 && holds "$program" 18 3e00 ;;
	aarch64-*-linux-*) holds "$program" 0 7f454c46 && holds "$program" 18 b700 ;;
	x86_64-apple-*) holds "$program" 0 cffaedfe07000001 ;;
	aarch64-apple-*) holds "$program" 0 cffaedfe0c000001 ;;
	*-windows-*) holds "$program" 0 4d5a ;;
	esac
}

# No path of the machine that built it is in a program.
anonymous() { ! grep -aqF -e "$root/" -e "${CARGO_HOME:-$HOME/.cargo}/registry" "$(program_of "$1")"; }

# A program takes no other node image than those of this release.
knows() { grep -aqF "$digests" "$(program_of "$1")"; }

# Where a program has to run: with the C library 2.28 and nothing but it, on macOS 11.
modest() {
	program=$(program_of "$1")
	case $1 in
	*-linux-*)
		newest=$({ echo GLIBC_2.28 && readelf --wide --version-info "$program" | grep -o 'GLIBC_[0-9.]*'; } | sort -V | tail -1)
		[ "$newest" = GLIBC_2.28 ] || { echo "needs $newest"; return 1; }
		! readelf --wide --dynamic "$program" | grep '(NEEDED)' | grep -Ev '\[(lib(c|m|dl|rt|util|pthread)|ld-linux[a-z0-9-]*)\.so\.[0-9]\]'
		;;
	*-apple-*) python3 "$root/scripts/dist/macho.py" "$program" 11.0 ;;
	esac
}

runs() { says "sandbar $version " "$(program_of x86_64-unknown-linux-gnu)" version; }

# lists COMMAND...: whether a package has the program, its manual, completions and licence.
lists() {
	"$@" >"$work/list" || return 1
	for file in /usr/bin/sandbar man1/sandbar.1.gz bash-completion/completions/sandbar completions.d/sandbar.fish _sandbar; do
		grep -q "$file$" "$work/list" || { echo "no $file"; return 1; }
	done
	grep -Eq '/(copyright|LICENSE)$' "$work/list"
}

# carries PACKAGE TARGET: whether it is a package for that processor, with the very program of the archive.
carries() {
	inside=$work/inside
	rm -rf "$inside"
	mkdir "$inside"
	case $1 in
	*.deb)
		architecture=$(dpkg-deb --field "$1" Architecture)
		dpkg-deb --extract "$1" "$inside" || return 1
		;;
	*.rpm)
		architecture=$(rpm --query --queryformat '%{ARCH}' --package "$1")
		rpm --root "$inside" --force-debian --nodeps --ignorearch --ignoreos --install "$1" || return 1
		;;
	esac
	case $2-$architecture in
	x86_64-*-amd64 | x86_64-*-x86_64 | aarch64-*-arm64 | aarch64-*-aarch64) ;;
	*) echo "is for $architecture"; return 1 ;;
	esac
	cmp "$inside/usr/bin/sandbar" "$(program_of "$2")"
}

# A Debian to install packages into.
make_debian() { [ -e "$work/debian/etc/debian_version" ] || mmdebstrap --quiet --variant=essential bookworm "$work/debian" "$mirror"; }

# installs PACKAGE: the package goes into that Debian, runs there, and goes without leaving anything.
installs() {
	make_debian || return 1
	machine=$work/debian
	case $1 in
	*.deb) dpkg --root="$machine" --install "$1" >/dev/null || return 1 ;;
	*.rpm) rpm --root "$machine" --force-debian --nodeps --install "$1" || return 1 ;;
	esac
	says "sandbar $version " chroot "$machine" /usr/bin/sandbar version || return 1
	[ -s "$machine/usr/share/man/man1/sandbar-up.1.gz" ] || return 1
	[ -s "$machine/usr/share/bash-completion/completions/sandbar" ] || return 1
	case $1 in
	*.deb) dpkg --root="$machine" --purge sandbar >/dev/null || return 1 ;;
	*.rpm) rpm --root "$machine" --force-debian --erase sandbar || return 1 ;;
	esac
	left=$(find "$machine/usr" -name '*sandbar*')
	[ -z "$left" ] || { echo "left: $left"; return 1; }
}

# node_image ARCHITECTURE: the archive holds the image that the command-line tool knows, for that processor. What is in
# it is then in $work/node-ARCHITECTURE.
node_image() {
	folder=$work/archive-$1
	tree=$work/node-$1
	mkdir -p "$folder" "$tree"
	zstd -q -d -c --long=26 "$dist/sandbar-node-$version-$1.tar.zst" | tar -x -C "$folder" || return 1
	python3 "$root/scripts/dist/node_image.py" "$folder" "$1" "$version" "$digests" >"$work/layers" || return 1
	while read -r layer; do
		tar -x -C "$tree" -f "$folder/$layer" || return 1
	done <"$work/layers"
	rm -rf "$folder"
	for file in usr/bin/sandbar-init usr/bin/sandbar-node usr/bin/sandbarctl usr/bin/containerd usr/bin/crun usr/sbin/haproxy \
		usr/lib/cni/ptp usr/share/sandbar/seed/etcd.db usr/share/sandbar/seed/pause.tar; do
		[ -s "$tree/$file" ] || { echo "no $file"; return 1; }
	done
	# All of its programs are for that processor.
	case $1 in
	amd64) machine=3e00 ;;
	arm64) machine=b700 ;;
	esac
	find "$tree/usr" -type f -perm -u+x >"$work/programs"
	while read -r file; do
		! holds "$file" 0 7f454c46 || holds "$file" 18 "$machine" || { echo "$file is for another processor"; return 1; }
	done <"$work/programs"
}

# machine_set ARCHITECTURE: the archive begins with a manifest of this version, and has the files that it names.
machine_set() {
	archive=$dist/sandbar-machine-$version-$1.tar.zst
	folder=$work/machine-$1
	mkdir -p "$folder"
	first=$(zstd -q -d -c --long=26 "$archive" | tar -t | head -n 1)
	[ "$first" = manifest.json ] || { echo "it begins with $first"; return 1; }
	zstd -q -d -c --long=26 "$archive" | tar -x -S -C "$folder" || return 1
	python3 - "$folder" "$1" "$version" <<-'END' || return 1
		import hashlib, json, pathlib, sys

		folder, architecture, version = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
		manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
		assert (manifest["architecture"], manifest["version"]) == (architecture, version), manifest
		files = {path.name for path in folder.iterdir()} - {"manifest.json"}
		assert files == set(manifest["files"]), files
		for name, known in manifest["files"].items():
		    with (folder / name).open("rb") as file:
		        assert hashlib.file_digest(file, "sha256").hexdigest() == known["sha256"], name
	END
	rm -rf "$folder"
}

# The node's programs for arm64 start, on an emulated processor and with their own libraries.
node_starts() {
	tree=$work/node-arm64
	# QEMU's user mode has no netlink, without which nft says nothing, and starts itself where crun starts its own copy: of these
	# the libraries.
	for program in sbin/nft bin/crun; do
		"$qemu" -L "$tree" "$tree/usr/lib/ld-linux-aarch64.so.1" --list "$tree/usr/$program" >"$work/libraries" || return 1
		! grep 'not found' "$work/libraries" || return 1
	done
	says 'HAProxy version' "$qemu" -L "$tree" "$tree/usr/sbin/haproxy" -v &&
		says 'mount from util-linux' "$qemu" -L "$tree" "$tree/usr/bin/mount" --version &&
		says 'BusyBox ' "$qemu" -L "$tree" "$tree/usr/bin/busybox" --help &&
		says 'containerd ' "$qemu" -L "$tree" "$tree/usr/bin/containerd" --version &&
		says 'sandbarctl speaks to this node.' "$qemu" -L "$tree" "$tree/usr/bin/sandbarctl" --help &&
		says 'Client Version: v1.' "$qemu" -L "$tree" "$tree/usr/bin/kubectl" version --client
}

runs_on_arm64() { says "sandbar $version " "$qemu" -L "$work/node-arm64" "$(program_of aarch64-unknown-linux-gnu)" version; }

# What the formula downloads on each platform is in this release.
formula() {
	ruby -c "$dist/sandbar.rb" >/dev/null || return 1
	ruby "$root/scripts/dist/formula.rb" "$dist/sandbar.rb" >"$work/downloads" || return 1
	[ "$(cut -d' ' -f1 "$work/downloads" | sort -u | wc -l)" = 4 ] || return 1
	sed 's#^.*/\([^/ ]*\) \(.*\)$#\2  \1#' "$work/downloads" >"$work/formula"
	(cd "$dist" && sha256sum --check --quiet "$work/formula")
}

# It installs from the archive for this machine, and its test passes.
formula_installs() {
	ruby "$root/scripts/dist/formula.rb" "$dist/sandbar.rb" linux intel \
		"$work/sandbar-$version-x86_64-unknown-linux-gnu" "$work/brew" || return 1
	for file in bin/sandbar share/man/man1/sandbar-up.1 etc/bash_completion.d/sandbar share/zsh/site-functions/_sandbar \
		share/fish/vendor_completions.d/sandbar.fish; do
		[ -s "$work/brew/$file" ] || { echo "no $file"; return 1; }
	done
}

# The manifest has what Scoop asks for (https://github.com/ScoopInstaller/Scoop/wiki/App-Manifests) and nothing that it
# does not know; what it downloads is in this release and unpacks as it says.
manifest() {
	python3 - "$dist" <<-'END'
		import hashlib, json, pathlib, sys, zipfile
		dist = pathlib.Path(sys.argv[1])
		manifest = json.loads((dist / "sandbar.json").read_text())
		assert manifest.keys() == {"version", "description", "homepage", "license", "architecture", "bin"}
		assert manifest["license"] == "Apache-2.0" and manifest["homepage"].startswith("https://")
		assert manifest["architecture"].keys() == {"64bit"}
		download = manifest["architecture"]["64bit"]
		assert download.keys() == {"url", "hash", "extract_dir"}
		base, _, name = download["url"].rpartition("/")
		assert base.endswith("/v" + manifest["version"])
		file = dist / name
		assert hashlib.sha256(file.read_bytes()).hexdigest() == download["hash"]
		program = download["extract_dir"] + "/" + manifest["bin"]
		assert program in zipfile.ZipFile(file).namelist(), program
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

# The steps of the CI action and template, which install this release and bring a cluster up.
steps="the CI steps with this release"
ci_steps() {
	if ! SANDBAR_TEST_RELEASE=$dist cargo test --quiet --locked --test ci >"$work/ci" 2>&1; then
		cat "$work/ci"
		return 1
	fi
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
		counted "the program for $target knows the node images" knows "$target"
		case $target in
		*-linux-* | *-apple-*) counted "the program for $target runs where it should" modest "$target" ;;
		esac
	else
		skip "the archive for $target" "it is not in this release"
	fi
done
if [ "$(uname -m)" = x86_64 ]; then
	counted "the archive for this machine runs" runs
else
	skip "the archive for this machine runs" "this is no x86_64"
fi

for architecture in amd64 arm64; do
	counted "the node image for $architecture" node_image "$architecture"
	counted "what machines of $architecture start from" machine_set "$architecture"
done
if [ -n "$qemu" ]; then
	counted "the node's programs for arm64 start, on QEMU" node_starts
else
	skip "the node's programs for arm64 start, on QEMU" "qemu-user-static is not installed"
fi
case " $targets " in
*" aarch64-unknown-linux-gnu "*)
	if [ -n "$qemu" ]; then
		counted "the archive for arm64 runs, on QEMU" runs_on_arm64
	else
		skip "the archive for arm64 runs, on QEMU" "qemu-user-static is not installed"
	fi
	;;
esac

for target in $targets; do
	case $target in
	x86_64-*-linux-*) deb=$dist/sandbar_${version}-1_amd64.deb rpm=$dist/sandbar-$version-1.x86_64.rpm ;;
	aarch64-*-linux-*) deb=$dist/sandbar_${version}-1_arm64.deb rpm=$dist/sandbar-$version-1.aarch64.rpm ;;
	*) continue ;;
	esac
	counted "what is in $(basename "$deb")" lists dpkg-deb --contents "$deb"
	counted "the program in $(basename "$deb")" carries "$deb" "$target"
	if command -v rpm >/dev/null 2>&1; then
		counted "what is in $(basename "$rpm")" lists rpm --query --list --package "$rpm"
		counted "the program in $(basename "$rpm")" carries "$rpm" "$target"
	else
		skip "what is in $(basename "$rpm")" "rpm is not installed"
	fi
done
# The packages for this machine.
deb=$dist/sandbar_${version}-1_$(dpkg --print-architecture).deb
rpm=$dist/sandbar-$version-1.$(uname -m).rpm
for package in "$deb" "$rpm"; do
	kind=${package##*.}
	if [ ! -e "$package" ]; then
		skip "the $kind installs, runs and goes" "it is not in this release"
	elif ! command -v "$kind" >/dev/null 2>&1 && [ "$kind" = rpm ]; then
		skip "the $kind installs, runs and goes" "rpm is not installed"
	elif [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null 2>&1; then
		counted "the $kind installs, runs and goes" installs "$package"
	else
		skip "the $kind installs, runs and goes" "it takes the superuser and mmdebstrap to make a Debian for it"
	fi
done

if [ ! -e "$dist/sandbar.rb" ]; then
	skip "the formula" "it is not in this release"
elif ! command -v ruby >/dev/null 2>&1; then
	skip "the formula" "ruby is not installed"
else
	counted "what the formula downloads" formula
	if [ "$(uname -m)" = x86_64 ]; then
		counted "the formula installs, and its test passes" formula_installs
	else
		skip "the formula installs, and its test passes" "this is no x86_64"
	fi
fi
if [ -e "$dist/sandbar.json" ]; then
	counted "the manifest" manifest
else
	skip "the manifest" "it is not in this release"
fi
counted "the bill of materials of the command-line tool" bill "sandbar-$version.cdx.json" tokio
counted "the bill of materials of the node" bill "sandbar-node-$version.cdx.json" k8s.io/kubernetes

counted "$steps" ci_steps
# What was left out there is said there.
sed -n 's/^skipped: //p' "$work/ci" >"$work/left-out"
while read -r reason; do
	skip "$steps" "$reason"
done <"$work/left-out"
counted "the same sources give the same bytes" again
report

#!/bin/sh
# Builds the command-line tool for other platforms than this one, or checks that it would compile there.
#
# usage: cross.sh build [TARGET...]   release binaries, build/cross/TARGET/sandbar[.exe]; without a target, all of them
#        cross.sh check               type checks for Windows and macOS, the library's own tests for Windows included
#        cross.sh test                runs what this machine can run of other platforms' builds: Windows' with Wine, arm64
#                                     with QEMU; the superuser's alone, because of Wine's root
#
# Linking for another system is zig's work (ziglang and cargo-zigbuild of PyPI, in a folder of their own below build/).
# The standard library of a target is the toolchain's own where `rustup target add TARGET` put it
# there. Elsewhere it is compiled from its source: that of `rustup component add rust-src`, or Debian's package of the same
# version. Nothing is changed in the toolchain.
# What has not changed is not built again: each binary has the digest of its inputs beside it. One of them is
# SANDBAR_NODE_DIGESTS: the node images that a release's binaries know, which dist.sh sets.
set -eu

goal=${1:-}
root=$(dirname "$(dirname "$(realpath "$0")")")
cross=$root/build/cross
tools=$cross/tools

linux="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu"
macos="x86_64-apple-darwin aarch64-apple-darwin"
windows=x86_64-pc-windows-gnu
# One of each system that nobody here compiles for anyway.
checked="$windows aarch64-apple-darwin"
# The oldest C library on which the Linux binaries run: that of RHEL 8 and Debian 10.
glibc=2.28
# The oldest macOS on which those for macOS run: the first on Apple's processors. zig's own choice is a recent one.
macos_version=11.0

ziglang=0.17.1
zigbuild=0.24.1

# Debian's packages for what is only to be had there.
mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org/debian}

# shellcheck source=scripts/counted.sh
. "$root/scripts/counted.sh"

say() { printf '%s\n' "$*" >&2; }

usage() {
	say "usage: $0 build [TARGET...]|check|test"
	say "targets: $linux $macos $windows"
	exit 2
}

# Python's packages that hold zig and cargo's subcommand for it.
install_tools() {
	if [ "$(cat "$tools/versions" 2>/dev/null)" != "$ziglang $zigbuild" ]; then
		say "Installing zig $ziglang"
		rm -rf "$tools"
		python3 -m venv "$tools"
		"$tools/bin/pip" install --quiet --disable-pip-version-check "ziglang==$ziglang" "cargo-zigbuild==$zigbuild"
		echo "$ziglang $zigbuild" >"$tools/versions"
	fi
	PATH=$tools/bin:$PATH
	export PATH
}

rust_version() { rustc --version | cut -d' ' -f2; }

# Prints the folder with the source of the standard library; says why not where there is none.
find_library() {
	own=$(rustc --print sysroot)/lib/rustlib/src/rust/library
	if [ -e "$own/std/Cargo.toml" ]; then
		echo "$own"
		return
	fi
	version=$(rust_version)
	debian=$cross/library-$version
	if [ ! -e "$debian/std/Cargo.toml" ]; then
		fetch_library "$version" "$debian" >&2 || return 1
	fi
	echo "$debian"
}

# Debian's package of that version, from a list of packages of its own: the machine's sources stay as they are.
fetch_library() {
	if ! command -v apt-get >/dev/null 2>&1; then
		say "there is no apt-get to fetch Debian's rust-src with; \`rustup component add rust-src\` brings it elsewhere"
		return 1
	fi
	apt=$cross/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	for suite in trixie-backports trixie sid; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
	done >"$apt/sources.list"
	set -- "$1" "$2" -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists" \
		-o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2
	version=$1
	library=$2
	shift 2
	apt-get "$@" update || return 1
	package=$(apt-cache "$@" madison rust-src | cut -d'|' -f2 | tr -d ' ' | grep -m1 "^${version}[+-]" || :)
	if [ -z "$package" ]; then
		say "$mirror does not answer or has no rust-src $version; \`rustup component add rust-src\` brings it with rustup"
		return 1
	fi
	say "Fetching the source of the standard library, rust-src $package"
	(cd "$apt" && apt-get "$@" download "rust-src=$package") || return 1
	rm -rf "$library.draft"
	mkdir -p "$library.draft"
	dpkg-deb --fsys-tarfile "$apt"/rust-src_*.deb >"$apt/rust-src.tar" &&
		tar -xf "$apt/rust-src.tar" -C "$library.draft" --strip-components=5 "./usr/src/rustc-$version/library" || return 1
	rm -rf "$apt" "$library"
	mv "$library.draft" "$library"
}

# has_std TARGET: whether the toolchain has that target's standard library compiled.
has_std() {
	for file in "$(rustc --print sysroot)/lib/rustlib/$1/lib"/libstd-*; do
		[ -e "$file" ] && return 0
	done
	return 1
}

# Apple's frameworks to link with, as far as the names of what they have: those that the crates declare which call them.
# The frameworks themselves are on every Mac.
make_frameworks() {
	frameworks=$cross/frameworks
	locked=$(sha256sum "$root/Cargo.lock" "$root/scripts/frameworks.py")
	[ "$(cat "$frameworks/inputs" 2>/dev/null)" = "$locked" ] && return
	rm -rf "$frameworks"
	cd "$root"
	cargo metadata --locked --format-version 1 --filter-platform aarch64-apple-darwin |
		python3 scripts/frameworks.py "$frameworks"
	echo "$locked" >"$frameworks/inputs"
}

# What every compilation for a target is told.
flags=

# cargo_for TARGET COMMAND ARGUMENT...: cargo for that target, the standard library compiled along where need be.
cargo_for() {
	target=$1
	command=$2
	shift 2
	name=$target
	case $target in
	*-linux-gnu) name=$target.$glibc ;;
	esac
	set -- "$command" --locked --target "$name" --target-dir "$cross/target" "$@"
	case $target in
	*-apple-*)
		make_frameworks && flags="$flags -Clink-arg=-F$frameworks"
		export MACOSX_DEPLOYMENT_TARGET="$macos_version"
		;;
	esac
	if ! has_std "$target"; then
		library=$(find_library) || return 3
		# The variable is what cargo's own tests say where a library's source is with; there is no other way without writing
		# into the toolchain.
		export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$library"
		crates=std,panic_abort
		# Tests unwind, and have a harness.
		case " $* " in *" test "*) crates=$crates,panic_unwind,test ;; esac
		set -- "$@" -Z "build-std=$crates"
	fi
	export RUSTFLAGS="$flags"
	cd "$root"
	cargo-zigbuild "$@"
}

# No path of the machine that builds is in a binary.
remapped() {
	home=${CARGO_HOME:-$HOME/.cargo}
	echo "--remap-path-prefix=$home=/cargo --remap-path-prefix=$cross=/rust --remap-path-prefix=$root=/sandbar"
}

binary_of() {
	case $1 in
	*-windows-*) echo sandbar.exe ;;
	*) echo sandbar ;;
	esac
}

build() {
	target=$1
	folder=$cross/$target
	binary=$(binary_of "$target")
	inputs=$(inputs_of "$target")
	if [ -e "$folder/$binary" ] && [ "$(cat "$folder/inputs" 2>/dev/null)" = "$inputs" ]; then
		return
	fi
	say "Building the command-line tool for $target"
	mkdir -p "$folder"
	rm -f "$folder/inputs"
	flags=$(remapped)
	(cargo_for "$target" zigbuild --release --bin sandbar)
	cp "$cross/target/$target/release/$binary" "$folder/$binary"
	echo "$inputs" >"$folder/inputs"
}

# The digest of all that decides what a binary is.
inputs_of() {
	(
		cd "$root"
		find src Cargo.toml Cargo.lock scripts/cross.sh -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
		rustc -vV
		echo "$1 $ziglang $zigbuild ${SANDBAR_NODE_DIGESTS:-}"
	) | sha256sum | cut -d' ' -f1
}

# Whether a target can be compiled for here; else why not, in $reason.
can_compile() {
	reason=
	if ! has_std "$1" && ! find_library >/dev/null 2>"$cross/reason"; then
		reason=$(tail -1 "$cross/reason")
		return 1
	fi
}

# A type check in which warnings are errors. For Windows with the library's own tests, which are run there (or by "test").
check_target() {
	flags=-Dwarnings
	(cargo_for "$1" check --quiet --lib --bins) || return 1
	case $1 in
	*-windows-*) (cargo_for "$1" check --quiet --lib --profile test) ;;
	esac
}

check() {
	for target in $checked; do
		if can_compile "$target"; then
			counted "type check for $target" check_target "$target"
		else
			skip "type check for $target" "$reason"
		fi
	done
	report
}

# Wine of Debian 13: that of Debian 12 lacks a DLL that Rust's programs need. Its root is made once.
make_wine_root() {
	wine=$cross/wine-root
	[ -e "$wine/made" ] && return
	say "Making a root with Wine"
	rm -rf "$wine"
	mmdebstrap --quiet --variant=apt --include=wine64 trixie "$wine" "$mirror"
	mkdir -p "$wine/$root"
	echo "127.0.0.1 localhost" >"$wine/etc/hosts"
	touch "$wine/made"
}

# wine PROGRAM ARGUMENT...: runs it in that root, in a mount namespace of its own, the repository where it is here. It and
# what Wine keeps in the background are ended together, after five minutes if not before. $engine is the program's engine.
engine=
wine() {
	# shellcheck disable=SC2016 # they are the inner shell's
	timeout --signal=KILL 300 unshare --mount --pid --fork --kill-child sh -euc '
		root=$1 wine=$2 engine=$3
		shift 3
		mount -t proc proc "$wine/proc"
		mount --rbind "$root" "$wine/$root"
		mount -t tmpfs tmpfs "$wine/tmp"
		exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR=/tmp WINEDEBUG=-all SANDBAR_ENGINE="$engine" \
			chroot "$wine" sh -euc "cd \"\$1\"; shift; exec /usr/lib/wine/wine64 \"\$@\"" sh "$root" "$@"
	' sh "$root" "$wine" "$engine" "$@"
}

# Tests that Wine is not enough for, and why.
not_on_wine() {
	cat <<-END
		platform::windows::tests::the_process_that_listens_has_a_name Wine's netstat does not say which process listens
		engine::container::tls::tests::without_an_authority_those_of_the_system_count Wine asks for revocation before it asks whom to trust
	END
}

test_on_wine() {
	flags=
	(cargo_for "$windows" test --quiet --no-run --lib) || return 1
	# The newest is the one that was just built or found to be current.
	tests=$(find "$cross/target/$windows/debug/deps" -name 'sandbar-*.exe' -printf '%T@ %p\n' | sort -rn | head -1 | cut -d' ' -f2)
	# shellcheck disable=SC2046 # names of tests, without blanks
	wine "$tests" --quiet $(not_on_wine | sed 's/^/--skip /; s/^\([^ ]* [^ ]*\) .*/\1/')
}

run_windows() {
	program=$cross/$windows/sandbar.exe
	says "sandbar $(version)" wine "$program" version &&
		says 'data        C:\users\root\AppData\Local\sandbar\data' wine "$program" paths &&
		says 'Usage: sandbar' wine "$program" up --help &&
		engine='fake:C:\engine' &&
		says 'there are no clusters' wine "$program" ls &&
		engine=ssh://me@host &&
		refuses_ssh
}

# Windows' ssh cannot do what an engine behind it takes, which is said and has its exit code.
refuses_ssh() {
	code=0
	wine "$program" up >"$cross/said" 2>&1 || code=$?
	if [ "$code" != 3 ] || ! grep -q 'ssh cannot share a connection' "$cross/said"; then
		echo "exit code $code"
		cat "$cross/said"
		return 1
	fi
}

run_arm64() {
	arm64=$cross/aarch64-unknown-linux-gnu/sandbar
	sysroot=$cross/arm64-root
	make_arm64_root || return 1
	says "sandbar $(version)" "$qemu" -L "$sysroot" "$arm64" version &&
		says 'Usage: sandbar' "$qemu" -L "$sysroot" "$arm64" up --help &&
		says "data        $cross/arm64-home/data" env SANDBAR_HOME="$cross/arm64-home" "$qemu" -L "$sysroot" "$arm64" paths &&
		says "there are no clusters" env SANDBAR_HOME="$cross/arm64-home" SANDBAR_ENGINE="fake:$cross/arm64-engine" \
			"$qemu" -L "$sysroot" "$arm64" ls
}

version() { sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1; }

# The C library for arm64, out of its Debian package.
make_arm64_root() {
	[ -e "$sysroot/lib/ld-linux-aarch64.so.1" ] && return
	mkdir -p "$sysroot"
	mmdebstrap --quiet --variant=extract --architectures=arm64 --include=libc6,libgcc-s1 bookworm "$sysroot" \
		"$mirror"
}

test() {
	if [ "$(id -u)" != 0 ]; then
		skip "the library's tests for Windows, on Wine" "only the superuser can make a root for Wine"
	elif ! can_compile "$windows"; then
		skip "the library's tests for Windows, on Wine" "$reason"
	else
		make_wine_root
		counted "the library's tests for Windows, on Wine" test_on_wine
		not_on_wine >"$cross/not-on-wine"
		while read -r name reason; do
			skip "$name" "$reason"
		done <"$cross/not-on-wine"
		if [ -e "$cross/$windows/sandbar.exe" ]; then
			counted "sandbar.exe on Wine" run_windows
		else
			skip "sandbar.exe on Wine" "it is not built; \`make cross\` builds it"
		fi
	fi
	qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || :)
	if [ ! -e "$cross/aarch64-unknown-linux-gnu/sandbar" ]; then
		skip "sandbar for arm64 on QEMU" "it is not built; \`make cross\` builds it"
	else
		counted "sandbar for arm64 on QEMU" run_arm64
	fi
	report
}

case $goal in
build) requirements=cross ;;
check | test) requirements=cross-$goal ;;
*) usage ;;
esac
shift
for target in "$@"; do
	case " $linux $macos $windows " in
	*" $target "*) ;;
	*) usage ;;
	esac
done
"$root/scripts/requirements.sh" "$requirements"
mkdir -p "$cross"
install_tools
case $goal in
build)
	# shellcheck disable=SC2086 # a list of targets
	[ $# -gt 0 ] || set -- $linux $macos $windows
	for target in "$@"; do
		build "$target"
	done
	;;
check) check ;;
test) test ;;
esac

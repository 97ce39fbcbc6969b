#!/bin/sh
# Installs the Debian or Ubuntu packages that a goal needs and that are missing: says which and why, and asks on a
# terminal. Without a terminal it goes ahead when run as root, and so it does anywhere with YES=1.
#
# usage: requirements.sh up|machine|riscv64|test|lint|bench|fuzz|cross|cross-check|cross-test|dist
set -eu

goal=${1:-}

# The oldest QEMU that keeps a machine's state as Sandbar needs it, and the emulator of this machine's own architecture.
oldest_qemu=9
case $(uname -m) in
aarch64) emulator=qemu-system-aarch64 emulator_package=qemu-system-arm ;;
*) emulator=qemu-system-x86_64 emulator_package=qemu-system-x86 ;;
esac
if [ "$goal" = riscv64 ]; then
	emulator=qemu-system-riscv64 emulator_package=qemu-system-misc
fi
# With the emulator of boards.
emulator_packages="$emulator_package qemu-system-arm"

# One line a requirement: how to see that it is there, the package, what it is for.
requirements() {
	case $goal in
	lint | cross* | dist | fuzz | machine | riscv64) ;;
	*) cat <<-END ;;
		command:podman podman runs the cluster's container
		command:runc:crun runc starts containers for Podman
		file:/usr/lib/podman/netavark netavark gives the cluster's container a network
		file:/usr/lib/podman/aardvark-dns aardvark-dns resolves names in Podman's networks
		command:iptables iptables forwards ports for Podman
		command:mmdebstrap mmdebstrap makes the node image's base
	END
	esac
	cat <<-END
		command:cc gcc links the command-line tool
		file:/usr/include/stdlib.h libc6-dev links the command-line tool
	END
	case $goal in
	test | lint) echo "command:shellcheck shellcheck reads the scripts" ;;
	cross*) ;;
	fuzz) echo "command:c++ g++ builds the fuzzer of the command line" ;;
	bench) cat <<-END ;;
		command:python3 python3 runs the benchmark
		command:zstd zstd compresses the node image
	END
	esac
	case $goal in
	machine | riscv64 | test) cat <<-END ;;
		command:mmdebstrap mmdebstrap makes the root of machines
		command:depmod kmod finds the modules that machines need
		command:cpio cpio packs what machines start from
		command:mke2fs e2fsprogs makes the disks of machines
		command:xz xz-utils unpacks modules
		command:zstd zstd packs what machines start from
		file:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring verifies the kernel of machines
	END
	esac
	case $goal in
	riscv64) cat <<-END ;;
		command:riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu builds the pause program for riscv64
		qemu:$emulator $emulator_package emulates machines of riscv64
		file:/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin opensbi is their firmware
		command:qemu-img qemu-utils makes the disks of machines
	END
	esac
	case $goal in
	test | cross* | dist) cat <<-END ;;
		module:ensurepip python3-venv holds zig, which links for other systems
		file:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring verifies the source of the standard library
	END
	esac
	case $goal in
	cross | cross-test | dist) echo "command:x86_64-w64-mingw32-dlltool binutils-mingw-w64-x86-64 makes import libraries for Windows" ;;
	esac
	case $goal in
	dist)
		cat <<-END
		command:mmdebstrap mmdebstrap makes the node image's base, and a Debian to try the packages in
		command:podman podman builds the node image
		command:zstd zstd packs it
		command:zip zip packs the archive for Windows
		command:unzip unzip looks into it
		command:rpm rpm looks into the rpm packages
		command:ruby ruby looks into the Homebrew formula
		command:qemu-aarch64-static:qemu-aarch64 qemu-user-static runs programs for arm64
		END
		# for the node image of the other architecture
		case $(uname -m) in
		aarch64) echo "command:x86_64-linux-gnu-gcc gcc-x86-64-linux-gnu builds the pause program for amd64" ;;
		*) echo "command:aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu builds the pause program for arm64" ;;
		esac
		;;
	cross-test) cat <<-END ;;
		command:mmdebstrap mmdebstrap makes a root for Wine
		command:qemu-aarch64-static:qemu-aarch64 qemu-user-static runs programs for arm64
	END
	esac
	case $goal in
	test)
		cat <<-END
		command:dockerd docker.io dockerd is started by the tests, privately, as the other engine
		command:zstd zstd packs a node image as releases do
		command:curl:wget curl downloads releases in CI
		command:haproxy haproxy is what the ingress controller's tests drive
		command:nft nftables is what the network's tests drive
		command:ip iproute2 makes network namespaces for tests
		command:mkfs.ext4 e2fsprogs makes the disk whose power the tests cut
		command:losetup mount makes a disk of a file for it
		qemu:$emulator $emulator_package emulates machines
		qemu:qemu-system-aarch64 qemu-system-arm emulates boards
		command:qemu-img qemu-utils makes the disks of machines
		command:ssh openssh-client reaches engines on other machines
		file:/usr/sbin/sshd openssh-server sshd is started by the tests, privately, as another machine's
		END
		# for what machines of arm64 start from
		case $(uname -m) in
		aarch64) ;;
		*) echo "command:aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu builds the pause program for arm64" ;;
		esac
		# where the client has a package of its own
		if apt-cache show docker-cli >/dev/null 2>&1; then
			echo "command:docker docker-cli docker is what the tests look at dockerd with"
		fi
		;;
	esac
}

present() {
	kind=${1%%:*}
	rest=${1#*:}
	case $kind in
	file) [ -e "$rest" ] ;;
	# "QEMU emulator version 10.0.2 …"
	qemu)
		version=$("$rest" --version 2>/dev/null | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
		[ "${version:-0}" -ge "$oldest_qemu" ]
		;;
	# of Python
	module) python3 -c "import $rest" 2>/dev/null ;;
	command)
		# a list a:b is satisfied by any of its commands
		old_ifs=$IFS
		IFS=:
		for name in $rest; do
			if command -v "$name" >/dev/null 2>&1 || [ -x "/usr/sbin/$name" ]; then
				IFS=$old_ifs
				return 0
			fi
		done
		IFS=$old_ifs
		return 1
		;;
	esac
}

# install_from_backports PACKAGE…: with those packages' own dependencies, and no other package of backports.
install_from_backports() {
	lists=$(mktemp -d)
	mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org}
	for pocket in "$codename" "$codename-updates" "$codename-backports"; do
		echo "deb $mirror/debian $pocket main"
	done >"$lists/sources.list"
	mkdir -p "$lists/lists/partial"
	chmod -R a+rX "$lists"
	for action in "update" "install -y --no-install-recommends -t $codename-backports $*"; do
		# shellcheck disable=SC2086 # an action with its arguments
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o "Dir::Etc::SourceList=$lists/sources.list" \
			-o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$lists/lists" -o APT::Sandbox::User=root $action >/dev/null
	done
	$as_root rm -rf "$lists"
}

case $goal in
up | machine | riscv64 | test | lint | bench | fuzz | cross | cross-check | cross-test | dist) ;;
*)
	echo "usage: $0 up|machine|riscv64|test|lint|bench|fuzz|cross|cross-check|cross-test|dist" >&2
	exit 2
	;;
esac

for tool in cargo go; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "error: $tool is not installed; Sandbar is built with Rust and Go (https://rustup.rs, https://go.dev/doc/install)" >&2
		exit 3
	fi
done

packages=
list=
while read -r check package why; do
	case " $packages " in *" $package "*) continue ;; esac
	if ! present "$check"; then
		packages="$packages $package"
		list="$list  $package: $why
"
	fi
done <<END
$(requirements)
END

if [ -z "$packages" ]; then
	exit 0
fi

echo "Missing on this machine:"
printf '%s' "$list"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "error: this script knows Debian and Ubuntu only; install the packages above by hand" >&2
	exit 3
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	as_root=sudo
fi
command="${as_root:+$as_root }apt-get install --no-install-recommends$packages"
if [ "${YES:-}" != 1 ]; then
	if [ -t 0 ]; then
		printf 'Run "%s"? [Y/n] ' "$command"
		read -r answer
		case $answer in
		"" | [Yy]*) ;;
		*)
			echo "Nothing was installed." >&2
			exit 3
			;;
		esac
	elif [ -n "$as_root" ]; then
		echo "error: run \"$command\" first, or set YES=1" >&2
		exit 3
	fi
fi
$as_root apt-get update -qq
# Debian 12's own QEMU is too old: the packages come from its backports then, through a list of sources of their own.
for emulator_package in $emulator_packages; do
	case " $packages " in
	*" $emulator_package "*) ;;
	*) continue ;;
	esac
	candidate=$(apt-cache policy "$emulator_package" | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9]*\).*/\2/p')
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	if [ "${candidate:-0}" -lt "$oldest_qemu" ] && [ "$(sed -n 's/^ID=//p' /etc/os-release)" = debian ]; then
		install_from_backports "$emulator_package" qemu-utils
		packages=$(printf '%s ' "$packages" | sed "s/ $emulator_package / /; s/ qemu-utils / /")
	fi
done
# shellcheck disable=SC2086 # a list of package names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
echo "Installed:$packages"

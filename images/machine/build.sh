#!/bin/sh
# Makes what a machine starts from, for one architecture, in build/ARCHITECTURE/machine: kernel, initramfs, system.img (the
# root file system, read-only), data.img (an empty file system that grows), manifest.json. contract/machine.md says what each
# is. What has not changed is not built again.
#   build.sh set|archive|reproduce [ARCHITECTURE]
# "archive" also packs it as a release has it, build/dist/sandbar-machine-VERSION-ARCHITECTURE.tar.zst. "reproduce" makes the
# images a second time and compares.
# The kernel is Debian's, fetched by apt with its signatures checked, from a list of packages of its own: this machine's
# sources stay as they are. Nothing here needs root or a container engine.
set -eu
# The order of names is the same whatever language this machine speaks.
export LC_ALL=C

goal=${1:?usage: build.sh set|archive|reproduce [ARCHITECTURE]}
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
architecture=${2:-$(go env GOARCH)}
here=$root/images/machine
build=$root/build/$architecture
output=$build/machine
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
contract=$(sed -n 's/^[[:space:]]*Version = \([0-9]*\)$/\1/p' "$root/images/node/internal/contract/contract.go")
control=$(sed -n 's/^const Version = \([0-9]*\)$/\1/p' "$root/images/node/internal/machine/control/message.go")
kubernetes=$(sed -n 's/^const Kubernetes = "\(.*\)"/\1/p' "$root/images/node/internal/version/version.go")
mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org}
suite=trixie
PATH=$PATH:/usr/sbin:/sbin
# So that two builds are the same; they name nothing.
system_id=5a6d2b1e-7c3f-4b58-9e0a-1f2d3c4b5a69
data_id=5a6d2b1e-7c3f-4b58-9e0a-1f2d3c4b5a70

case $architecture in
amd64 | arm64) package=linux-image-cloud-$architecture ;;
riscv64) package=linux-image-riscv64 ;;
*)
	echo "error: no machine is made for $architecture" >&2
	exit 2
	;;
esac
# Whose programs run there through an emulator, by QEMU's names.
case $architecture in
amd64) emulated=aarch64 ;;
*) emulated=x86_64 ;;
esac

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "error: $*"
	exit 1
}

for tool in apt-get dpkg-deb depmod modprobe cpio mke2fs debugfs e2fsck xz zstd; do
	command -v "$tool" >/dev/null 2>&1 || {
		say "error: $tool is not installed; scripts/requirements.sh test installs what this needs"
		exit 3
	}
done

moment=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%at -- images Containerfile 2>/dev/null || :)}
moment=${moment:-1767225600}

fresh() { [ -e "$build/$1.inputs" ] && [ "$(cat "$build/$1.inputs")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$build/$1.inputs"; }
digest() { sha256sum "$@" | cut -d' ' -f1; }

# apt with lists of its own, for this architecture alone.
apt_run() {
	program=$1
	shift
	"$program" -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists" \
		-o Dir::State::status=/dev/null -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" "$@"
}

# Debian's newest kernel, unpacked into $build/kernel with all its modules, and of its qemu-user the emulator of another
# architecture, which is static, in $build/emulator.
kernel() {
	inputs=$(printf '%s %s %s' "$(digest "$here/build.sh")" "$mirror" "$suite" | digest)
	if fresh kernel "$inputs"; then
		return
	fi
	say "Fetching Debian's kernel and emulator ($architecture)"
	apt=$build/kernel.apt
	rm -rf "$apt" "$build/kernel" "$build/emulator" "$build/kernel.inputs"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$build/kernel" "$build/emulator/usr/libexec/sandbar"
	keys="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
	cat >"$apt/sources.list" <<-END
		deb [$keys] $mirror/debian $suite main
		deb [$keys] $mirror/debian $suite-updates main
		deb [$keys] $mirror/debian-security $suite-security main
	END
	apt_run apt-get update
	# The package names the one that has the kernel; the first one shown is the newest.
	image=$(apt_run apt-cache show "$package" | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -1)
	[ -n "$image" ] || fail "$mirror has no $package"
	(cd "$apt" && apt_run apt-get download "$image" qemu-user)
	dpkg-deb --fsys-tarfile "$apt"/qemu-user_*.deb |
		tar -x -C "$build/emulator" "./usr/bin/qemu-$emulated" ./usr/share/doc/qemu-user/copyright
	mv "$build/emulator/usr/bin/qemu-$emulated" "$build/emulator/usr/libexec/sandbar/"
	rmdir "$build/emulator/usr/bin"
	dpkg-deb --fsys-tarfile "$apt"/linux-image-*.deb | tar -x -C "$build/kernel" --exclude='./usr/share/bug'
	rm -rf "$apt"
	# Where kmod looks.
	ln -s usr/lib "$build/kernel/lib"
	release=$(ls "$build/kernel/usr/lib/modules")
	depmod -b "$build/kernel" "$release"
	stamp kernel "$inputs"
}

# modules_of KIND…: the files of these modules and of all that they need, each after what it needs, once; relative to the
# folder of modules.
modules_of() {
	for kind; do
		sed -n "s/^$kind  *\([^ ]*\).*/\1/p" "$here/modules"
	done | while read -r name; do
		# Without this machine's own settings, which add parameters.
		modprobe -C /dev/null -d "$build/kernel" -S "$release" --show-depends "$name" || echo "missing $name"
	done >"$work/depends"
	if grep '^missing' "$work/depends" >&2; then
		fail "not all modules of images/machine/modules are in Debian's kernel"
	fi
	if grep -v -e '^builtin ' -e '^insmod [^ ]* *$' "$work/depends" >&2; then
		fail "this is not understood of what modprobe says"
	fi
	# insmod PATH
	sed -n "s|^insmod .*/lib/modules/$release/\([^ ]*\) *\$|\1|p" "$work/depends" | awk '!seen[$0]++'
}

# number FILE OFFSET TYPE: a number in a file, as od(1) types it.
number() { od -An -v -j "$2" -N "${3#u}" -t "$3" "$1" | tr -d ' '; }

# unpack_module FILE FOLDER: the module under the same name without .xz, and that name. Neither is it packed, nor signed:
# under emulation both take the kernel long, and whoever could change the module could change the kernel beside it.
unpack_module() {
	name=${1%.xz}
	module=$2/$name
	mkdir -p "$(dirname "$module")"
	case $1 in
	*.xz) xz -dc "$build/kernel/usr/lib/modules/$release/$1" >"$module" ;;
	*) cp "$build/kernel/usr/lib/modules/$release/$1" "$module" ;;
	esac
	# scripts/sign-file.c of the kernel: the signature, 12 bytes of which the last 4 are its length (big-endian), and 28
	# bytes of text.
	if [ "$(tail -c 28 "$module")" = "~Module signature appended~" ]; then
		size=$(wc -c <"$module")
		length=0
		for byte in $(od -An -v -j $((size - 32)) -N 4 -t u1 "$module"); do
			length=$((length * 256 + byte))
		done
		truncate -s $((size - 40 - length)) "$module"
	fi
	echo "$name"
}

# unpack_kernel FILE: the kernel as QEMU loads it. That of amd64 would unpack itself, which under emulation takes longer than
# all the rest of it; QEMU starts what is inside, an ELF with the entry of PVH, as well.
unpack_kernel() {
	packed=$build/kernel/boot/vmlinuz-$release
	case $architecture in
	arm64) cp "$packed" "$1" ;;
	riscv64) cp "$build/kernel/boot/vmlinux-$release" "$1" ;;
	amd64)
		# The boot protocol's setup_sects, payload_offset and payload_length; the payload ends with its unpacked size.
		start=$((($(number "$packed" 497 u1) + 1) * 512 + $(number "$packed" 584 u4)))
		[ "$(od -An -v -j "$start" -N 4 -t x1 "$packed" | tr -d ' ')" = 28b52ffd ] || fail "the kernel is not packed with zstd"
		tail -c +$((start + 1)) "$packed" | head -c $(($(number "$packed" 588 u4) - 4)) | zstd -q -dc >"$1"
		;;
	esac
}

make_initramfs() {
	folder=$work/initramfs
	mkdir -p "$folder/modules" "$folder/proc" "$folder/sys" "$folder/dev"
	cp "$build/node/usr/bin/sandbar-init" "$folder/init"
	chmod 0755 "$folder/init"
	modules_of early "early-$architecture" | while read -r module; do
		unpack_module "$module" "$work/early" >"$work/name"
		cp "$work/early/$(cat "$work/name")" "$folder/modules/"
		basename "$(cat "$work/name")"
	done >"$work/load"
	mv "$work/load" "$folder/modules/load"
	find "$folder" -exec touch -h -d "@$moment" {} +
	(cd "$folder" && find . | sort | cpio --quiet -o -H newc --owner 0:0 --reproducible) >"$1"
}

# The folder that becomes the root file system.
make_root() {
	mkdir -p "$1"
	tar -x -C "$1" --exclude='./dev/*' -f "$build/base/base.tar"
	cp -a "$build/runtime/." "$build/node/." "$build/guest/." "$build/emulator/." "$1/"
	modules=$1/usr/lib/modules/$release
	mkdir -p "$modules"
	for kind in start link; do
		modules_of $kind | while read -r module; do unpack_module "$module" "$modules"; done >"$work/load.$kind"
	done
	modules_of present | while read -r module; do
		[ -e "$modules/${module%.xz}" ] || unpack_module "$module" "$modules" >/dev/null
	done
	cp "$build/kernel/usr/lib/modules/$release/modules.order" "$build/kernel/usr/lib/modules/$release/modules.builtin" \
		"$build/kernel/usr/lib/modules/$release/modules.builtin.modinfo" "$modules/"
	mv "$work/load.start" "$modules/load"
	mv "$work/load.link" "$modules/load-link"
	[ -h "$1/lib" ] || ln -s usr/lib "$1/lib"
	depmod -b "$1" "$release"
	# BusyBox reads the texts.
	rm -f "$modules"/*.bin "$modules/modules.builtin.modinfo" "$modules/modules.devname" "$modules/modules.softdep"
	# What the kernel calls when it wants a module.
	ln -sf ../bin/busybox "$1/usr/sbin/modprobe"
	mkdir -p "$1/var/lib/sandbar" "$1/var/lib/kubelet" "$1/run" "$1/tmp" "$1/proc" "$1/sys" "$1/dev"
	mkdir -p "$1/usr/share/doc/linux"
	cp "$build/kernel/usr/share/doc/linux-image-$release/copyright" "$1/usr/share/doc/linux/copyright"
}

# make_system FOLDER FILE: a file system with what is in a folder, everything root's. debugfs writes it in the order of the
# names and with one time, which mke2fs -d does not before 1.47.1, and it needs no root for root's files.
make_system() {
	(
		cd "$1"
		files=$(find . | wc -l)
		blocks=$(find . -type f -printf '%s\n' | awk '{ blocks += int(($1 + 4095) / 4096) } END { print blocks }')
		# Inodes of 256 bytes, each folder's block, and room for the file system's own.
		blocks=$((blocks + files / 16 + $(find . -type d | wc -l) + blocks / 256 + 1024))
		# Whole pages of every size that a machine maps.
		blocks=$(((blocks + 511) / 512 * 512))
		rm -f "$2"
		mke2fs -q -t ext4 -b 4096 -I 256 -N $((files + 64)) -m 0 -U "$system_id" -L sandbar-system \
			-O '^has_journal,^resize_inode,^metadata_csum,^64bit' -E "hash_seed=$system_id,nodiscard,lazy_itable_init=0,root_owner=0:0" \
			"$2" "${blocks}"
		{
			echo "rmdir lost+found"
			find . -mindepth 1 -type d -printf '%P\n' | sort | sed 's/.*/mkdir "&"/'
			find . -type f -printf '%P\n' | sort | sed 's/.*/write "&" "&"/'
			find . -type l -printf '%P\t%l\n' | sort | awk -F'\t' '{ printf "symlink \"%s\" \"%s\"\n", $1, $2 }'
			find . -mindepth 1 -type d ! -perm 0755 -printf '%P\t%m\n' | sort | awk -F'\t' '{ printf "sif \"%s\" mode 04%04d\n", $1, $2 }'
		} >"$work/commands"
		debugfs -w -f "$work/commands" "$2" >"$work/debugfs.log" 2>&1
	)
	# It says what failed and goes on. What it echoes begins so.
	if grep -Ev '^(debugfs( 1|:)|Allocated inode: )' "$work/debugfs.log" | grep -q .; then
		cat "$work/debugfs.log" >&2
		fail "debugfs did not write everything"
	fi
	e2fsck -fn "$2" >"$work/e2fsck.log" 2>&1 || {
		cat "$work/e2fsck.log" >&2
		fail "the file system is damaged"
	}
}

# make_data FILE: an empty file system for the cluster, which grows online to 1 TiB as far as its own blocks are prepared
# for it, and beyond. Nothing in it is zeroed: a new file is zeroes.
make_data() {
	rm -f "$1"
	truncate -s 128M "$1"
	mke2fs -q -t ext4 -b 4096 -I 256 -i 32768 -m 0 -J size=32 -U "$data_id" -L sandbar-data \
		-E "hash_seed=$data_id,nodiscard,lazy_itable_init=1,lazy_journal_init=1,resize=268435456,root_owner=0:0" "$1"
}

# one_file NAME: its entry of the manifest.
one_file() { printf '"%s":{"sha256":"%s","bytes":%s}' "$1" "$(digest "$output.new/$1")" "$(wc -c <"$output.new/$1")"; }

kernel_arguments() {
	sed -n "s/^\(all\|$architecture\)  *\([^ ]*\).*/\2/p" "$here/kernel-arguments" | tr '\n' ' ' | sed 's/ *$//'
}

make_manifest() {
	# The kernel of riscv64 was not tried with the root file system in its memory.
	case $architecture in
	amd64 | arm64) memory=true ;;
	*) memory=false ;;
	esac
	what=$(printf '"schemaVersion":1,"architecture":"%s","version":"%s","contractVersion":%s,"controlVersion":%s,"kubernetesVersion":"%s","kernelVersion":"%s","kernelArguments":"%s","systemMemory":%s' \
		"$architecture" "$version" "$contract" "$control" "$kubernetes" "$release" "$(kernel_arguments)" "$memory")
	set_digest=$({
		for name in data.img initramfs kernel system.img; do printf '%s  %s\n' "$(digest "$output.new/$name")" "$name"; done
		printf '%s\n' "$what"
	} | digest)
	printf '{%s,"digest":"sha256:%s","files":{%s,%s,%s,%s}}\n' "$what" "$set_digest" "$(one_file kernel)" "$(one_file initramfs)" "$(one_file system.img)" "$(one_file data.img)" \
		>"$output.new/manifest.json"
}

images() {
	# What e2fsprogs take for now, the older ones and the newer ones.
	export E2FSPROGS_FAKE_TIME="$moment" SOURCE_DATE_EPOCH="$moment"
	release=$(ls "$build/kernel/usr/lib/modules")
	work=$build/machine.work
	rm -rf "$work" "$output.new"
	mkdir -p "$work" "$output.new"
	unpack_kernel "$output.new/kernel"
	make_initramfs "$output.new/initramfs"
	make_root "$work/root"
	make_system "$work/root" "$output.new/system.img"
	make_data "$output.new/data.img"
	make_manifest
	chmod 0644 "$output.new"/*
	rm -rf "$work"
}

set_inputs() {
	{
		digest "$here/build.sh" "$here/modules" "$here/kernel-arguments"
		cat "$build/kernel.inputs"
		echo "$moment $version $contract $control $kubernetes"
		digest "$build/base/base.tar"
		cd "$build"
		find node runtime guest -type f -print0 | sort -z | xargs -0 sha256sum
		find node runtime guest -type l -printf '%p %l\n' | sort
	} | digest
}

set_() {
	"$root/images/build.sh" root "$architecture"
	kernel
	inputs=$(set_inputs)
	if fresh machine "$inputs" && [ -e "$output/manifest.json" ]; then
		say "$output is up to date"
		return
	fi
	say "Making what machines start from ($architecture)"
	images
	rm -rf "$output"
	mv "$output.new" "$output"
	stamp machine "$inputs"
	say "$output: $(du -sk "$output" | cut -f1) KiB"
}

archive() {
	set_
	dist=$root/build/dist
	target=$dist/sandbar-machine-$version-$architecture.tar.zst
	identity=$(digest "$output/manifest.json")
	if fresh machine-archive "$identity" && [ -e "$target" ]; then
		say "$target is up to date"
		return
	fi
	say "Packing $target"
	mkdir -p "$dist"
	# The manifest first: whoever reads the archive knows at once what it is.
	tar --create --format=ustar --numeric-owner --owner=0 --group=0 --mode=0644 --mtime="@$moment" -C "$output" \
		manifest.json kernel initramfs data.img system.img | zstd -q -19 --long=26 -T0 -o "$target.part" -f
	mv "$target.part" "$target"
	stamp machine-archive "$identity"
	say "$target: $(wc -c <"$target") bytes"
}

reproduce() {
	set_
	images
	cmp "$output/manifest.json" "$output.new/manifest.json" || fail "two builds of the same inputs differ: see $output and $output.new"
	rm -rf "$output.new"
	say "Two builds give the same machine: $(sed 's/.*"digest":"\([^"]*\)".*/\1/' "$output/manifest.json")"
}

case $goal in
set) set_ ;;
archive | reproduce) "$goal" ;;
*)
	say "error: no such goal: $goal"
	exit 2
	;;
esac

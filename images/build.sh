#!/bin/sh
# Builds the node image, localhost/sandbar-node:VERSION, and everything in it. What has not changed is not built again:
# each step leaves the digest of its inputs beside its result.
#   build.sh binaries|seed|root|base|image|archive|reproduce [ARCHITECTURE]
#   build.sh digests
# "reproduce" builds all of it a second time, elsewhere and without any cache but Go's, and compares.
# "archive" writes the image as a release has it, build/dist/sandbar-node-VERSION-ARCHITECTURE.tar.zst. "digests" prints, of all
# archives that were written, what a build of the command-line tool takes as SANDBAR_NODE_DIGESTS: then it knows them.
# Another architecture than this machine's needs a compiler of Debian's, such as gcc-aarch64-linux-gnu (or CC_ARM64,
# CC_RISCV64), for one small program.
# "root" makes everything that the image is put together from, without a container engine; machines are made of it too.
# The base is made out of Debian's packages, which needs no registry. BASE=IMAGE takes one that was made before, of this
# engine's store or of a registry.
set -eu

goal=${1:?usage: build.sh binaries|seed|root|base|image|archive|reproduce|digests [ARCHITECTURE]}
root=$(dirname "$(dirname "$(realpath "$0")")")
architecture=${2:-$(go env GOARCH)}
host=$(go env GOHOSTARCH)
build=$root/build/$architecture
module=$root/images/node
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
contract=$(sed -n 's/^[[:space:]]*Version = \([0-9]*\)$/\1/p' "$module/internal/contract/contract.go")
tags="no_aufs no_btrfs no_devmapper no_zfs"
export CGO_ENABLED=0 GOARCH="$architecture" GOFLAGS="-trimpath -buildvcs=false"
podman=${PODMAN:-podman}
base_name=${BASE:-localhost/sandbar-base:$architecture}
# "reproduce" adds this to the name of the second image (the base keeps its name, which goes into the image's history)
# and to podman's arguments; then no image counts as up to date.
suffix=
no_cache=

# The moment that what is built from these paths carries: when they last changed.
epoch_of() {
	moment=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%at -- "$@" 2>/dev/null || :)}
	echo "${moment:-1767225600}"
}

say() { printf '%s\n' "$*" >&2; }

# The digest of files and folders, by their names and contents.
digest_of() {
	(
		cd "$root"
		find "$@" -type f ! -name '*_test.go' ! -path '*/testdata/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
	) | sha256sum | cut -d' ' -f1
}

# fresh STAMP DIGEST: whether the step with this stamp was done with these inputs.
fresh() { [ -e "$build/$1.inputs" ] && [ "$(cat "$build/$1.inputs")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$build/$1.inputs"; }

binaries() {
	mkdir -p "$build/node/usr/bin" "$build/guest/usr/bin" "$build/runtime/usr/bin" "$build/runtime/usr/lib/cni"
	inputs=$(printf '%s %s %s %s' "$(digest_of images/node)" "$(go version)" "$tags" "$version" | sha256sum | cut -d' ' -f1)
	if fresh binaries "$inputs"; then
		return
	fi
	say "Building the node's programs ($architecture)"
	cd "$module"
	kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
	minor=${kubernetes#v*.}
	about=k8s.io/component-base/version
	flags="-s -w -X sandbar.dev/node/internal/version.Sandbar=$version"
	flags="$flags -X $about.gitVersion=$kubernetes -X $about.gitMajor=1 -X $about.gitMinor=${minor%%.*}"
	flags="$flags -X $about.gitTreeState=clean -X $about.gitCommit=unknown"
	for program in sandbar-init sandbar-node sandbarctl; do
		if [ -d "cmd/$program" ]; then
			go build -tags "$tags" -ldflags "$flags" -o "$build/node/usr/bin/$program" "./cmd/$program"
		fi
	done
	# Of use in machines alone.
	go build -ldflags "$flags" -o "$build/guest/usr/bin/sandbar-sshd" ./cmd/sandbar-sshd
	ln -sf sandbar-node "$build/node/usr/bin/kubectl"
	containerd=github.com/containerd/containerd/v2
	containerd_version=$(go list -m -f '{{.Version}}' $containerd)
	go build -tags "$tags" -ldflags "-s -w -X $containerd/version.Version=$containerd_version" \
		-o "$build/runtime/usr/bin/" $containerd/cmd/containerd $containerd/cmd/containerd-shim-runc-v2
	plugins=github.com/containernetworking/plugins/plugins
	go build -ldflags "-s -w" -o "$build/runtime/usr/lib/cni/" \
		$plugins/main/ptp $plugins/ipam/host-local $plugins/meta/portmap
	stamp binaries "$inputs"
}

seed() {
	binaries
	folder=$build/runtime/usr/share/sandbar/seed
	epoch=$(epoch_of images/pause)
	inputs=$(printf '%s %s' "$(digest_of images/pause)" "$epoch" | sha256sum | cut -d' ' -f1)
	if ! fresh pause "$inputs"; then
		say "Building the pause image"
		SOURCE_DATE_EPOCH=$epoch "$root/images/pause/build.sh" "$folder/pause.tar" "$architecture"
		stamp pause "$inputs"
	fi
	folder=$build/node/usr/share/sandbar/seed
	program=$build/node/usr/bin/sandbar-node
	# The seed is data: this machine's own program makes it for any architecture.
	if [ "$architecture" != "$host" ]; then
		"$root/images/build.sh" binaries "$host"
		program=$root/build/$host/node/usr/bin/sandbar-node
	fi
	inputs=$(sha256sum "$program" | cut -d' ' -f1)
	if ! fresh seed "$inputs" || [ ! -e "$folder/etcd.db" ]; then
		say "Seeding a datastore"
		rm -rf "$folder"
		mkdir -p "$folder"
		"$program" seed --output "$folder" 2>"$build/seed.log" || { cat "$build/seed.log" >&2; exit 1; }
		stamp seed "$inputs"
	fi
}

# base_archive: the base as an archive, and what it was made of in $inputs and $epoch.
base_archive() {
	mkdir -p "$build"
	epoch=$(epoch_of images/base)
	inputs=$(printf '%s %s %s' "$(digest_of images/base)" "$epoch" "${SANDBAR_DEBIAN_MIRROR:-}" | sha256sum | cut -d' ' -f1)
	if ! fresh base "$inputs" || [ ! -e "$build/base/base.tar" ]; then
		say "Making the base out of Debian packages ($architecture)"
		SOURCE_DATE_EPOCH=$epoch "$root/images/base/build.sh" "$build/base/base.tar" "$architecture" >&2
		stamp base "$inputs"
	fi
}

base() {
	if [ -n "${BASE:-}" ]; then
		$podman image exists "$BASE" || $podman pull --quiet --platform "linux/$architecture" "$BASE" >/dev/null
		return
	fi
	base_archive
	if [ -z "$no_cache" ] &&
		[ "$($podman image inspect --format '{{index .Labels "dev.sandbar.inputs"}}' "$base_name" 2>/dev/null)" = "$inputs" ]; then
		return
	fi
	printf 'FROM scratch\nADD base.tar /\nCMD ["/bin/sh"]\n' >"$build/base/Containerfile"
	podman_build "$epoch" -t "$base_name" --label "dev.sandbar.inputs=$inputs" -f "$build/base/Containerfile" "$build/base"
}

# The base first: where the mirror does not deliver, that is known before anything is compiled.
root() {
	base_archive
	seed
}

# podman_build EPOCH ARGUMENT…: podman build with what makes two builds of the same inputs the same image. The limit is
# this shell's own, since an engine may not raise it.
podman_build() {
	moment=$1
	shift
	# shellcheck disable=SC3045 # every shell that is /bin/sh somewhere has ulimit -H
	files=$(ulimit -Hn | sed 's/unlimited/1048576/')
	# shellcheck disable=SC2086 # nothing or one word
	$podman build --quiet $no_cache --platform "linux/$architecture" --timestamp "$moment" --ulimit "nofile=$files:$files" "$@" >/dev/null
}

# shellcheck disable=SC2016 # the inner shell's own variable
image_inputs() {
	printf '%s %s %s' "$(
		cd "$build"
		find node runtime \( -type f -o -type l \) -print0 | LC_ALL=C sort -z |
			xargs -0 sh -c 'for file; do if [ -h "$file" ]; then readlink "$file"; else sha256sum "$file"; fi; done' sh | sha256sum
	)" "$($podman image inspect --format '{{.Id}}' "$base_name")" "$(sha256sum <"$root/Containerfile")" |
		sha256sum | cut -d' ' -f1
}

image() {
	seed
	base
	inputs=$(image_inputs)
	name=localhost/sandbar-node:$version
	if [ "$architecture" != "$host" ]; then
		name=$name-$architecture
	fi
	name=$name$suffix
	present=$($podman image inspect --format '{{index .Labels "dev.sandbar.inputs"}}' "$name" 2>/dev/null || :)
	if [ -z "$no_cache" ] && [ "$present" = "$inputs" ]; then
		say "$name is up to date"
		return
	fi
	say "Building $name"
	kubernetes=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
	podman_build "$(epoch_of images/base images/node images/pause Containerfile)" -t "$name" --build-arg "BASE=$base_name" --build-arg "VERSION=$version" \
		--build-arg "CONTRACT=$contract" --build-arg "KUBERNETES=$kubernetes" --label "dev.sandbar.inputs=$inputs" \
		-f "$root/Containerfile" "$build"
	say "$name: $($podman image inspect --format '{{.Id}}' "$name")"
}

# A docker-archive, which every engine takes: of what podman save writes, what the manifest names, under the image's plain
# name, in an order and with times that depend on nothing but the image.
archive() {
	image
	id=$($podman image inspect --format '{{.Id}}' "$name")
	dist=$root/build/dist
	target=$dist/sandbar-node-$version-$architecture.tar.zst
	if fresh archive "$id" && [ -e "$target" ]; then
		say "$target is up to date"
		return
	fi
	say "Packing $target"
	folder=$build/archive
	rm -rf "$folder"
	mkdir -p "$folder/saved" "$folder/files" "$dist"
	$podman save --quiet --format docker-archive "$name" | tar -x -C "$folder/saved"
	layers=$(sed 's/.*"Layers":\[\([^]]*\)\].*/\1/' "$folder/saved/manifest.json")
	for file in "$id.json" $(printf '%s' "$layers" | tr -d '"' | tr , ' '); do
		mv "$folder/saved/$file" "$folder/files/$file"
	done
	printf '[{"Config":"%s.json","RepoTags":["localhost/sandbar-node:%s"],"Layers":[%s]}]\n' "$id" "$version" "$layers" \
		>"$folder/files/manifest.json"
	(
		cd "$folder/files"
		# The manifest first: whoever reads the archive knows at once what it is.
		find . -type f ! -name manifest.json -printf '%P\n' | LC_ALL=C sort >../names
		{ echo manifest.json && cat ../names; } | tar --create --format=ustar --numeric-owner --owner=0 --group=0 \
			--mode=0644 --mtime="@0" --no-recursion --files-from=-
	) | zstd -q -19 --long=26 -T0 -o "$target.part" -f
	mv "$target.part" "$target"
	rm -rf "$folder"
	stamp archive "$id"
	say "$target: $(wc -c <"$target") bytes"
}

digests() {
	all=
	for target in "$root/build/dist/sandbar-node-$version"-*.tar.zst; do
		[ -e "$target" ] || continue
		one=${target##*"$version"-}
		one=${one%.tar.zst}
		image=$(cat "$root/build/$one/archive.inputs")
		all=$all${all:+,}$one=$(sha256sum "$target" | cut -d' ' -f1)/sha256:$image
	done
	echo "$all"
}

reproduce() {
	no_cache=--no-cache
	image
	first=$($podman image inspect --format '{{.Id}}' "$name")
	again=$root/build/reproduce-$architecture
	rm -rf "$again"
	build=$again suffix=-again
	image
	second=$($podman image inspect --format '{{.Id}}' "$name")
	if [ "$first" != "$second" ]; then
		say "error: two builds of the same sources differ: $first and $second; see $again"
		exit 1
	fi
	$podman untag "$name" "$name"
	rm -rf "$again"
	say "Two builds give the same image: $first"
}

case $goal in
binaries | seed | root | base | image | archive | reproduce | digests) "$goal" ;;
*)
	say "error: no such goal: $goal"
	exit 2
	;;
esac

#!/bin/sh
# Makes the pause image: one static program in one layer, as an OCI layout in a tar file.
#   build.sh OUTPUT.tar ARCHITECTURE (amd64, arm64 or riscv64)
set -eu

output=$(realpath -m "$1")
architecture=$2
here=$(dirname "$(realpath "$0")")
name=localhost/sandbar-pause:1
: "${SOURCE_DATE_EPOCH:?must be set, seconds since 1970}"

case $architecture-$(uname -m) in
amd64-x86_64 | arm64-aarch64 | riscv64-riscv64) compiler=${CC:-cc} ;;
amd64-*) compiler=${CC_AMD64:-x86_64-linux-gnu-gcc} ;;
arm64-*) compiler=${CC_ARM64:-aarch64-linux-gnu-gcc} ;;
riscv64-*) compiler=${CC_RISCV64:-riscv64-linux-gnu-gcc} ;;
*)
	echo "error: the pause program is not made for $architecture" >&2
	exit 2
	;;
esac

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
cd "$temporary"
mkdir -p layer layout/blobs/sha256

"$compiler" -Os -Wall -Wextra -Werror -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-ident -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,noseparate-code -s \
	-o layer/pause "$here/pause.c"
chmod 0755 layer/pause

# A tar file that depends on nothing but its content.
archive() {
	tar --create --format=ustar --sort=name --numeric-owner --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" \
		--directory="$1" --file="$2" "$3"
}
digest() { sha256sum "$1" | cut -d' ' -f1; }
# Puts a file among the blobs and prints its digest.
blob() {
	blob_digest=$(digest "$1")
	cp "$1" "layout/blobs/sha256/$blob_digest"
	echo "$blob_digest"
}

archive layer layer.tar pause
layer=$(blob layer.tar)
printf '{"architecture":"%s","os":"linux","config":{"User":"65535:65535","Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
	"$architecture" "$layer" >config.json
config=$(blob config.json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}' \
	"$config" "$(wc -c <config.json)" "$layer" "$(wc -c <layer.tar)" >manifest.json
manifest=$(blob manifest.json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"},"platform":{"architecture":"%s","os":"linux"}}]}' \
	"$manifest" "$(wc -c <manifest.json)" "$name" "${name##*:}" "$architecture" >layout/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >layout/oci-layout

mkdir -p "$(dirname "$output")"
archive layout "$output.part" .
mv "$output.part" "$output"

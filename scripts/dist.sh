#!/bin/sh
# Makes a release in build/dist: for each platform an archive with the command-line tool, completions and manual pages;
# deb and rpm packages; archives of the node image, which these tools know by their digests; a Homebrew formula, a Scoop
# manifest; a bill of materials of either program; checksums of all that is downloaded. The same sources give the same bytes.
#
# usage: dist.sh [TARGET...]
# TARGET: some platforms only, by the names of scripts/cross.sh; then what needs the others is left out, and said.
# SANDBAR_RELEASES is where the releases will be, https://github.com/sandbar-dev/sandbar/releases/download if it is not set.
set -eu

root=$(dirname "$(dirname "$(realpath "$0")")")
dist=$root/build/dist
tools=$root/build/dist-tools
stage=$root/build/dist-stage
all="x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-gnu"
targets=${*:-$all}
architectures="amd64 arm64"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
releases=${SANDBAR_RELEASES:-https://github.com/sandbar-dev/sandbar/releases/download}
homepage=${releases%/releases/download}
cyclonedx=0.5.9

say() { printf '%s\n' "$*" >&2; }

install_tools() {
	inputs=$(sha256sum "$root/scripts/dist/go.mod")$cyclonedx
	if [ "$(cat "$tools/inputs" 2>/dev/null)" = "$inputs" ]; then
		return
	fi
	say "Building the tools that package"
	mkdir -p "$tools"
	(
		cd "$root/scripts/dist"
		CGO_ENABLED=0 go build -trimpath -o "$tools/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
		CGO_ENABLED=0 go build -trimpath -o "$tools/cyclonedx-gomod" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	)
	cargo install --quiet --locked --root "$tools" "cargo-cyclonedx@$cyclonedx"
	echo "$inputs" >"$tools/inputs"
}

# What is the same on every platform: texts, completions, manual pages.
stage_common() {
	rm -rf "$stage"
	mkdir -p "$stage/common/completions" "$stage/common/man"
	cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$stage/common/"
	cp "$root/completions/"* "$stage/common/completions/"
	(cd "$root" && cargo run --quiet --locked --example manuals -- "$stage/common/man")
}

# aged FOLDER: everything in it gets the release's moment, and modes that do not depend on the umask.
aged() {
	find "$1" -type d -exec chmod 755 {} +
	find "$1" -type f ! -perm -u+x -exec chmod 644 {} +
	find "$1" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
}

archive() {
	target=$1
	name=sandbar-$version-$target
	cp -r "$stage/common" "$stage/$name"
	case $target in
	*-windows-*)
		cp "$root/build/cross/$target/sandbar.exe" "$stage/$name/"
		(cd "$root" && cargo run --quiet --locked -- completions powershell) >"$stage/$name/completions/sandbar.ps1"
		aged "$stage/$name"
		rm -f "$dist/$name.zip"
		(cd "$stage" && find "$name" | LC_ALL=C sort | zip --quiet -X -9 "$dist/$name.zip" -@)
		;;
	*)
		install -m 755 "$root/build/cross/$target/sandbar" "$stage/$name/sandbar"
		aged "$stage/$name"
		tar --create --directory "$stage" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu "$name" |
			gzip -9 --no-name >"$dist/$name.tar.gz"
		;;
	esac
}

# A deb and an rpm of a Linux target.
packages() {
	STAGE=$stage/sandbar-$version-$1
	mkdir -p "$STAGE/man.gz"
	for page in "$STAGE/man"/*; do
		gzip -9 --no-name --stdout "$page" >"$STAGE/man.gz/$(basename "$page").gz"
	done
	aged "$STAGE"
	case $1 in
	x86_64-*) ARCHITECTURE=amd64 rpm=x86_64 ;;
	aarch64-*) ARCHITECTURE=arm64 rpm=aarch64 ;;
	esac
	export STAGE ARCHITECTURE VERSION="$version" HOMEPAGE="$homepage"
	config=$root/scripts/dist/nfpm.yaml
	"$tools/nfpm" package --config "$config" --packager deb --target "$dist/sandbar_${version}-1_$ARCHITECTURE.deb" >/dev/null
	"$tools/nfpm" package --config "$config" --packager rpm --target "$dist/sandbar-$version-1.$rpm.rpm" >/dev/null
}

bills_of_materials() {
	# It writes beside Cargo.toml.
	(cd "$root" && "$tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --all --override-filename sandbar-sbom)
	# The package is referred to by where it is on this machine, which is nobody else's business.
	sed "s#path+file://$root#path+file:///sandbar#g" "$root/sandbar-sbom.json" >"$dist/sandbar-$version.cdx.json"
	rm "$root/sandbar-sbom.json"
	"$tools/cyclonedx-gomod" mod -json -noserial -notimestamp -output "$dist/sandbar-node-$version.cdx.json" "$root/images/node"
}

sum_of() { sha256sum "$dist/$1" | cut -d' ' -f1; }

# has TARGET...: whether the release has all of these.
has() {
	for wanted in "$@"; do
		case " $targets " in
		*" $wanted "*) ;;
		*) return 1 ;;
		esac
	done
}

formula() {
	if ! has x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin; then
		say "left out: the Homebrew formula; it needs the archives of Linux and macOS"
		return
	fi
	download() {
		printf '      url "%s/v%s/sandbar-%s-%s.tar.gz"\n' "$releases" "$version" "$version" "$1"
		printf '      sha256 "%s"\n' "$(sum_of "sandbar-$version-$1.tar.gz")"
	}
	cat >"$dist/sandbar.rb" <<-END
		class Sandbar < Formula
		  desc "Whole edge Kubernetes cluster on a laptop in seconds"
		  homepage "$homepage"
		  version "$version"
		  license "Apache-2.0"

		  on_macos do
		    on_arm do
		$(download aarch64-apple-darwin)
		    end
		    on_intel do
		$(download x86_64-apple-darwin)
		    end
		  end

		  on_linux do
		    on_arm do
		$(download aarch64-unknown-linux-gnu)
		    end
		    on_intel do
		$(download x86_64-unknown-linux-gnu)
		    end
		  end

		  def install
		    bin.install "sandbar"
		    man1.install Dir["man/*.1"]
		    bash_completion.install "completions/sandbar.bash" => "sandbar"
		    fish_completion.install "completions/sandbar.fish"
		    zsh_completion.install "completions/_sandbar"
		  end

		  test do
		    assert_match "sandbar #{version}", shell_output("#{bin}/sandbar version")
		  end
		end
	END
}

manifest() {
	if ! has x86_64-pc-windows-gnu; then
		say "left out: the Scoop manifest; it needs the archive of Windows"
		return
	fi
	name=sandbar-$version-x86_64-pc-windows-gnu
	cat >"$dist/sandbar.json" <<-END
		{
		  "version": "$version",
		  "description": "A whole edge Kubernetes cluster on a laptop in seconds",
		  "homepage": "$homepage",
		  "license": "Apache-2.0",
		  "architecture": {
		    "64bit": {
		      "url": "$releases/v$version/$name.zip",
		      "hash": "$(sum_of "$name.zip")",
		      "extract_dir": "$name"
		    }
		  },
		  "bin": "sandbar.exe"
		}
	END
}

"$root/scripts/requirements.sh" dist
mkdir -p "$dist"
# The node's images come first: the command-line tools know them.
for architecture in $architectures; do
	"$root/images/build.sh" archive "$architecture"
	"$root/images/machine/build.sh" archive "$architecture"
done
digests=$("$root/images/build.sh" digests)
# shellcheck disable=SC2086 # a list of targets
SANDBAR_NODE_DIGESTS=$digests "$root/scripts/cross.sh" build $targets
install_tools
# What is packed was made when the last commit was. The node's images have their own sources' moment, and stay what they are.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export SOURCE_DATE_EPOCH TZ=UTC
# Archives of the node image and of machines stay: they are made anew only when they changed.
find "$dist" -maxdepth 1 -type f ! -name "sandbar-node-$version-*.tar.zst" ! -name "sandbar-machine-$version-*.tar.zst" -delete
say "Packing sandbar $version"
stage_common
for target in $targets; do
	archive "$target"
	case $target in
	*-linux-*) packages "$target" ;;
	esac
done
bills_of_materials
formula
manifest
(cd "$dist" && find . -maxdepth 1 -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum) >"$stage/SHA256SUMS"
mv "$stage/SHA256SUMS" "$dist/SHA256SUMS"
rm -rf "$stage"

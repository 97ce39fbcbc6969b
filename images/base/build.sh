#!/bin/sh
# Makes the root file system that the node image stands on, out of Debian packages and nothing else.
#   build.sh OUTPUT.tar [ARCHITECTURE]
# Packages are fetched by apt (signatures checked) and unpacked; see packages. The same archive state gives the same bytes.
set -eu

output=$(realpath -m "$1")
architecture=${2:-$(dpkg --print-architecture)}
here=$(dirname "$(realpath "$0")")
mirror=${SANDBAR_DEBIAN_MIRROR:-http://deb.debian.org}
suite=trixie
: "${SOURCE_DATE_EPOCH:?must be set, seconds since 1970}"
export SOURCE_DATE_EPOCH

packages=$(sed 's/#.*//' "$here/packages" | tr -s ' \n' ' ')
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# The hook gets the folder as $1 and apt's configuration for the target in MMDEBSTRAP_APT_CONFIG.
cat >"$temporary/unpack" <<HOOK
set -eu
# The order of names is the same whatever language this machine speaks.
export LC_ALL=C
root=\$1
export APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG"
debs="\$root/debs"
mkdir -p "\$debs" "\$root/usr/bin" "\$root/usr/sbin" "\$root/usr/lib"
cd "\$debs"
apt-get -qq -o APT::Sandbox::User=root download $packages
# Merged /usr: the links first, then everything beneath them.
for folder in bin sbin lib; do ln -sfn "usr/\$folder" "\$root/\$folder"; done
case $architecture in amd64) mkdir -p "\$root/usr/lib64"; ln -sfn usr/lib64 "\$root/lib64";; esac
for deb in *.deb; do
    # Through tar, which goes through the links instead of replacing them.
    dpkg-deb --fsys-tarfile "\$deb" | tar -x -C "\$root" --keep-directory-symlink \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./usr/share/info/*' --exclude='./usr/share/lintian/*' --exclude='./usr/share/bash-completion/*' \
        --exclude='./usr/share/vim/*' --exclude='./usr/share/haproxy/*' --exclude='./usr/lib/*/gconv/*' \
        --exclude='./usr/lib/systemd/*' --exclude='./usr/lib/tmpfiles.d/*' --exclude='./etc/init.d/*' \
        --exclude='./etc/logrotate.d/*' --exclude='./etc/rsyslog.d/*' --exclude='./etc/default/*' \
        --exclude='./etc/haproxy/*' --exclude='./etc/update-motd.d/*' --exclude='./usr/share/base-files/*' \
        --exclude='./usr/share/common-licenses/*' --exclude='./etc/nftables.conf' --exclude='./usr/share/nftables/*' \
        --exclude='./usr/share/initramfs-tools/*' --exclude='./usr/share/busybox*' --exclude='./usr/libexec/*' \
        --exclude='./usr/share/polkit-1/*' --exclude='./usr/share/gcc/*' --exclude='./usr/share/gdb/*' \
        --exclude='./usr/share/bug/*' --exclude='./usr/lib/*/audit/*' --exclude='./usr/lib/*/perl*' \
        --exclude='./usr/bin/ld.so' --exclude='./usr/share/menu/*' --exclude='./usr/lib/init/*' --exclude='./home' \
        --exclude='./usr/lib/*/*.a' --exclude='./usr/bin/crun-wasm'
    dpkg-deb --show --showformat '\${Package} \${Version} \${Architecture}\n' "\$deb" >>list
done
mkdir -p "\$root/usr/share/sandbar" "\$root/usr/share/doc/sandbar-base"
sort list >"\$root/usr/share/sandbar/packages.txt"
# Licences stay: what is handed on must carry them.
for deb in *.deb; do
    dpkg-deb --fsys-tarfile "\$deb" | tar -x -C "\$root" --keep-directory-symlink --wildcards './usr/share/doc/*/copyright' 2>/dev/null || :
done
cat "\$root"/usr/share/ca-certificates/mozilla/*.crt >"\$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "\$root/usr/share/ca-certificates" "\$root/etc/ca-certificates" "\$root/boot" "\$root/usr/sbin/update-ca-certificates" "\$root/usr/sbin/invoke-rc.d" "\$root/usr/bin/halog"
# A shell and its tools: applets for which there is no real program.
"$temporary/applets" "\$root"
cat >"\$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
haproxy:x:101:101:HAProxy:/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
END
cat >"\$root/etc/group" <<END
root:x:0:
tty:x:5:
disk:x:6:
haproxy:x:101:
nogroup:x:65534:
END
mkdir -p "\$root/root" "\$root/proc" "\$root/sys" "\$root/dev" "\$root/run" "\$root/tmp" "\$root/var/lib" "\$root/var/log" "\$root/etc" "\$root/opt"
chmod 0700 "\$root/root"; chmod 1777 "\$root/tmp"
cd / && rm -rf "\$debs"
# Which packages the image is made of is told in it, with their versions: without the list there is no image.
for package in $packages; do
    grep -q "^\$package [^ ]* [^ ]*\$" "\$root/usr/share/sandbar/packages.txt" || { echo "\$package is not in packages.txt" >&2; exit 1; }
done
# No library may be missing. Only possible for this machine's own architecture.
if [ "$architecture" = "\$(dpkg --print-architecture)" ]; then
    loader=\$(find "\$root/usr/lib" "\$root/usr/lib64" -name 'ld-linux*' 2>/dev/null | head -1)
    for program in usr/sbin/haproxy usr/bin/crun usr/sbin/nft usr/bin/mount usr/bin/umount; do
        libraries="\$root/usr/lib/\$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || uname -m)-linux-gnu"
        [ -d "\$libraries" ] || libraries=\$(dirname "\$(find "\$root/usr/lib" -name 'libc.so.6' | head -1)")
        if "\$loader" --inhibit-cache --library-path "\$libraries" --list "\$root/\$program" 2>&1 | grep -E 'not found|error'; then
            echo "\$program: libraries are missing from images/base/packages" >&2
            exit 1
        fi
    done
fi
HOOK
cat >"$temporary/applets" <<'HOOK'
#!/bin/sh
set -eu
root=$1
for applet in sh ash awk basename cat chmod chown chroot clear cmp cp cut date dd df dirname dmesg du echo egrep env expr \
    false fgrep find free grep gunzip gzip head hexdump hostname id ip kill killall less ln ls lsof md5sum mkdir mkfifo mknod \
    mktemp more mv nc netstat nice nohup nproc nsenter nslookup od pgrep pidof ping ping6 pkill printenv printf ps pwd \
    readlink realpath reset rm rmdir sed seq sha256sum sleep sort ss stat strings stty sync sysctl tail tar tee test time \
    timeout top touch tr traceroute true truncate tty uname uniq unshare uptime vi watch wc wget which who xargs yes zcat; do
    for folder in bin sbin; do
        [ ! -e "$root/usr/$folder/$applet" ] || continue 2
    done
    ln -s busybox "$root/usr/bin/$applet"
done
HOOK
chmod +x "$temporary/unpack" "$temporary/applets"
chmod 0755 "$temporary"

mkdir -p "$(dirname "$output")"
mmdebstrap --quiet --variant=custom --format=tar --architectures="$architecture" --components=main \
    --skip=check/empty,check/chroot,check/qemu,chroot/mount \
    --customize-hook="sh $temporary/unpack \"\$1\"" \
    "$suite" "$temporary/full.tar" \
    "deb $mirror/debian $suite main" \
    "deb $mirror/debian $suite-updates main" \
    "deb $mirror/debian-security $suite-security main"
# What apt and dpkg keep for themselves is of no use where nothing is installed any more.
mmtarfilter --path-exclude='/etc/apt*' --path-exclude='/var/lib/apt*' --path-exclude='/var/lib/dpkg*' --path-exclude='/var/cache*' \
    --path-exclude='/var/log/*' <"$temporary/full.tar" >"$output.part"
mv "$output.part" "$output"

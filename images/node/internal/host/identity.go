package host

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// identity gives the node a machine ID that stays with the volume. An engine either gives none or one that changes with
// each container.
func (p *preparer) identity() error {
	kept := filepath.Join(p.layout.Data, "machine-id")
	id := ""
	if data, err := os.ReadFile(kept); err == nil {
		id = strings.TrimSpace(string(data))
	}
	if !validMachineID(id) {
		id = newID()
		if err := replaceFile(kept, id+"\n", 0o444); err != nil {
			return err
		}
	}
	if present, err := os.ReadFile("/etc/machine-id"); err != nil || strings.TrimSpace(string(present)) != id {
		if err := replaceFile("/etc/machine-id", id+"\n", 0o444); err != nil {
			return err
		}
	}
	return nil
}

// identityUnlessParked leaves the machine ID to [Identify] where copies of the machine must not have the same.
func (p *preparer) identityUnlessParked() error {
	if p.options.Parked {
		return nil
	}
	return p.identity()
}

// validMachineID tells 32 hexadecimal digits, as machine-id(5) has them.
func validMachineID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == 16 && strings.ToLower(id) == id
}

func newID() string {
	raw := make([]byte, 16)
	// It never fails.
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// replaceFile writes a file aside, flushes it and renames it into its place.
func replaceFile(path, content string, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.WriteString(content); err != nil {
		_ = temporary.Close()
		return err
	}
	if err := temporary.Chmod(mode); err != nil {
		_ = temporary.Close()
		return err
	}
	if err := temporary.Sync(); err != nil {
		_ = temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// snapshotter finds out whether overlays can be stacked on the volume: they cannot where the volume is itself an overlay.
func (p *preparer) snapshotter() error {
	p.result.Facts.Snapshotter = "overlayfs"
	var volume unix.Statfs_t
	if err := unix.Statfs(p.layout.ContainerdData(), &volume); err != nil {
		return err
	}
	// Trying takes some 20 ms, and on these it works.
	if slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC},
		volume.Type) {
		return nil
	}
	mounted, err := tryOverlay(p.layout.ContainerdData())
	if err != nil {
		return err
	}
	if mounted != nil {
		p.result.Facts.Snapshotter = "native"
		p.warn("NoOverlay", "put /var/lib/sandbar on a volume of the engine, on ext4, xfs or btrfs",
			"no overlay can be mounted on /var/lib/sandbar (%v): images are copied for each container, which is slow and large", mounted)
	}
	return nil
}

// tryOverlay mounts an overlay of folders below this one, and unmounts it. What the mount says comes first.
func tryOverlay(folder string) (mounted, err error) {
	probe, err := os.MkdirTemp(folder, ".probe-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(probe) }()
	folders := map[string]string{}
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		folders[name] = filepath.Join(probe, name)
		if err := os.Mkdir(folders[name], 0o700); err != nil {
			return nil, err
		}
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folders["lower"], folders["upper"], folders["work"])
	// Volatile: otherwise the unmount waits until the host's whole file system is on its disk. Kernels before 5.10 refuse it.
	mounted = unix.Mount("overlay", folders["merged"], "overlay", 0, data+",volatile")
	if errors.Is(mounted, unix.EINVAL) {
		mounted = unix.Mount("overlay", folders["merged"], "overlay", 0, data)
	}
	if mounted != nil {
		return mounted, nil
	}
	if err := unix.Unmount(folders["merged"], unix.MNT_DETACH); err != nil {
		return nil, fmt.Errorf("unmount %s: %w", folders["merged"], err)
	}
	return nil, nil
}

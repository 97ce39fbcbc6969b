package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// parseMountFlags turns the mount options of a storage class into flags of a bind mount.
func parseMountFlags(options []string) (uintptr, error) {
	var flags uintptr
	for _, option := range options {
		switch option {
		case "rw", "bind", "defaults":
		case "ro":
			flags |= unix.MS_RDONLY
		case "noexec":
			flags |= unix.MS_NOEXEC
		case "nosuid":
			flags |= unix.MS_NOSUID
		case "nodev":
			flags |= unix.MS_NODEV
		case "noatime":
			flags |= unix.MS_NOATIME
		default:
			return 0, fmt.Errorf("mount option %q is not supported, only ro, rw, noexec, nosuid, nodev and noatime are", option)
		}
	}
	return flags, nil
}

// bindMount shows source at target, once however often it is called.
func bindMount(source, target string, flags uintptr) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	mounted, err := mountinfo.Mounted(target)
	if err != nil {
		return err
	}
	if !mounted {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return &fs.PathError{Op: "bind mount " + source, Path: target, Err: err}
		}
	}
	if flags == 0 {
		return nil
	}
	// The kernel ignores flags on the first bind mount; they need a second call.
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""); err != nil {
		failure := error(&fs.PathError{Op: "remount", Path: target, Err: err})
		return errors.Join(failure, unmount(target))
	}
	return nil
}

// mountPoints returns where else in this mount namespace the folder source is bind-mounted.
func mountPoints(source string) ([]string, error) {
	parents, err := mountinfo.GetMounts(mountinfo.ParentsFilter(source))
	if err != nil {
		return nil, err
	}
	if len(parents) == 0 {
		return nil, fmt.Errorf("no file system holds %s", source)
	}
	// The longest mount point above source is the file system that it lies on.
	parent := parents[0]
	for _, candidate := range parents[1:] {
		if len(candidate.Mountpoint) >= len(parent.Mountpoint) {
			parent = candidate
		}
	}
	relative, err := filepath.Rel(parent.Mountpoint, source)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(parent.Root, relative)
	mounts, err := mountinfo.GetMounts(func(info *mountinfo.Info) (skip, stop bool) {
		return info.Major != parent.Major || info.Minor != parent.Minor || info.Root != root, false
	})
	if err != nil {
		return nil, err
	}
	points := make([]string, 0, len(mounts))
	for _, mount := range mounts {
		points = append(points, mount.Mountpoint)
	}
	return points, nil
}

// unmount takes away every mount at target and the folder itself; nothing there is fine.
func unmount(target string) error {
	for {
		mounted, err := mountinfo.Mounted(target)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW); err != nil {
			return &fs.PathError{Op: "unmount", Path: target, Err: err}
		}
	}
	// Remove, never RemoveAll: should a mount have come back, its data must not go with the folder.
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

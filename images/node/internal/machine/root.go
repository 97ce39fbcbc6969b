package machine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Folders of the initramfs. Nobody sees them once the root is another one.
const (
	// systemPoint is where the image's root file system is mounted, read-only.
	systemPoint = "/system"
	// changesPoint is a tmpfs with everything that is written to the root.
	changesPoint = "/changes"
	// rootPoint is the root to be.
	rootPoint = "/root"
	// earlyModules has the modules that it takes to see the disks.
	earlyModules = "/modules"
)

// mountKernel mounts the kernel's own file systems, and makes what programs expect in /dev.
func mountKernel() error {
	for _, fs := range []struct {
		kind, point, data string
		flags             uintptr
	}{
		{"proc", "/proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", "/dev", "mode=0755", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "mode=0620,ptmxmode=0666,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
		{"mqueue", "/dev/mqueue", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	} {
		if err := os.MkdirAll(fs.point, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fs.kind, fs.point, fs.kind, fs.flags, fs.data); err != nil {
			return fmt.Errorf("mount %s: %w", fs.point, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil {
			return err
		}
	}
	return nil
}

// mountSystem puts the root together: the image's disk, which is never written, and above it memory that takes what is
// written and is gone with the machine.
func mountSystem() error {
	device, options, err := systemDevice(blockDevices, memoryBuses)
	if err != nil {
		return err
	}
	for _, folder := range []string{systemPoint, changesPoint, rootPoint} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(device, systemPoint, "ext4", unix.MS_RDONLY|unix.MS_NOATIME, options); err != nil {
		return fmt.Errorf("mount the image's disk %s: %w", device, err)
	}
	if err := unix.Mount("changes", changesPoint, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount memory for the root: %w", err)
	}
	upper, work := filepath.Join(changesPoint, "upper"), filepath.Join(changesPoint, "work")
	for _, folder := range []string{upper, work} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	data := "lowerdir=" + systemPoint + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("root", rootPoint, "overlay", 0, data); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	return nil
}

// enterRoot makes the root that was put together this process's own, takes the kernel's file systems along, and gives back
// the memory of the initramfs.
func enterRoot() error {
	for _, point := range []string{"/dev", "/proc", "/sys"} {
		target := filepath.Join(rootPoint, point)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(point, target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s into the root: %w", point, err)
		}
	}
	for _, path := range []string{"/init", earlyModules} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	// What pivot_root(2) would do, which the kernel's first root does not allow.
	if err := os.Chdir(rootPoint); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return os.Chdir("/")
}

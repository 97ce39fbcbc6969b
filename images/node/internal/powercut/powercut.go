// Package powercut is for tests alone: a disk whose power can be cut at any moment.
//
// It is an ext4 file system in a file. Each process that uses it mounts it for itself, in a mount namespace of its own that ends
// with it: a copy of the mount in anybody else's namespace would keep the file system as it is. A cut is the one that file system developers test with: the file system is shut down
// without writing its journal (EXT4_IOC_SHUTDOWN, Linux' fs/ext4/ioctl.c), so that whatever was not synchronised is gone when
// it is mounted again and recovers.
package powercut

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// shutdown is EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32).
	shutdown = 0x8004587d
	// withoutJournal is EXT4_GOING_FLAGS_NOLOGFLUSH.
	withoutJournal uint32 = 2
)

// Disk is a disk with a file system. It is removed with its test.
type Disk struct {
	t      testing.TB
	device string
	folder string
}

// New makes a disk and mounts it, or skips the test with the reason why this machine cannot.
func New(t testing.TB, mebibytes int64) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only the superuser may mount a file system")
	}
	// In memory where there is such a folder: what is tested is what is written before a cut, not how fast.
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = ""
	}
	root, err := os.MkdirTemp(parent, "sandbar-powercut-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	image, folder := filepath.Join(root, "image"), filepath.Join(root, "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, mebibytes<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		t.Skip(err)
	}
	device, err := run("losetup", "--find", "--show", image)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if _, err := run("losetup", "--detach", device); err != nil {
			t.Error(err)
		}
	})
	disk := &Disk{t: t, device: device, folder: folder}
	if _, err := disk.Play(rehearsal, time.Minute); err != nil {
		t.Skipf("this machine cannot cut the power of a file system: %v", err)
	}
	return disk
}

// rehearsal is the part that finds out whether this machine can do it.
const rehearsal = "rehearsal"

// mount mounts the disk for this process, which must have a mount namespace of its own.
func mount(device, folder string) error {
	if err := unix.Mount(device, folder, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	return nil
}

// cut cuts the power of the disk that is mounted at the folder: from now on nothing reaches it any more, and writes fail.
func cut(folder string) error {
	root, err := os.Open(folder)
	if err != nil {
		return err
	}
	flags := withoutJournal
	_, _, code := unix.Syscall(unix.SYS_IOCTL, root.Fd(), shutdown, uintptr(unsafe.Pointer(&flags)))
	if err := root.Close(); err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("shut the file system down: %w", code)
	}
	return nil
}

func run(program string, arguments ...string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join("/usr/sbin", program)
	}
	output, err := exec.Command(path, arguments...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(output))
	}
	return string(bytes.TrimSpace(output)), nil
}

package memory

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FollowExhaustion calls exhausted each time that the limit of the node's own group was reached and nothing could be given
// back, so that the kernel ended a process. times is how often that was since the call before. What pods reach of limits of
// their own does not count. It costs nothing while nothing happens, and returns only when it cannot go on.
func FollowExhaustion(root string, exhausted func(times uint64)) error {
	group, names, err := find(root)
	if err != nil {
		return err
	}
	if names == filesV1 {
		return followV1(group, exhausted)
	}
	return followV2(group, exhausted)
}

// followV1 has the kernel count on a descriptor (cgroup-v1/memory.rst, "OOM Control").
func followV1(group string, exhausted func(times uint64)) error {
	descriptor, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	events := os.NewFile(uintptr(descriptor), "eventfd")
	defer func() { _ = events.Close() }()
	control, err := os.Open(filepath.Join(group, "memory.oom_control"))
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }()
	line := fmt.Appendf(nil, "%d %d", descriptor, control.Fd())
	if err := os.WriteFile(filepath.Join(group, "cgroup.event_control"), line, 0); err != nil {
		return fmt.Errorf("ask to be told of exhausted memory: %w", err)
	}
	var count [8]byte
	for {
		if _, err := events.Read(count[:]); err != nil {
			return fmt.Errorf("wait for exhausted memory: %w", err)
		}
		exhausted(binary.NativeEndian.Uint64(count[:]))
	}
}

// followV2 looks at the kernel's count whenever its file changes (cgroup-v2.rst, "memory.events.local").
func followV2(group string, exhausted func(times uint64)) error {
	path := filepath.Join(group, "memory.events.local")
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	changes := os.NewFile(uintptr(descriptor), "inotify")
	defer func() { _ = changes.Close() }()
	if _, err := unix.InotifyAddWatch(descriptor, path, unix.IN_MODIFY); err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	var before uint64
	buffer := make([]byte, 4096)
	for {
		text, err := readText(group, "memory.events.local")
		if err != nil {
			return err
		}
		now, err := field(text, "oom")
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if now > before {
			exhausted(now - before)
		}
		before = now
		if _, err := changes.Read(buffer); err != nil {
			return fmt.Errorf("wait for exhausted memory: %w", err)
		}
	}
}

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// shareMounts makes every mount propagate, so that volumes that kubelet mounts are seen in pods with mount propagation.
func (p *preparer) shareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make / shared (this needs CAP_SYS_ADMIN; run the container privileged): %w", err)
	}
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	// Without privileges the engine gives /sys and parts of /proc read-only.
	for _, point := range []string{"/sys", "/proc/sys"} {
		if m, found := topmost(mounts, point); found && m.readOnly() {
			if err := p.remount(m, "ro"); err != nil {
				p.warn("ReadOnly", "run the container privileged", "%s cannot be made writable: %v", point, err)
			}
		}
	}
	return nil
}

// temporaryFileSystems sees to it that /run and /tmp are tmpfs and that programs may be run there.
func (p *preparer) temporaryFileSystems() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for point, mode := range map[string]string{"/run": "mode=0755", "/tmp": "mode=1777"} {
		m, found := topmost(mounts, point)
		switch {
		case !found || m.fsType != "tmpfs":
			if err := os.MkdirAll(point, 0o755); err != nil {
				return err
			}
			if err := unix.Mount("tmpfs", point, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode); err != nil {
				return fmt.Errorf("mount %s: %w", point, err)
			}
			// It came after the others were shared.
			if err := unix.Mount("", point, "", unix.MS_SHARED, ""); err != nil {
				return fmt.Errorf("make %s shared: %w", point, err)
			}
		case slices.Contains(m.options, "noexec"):
			if err := p.remount(m, "noexec"); err != nil {
				return fmt.Errorf("allow programs on %s: %w", point, err)
			}
		}
	}
	return nil
}

// remount takes options off a mount, if it has any of them.
func (p *preparer) remount(m mount, without ...string) error {
	if !slices.ContainsFunc(without, func(option string) bool { return slices.Contains(m.options, option) }) {
		return nil
	}
	if err := unix.Mount("", m.point, "", unix.MS_REMOUNT|unix.MS_BIND|m.flags(without...), ""); err != nil {
		return fmt.Errorf("remount %s: %w", m.point, err)
	}
	p.options.Logf("remounted %s without %s", m.point, strings.Join(without, ","))
	return nil
}

// bind mounts source at target unless it is there already.
func (p *preparer) bind(source, target string) error {
	from, err := os.Stat(source)
	if err != nil {
		return err
	}
	to, err := os.Stat(target)
	if err != nil {
		return err
	}
	if os.SameFile(from, to) {
		return nil
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}

// clean removes what a run that was killed left behind. This is the first process of a new namespace, so nothing of what
// these files speak of can be alive.
func (p *preparer) clean() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	stale := []string{
		// containerd's folder has crun's state, too.
		p.layout.Run, filepath.Dir(p.layout.ContainerdSocket), "/run/netns", "/run/cni",
		// Mounts of pods can only be here if the mount namespace outlived its processes.
		filepath.Join(p.layout.KubeletData(), "pods"), filepath.Join(p.layout.Kubelet, "pods"),
	}
	for _, m := range slices.Backward(mounts) {
		for _, folder := range stale {
			if strings.HasPrefix(m.point, folder+"/") {
				if err := unix.Unmount(m.point, unix.MNT_DETACH); err != nil {
					return fmt.Errorf("unmount %s: %w", m.point, err)
				}
			}
		}
	}
	for _, folder := range stale[:4] {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	// kubelet's checkpoints of resources speak of a machine that may be another one now (its CPUs, its memory).
	for _, name := range []string{"cpu_manager_state", "memory_manager_state"} {
		if err := os.Remove(filepath.Join(p.layout.KubeletData(), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// UnmountAll detaches what is mounted below the node's folders, innermost first, for a machine that goes down. Failures
// are told to logf.
func UnmountAll(folders []string, logf func(format string, args ...any)) {
	mounts, err := readMounts()
	if err != nil {
		logf("%v", err)
		return
	}
	for _, m := range slices.Backward(mounts) {
		for _, folder := range folders {
			if m.point == folder || strings.HasPrefix(m.point, folder+"/") {
				// One that is seen at two places is gone from both (EINVAL).
				if err := unix.Unmount(m.point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
					logf("unmount %s: %v", m.point, err)
				}
			}
		}
	}
}

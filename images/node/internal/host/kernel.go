package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// wantedFiles is the soft limit of open files that the node's programs get; more only costs memory in programs
	// that size tables by it.
	wantedFiles = 1 << 20
	// enoughFiles is below what a node with a few dozen pods needs.
	enoughFiles = 4096
	// inotifyInstances and inotifyWatches are what kubelet, containerd and a few dozen pods need.
	inotifyInstances, inotifyWatches = 512, 65536
)

// capabilities finds out which privileges are missing.
func (p *preparer) capabilities() {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		p.warn("CapabilitiesUnknown", "", "the capabilities cannot be read: %v", err)
		return
	}
	has := func(capability uint) bool { return data[capability/32].Effective&(1<<(capability%32)) != 0 }
	p.result.Facts.CanLowerOOMScore = has(unix.CAP_SYS_RESOURCE)
	for _, capability := range []struct {
		number uint
		name   string
		what   string
	}{
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "nothing can be mounted"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "pods have no network"},
		{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "the namespaces of pods cannot be entered"},
		{unix.CAP_MKNOD, "CAP_MKNOD", "pods have no devices"},
		{unix.CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "containers cannot be started"},
		{unix.CAP_SETUID, "CAP_SETUID", "pods cannot run as other users"},
		{unix.CAP_SETGID, "CAP_SETGID", "pods cannot run as other groups"},
		{unix.CAP_CHOWN, "CAP_CHOWN", "images cannot be unpacked"},
	} {
		if !has(capability.number) {
			p.warn("CapabilityMissing", "run the container privileged", "%s is missing: %s", capability.name, capability.what)
		}
	}
}

// limits raises what may be raised for this process and so for all others.
func (p *preparer) limits() {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		p.warn("LimitsUnknown", "", "the limit of open files cannot be read: %v", err)
		return
	}
	// More than the hard limit takes CAP_SYS_RESOURCE.
	raised := unix.Rlimit{Cur: wantedFiles, Max: max(limit.Max, wantedFiles)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		raised = unix.Rlimit{Cur: min(limit.Max, wantedFiles), Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
			p.warn("FileLimit", "", "the limit of open files cannot be raised: %v", err)
			return
		}
	}
	if raised.Cur < enoughFiles {
		p.warn("FileLimit", fmt.Sprintf("create the container with --ulimit nofile=%d or more", wantedFiles),
			"only %d files may be open in a process", raised.Cur)
	}
}

// kmsg is the kernel's log. Kubelet does not start without one, and reads in it which processes the kernel has ended for
// want of memory.
const kmsg = "/dev/kmsg"

// devices sees to it that there is a /dev/kmsg: the kernel's own where it can be had, otherwise one that says nothing.
func (p *preparer) devices() {
	reason := readable(kmsg)
	if reason == nil {
		return
	}
	if !errors.Is(reason, os.ErrNotExist) {
		// It is there and may not be read: /dev/null instead, which ends at once.
		if err := unix.Mount("/dev/null", kmsg, "", unix.MS_BIND, ""); err != nil {
			p.warn("NoKmsg", "run the container privileged", "/dev/kmsg cannot be read and not be replaced: %v", err)
			return
		}
		p.warnSilentKmsg(reason)
		return
	}
	made := unix.Mknod(kmsg, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 11)))
	if made == nil {
		if made = readable(kmsg); made == nil {
			return
		}
		_ = os.Remove(kmsg)
	}
	if err := os.Symlink("null", kmsg); err != nil {
		p.warn("NoKmsg", "run the container privileged", "there is no /dev/kmsg: %v", err)
		return
	}
	p.warnSilentKmsg(made)
}

// null is the standard input of containers whose pod asks for none.
const null = "/dev/null"

// protectNull makes that the node's /dev/null keeps its owner and its mode, and can be read and written all the same, as
// devices can on a read-only mount. crun gives a container's user what its standard streams are, so that this user could
// take it away from everybody else; later ones leave devices alone (https://github.com/containers/crun/pull/1847).
func (p *preparer) protectNull() {
	err := func() error {
		mounts, err := readMounts()
		if err != nil {
			return err
		}
		if m, found := topmost(mounts, null); found && m.readOnly() {
			return nil
		}
		if err := unix.Mount(null, null, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		// What it has from /dev stays: in a user namespace it may not be taken off.
		if mounts, err = readMounts(); err != nil {
			return err
		}
		m, _ := topmost(mounts, null)
		return unix.Mount("", null, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|m.flags(), "")
	}()
	if err != nil {
		p.warn("NullUnprotected", "run the container privileged", "pods can change the owner and the mode of the node's %s: %v", null, err)
	}
}

// warnSilentKmsg tells that /dev/kmsg is /dev/null, and why.
func (p *preparer) warnSilentKmsg(reason error) {
	p.warn("KernelLogHidden", "give the container the device /dev/kmsg",
		"the kernel's log cannot be read, so nothing tells when the kernel ends a pod's process for want of memory: %v", reason)
}

func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// setting is a kernel setting: a path below /proc/sys, and the value it must have or, for a minimum, at least have.
type setting struct {
	path    string
	value   int
	minimum bool
}

// ownSettings belong to the container's network namespace.
func ownSettings() []setting {
	return []setting{
		{"net/ipv4/ip_forward", 1, false},
		{"net/ipv4/conf/all/forwarding", 1, false},
		{"net/ipv4/conf/default/forwarding", 1, false},
		{"net/ipv6/conf/all/forwarding", 1, false},
		{"net/ipv6/conf/default/forwarding", 1, false},
		// Sockets that listen with many clients, such as HAProxy's, take the smaller of their own number and this.
		{"net/core/somaxconn", 4096, true},
	}
}

// sharedSettings are the host's own even in a container. They are only ever raised.
func sharedSettings() []setting {
	return []setting{
		{"fs/inotify/max_user_instances", inotifyInstances, true},
		{"fs/inotify/max_user_watches", inotifyWatches, true},
	}
}

// kubeletSettings are what kubelet sets at its start, although they are the whole machine's.
func kubeletSettings() []setting {
	return []setting{
		{"vm/overcommit_memory", 1, false},
		{"vm/panic_on_oom", 0, false},
		{"kernel/panic", 10, false},
		{"kernel/panic_on_oops", 1, false},
		{"kernel/keys/root_maxkeys", 1000000, false},
		{"kernel/keys/root_maxbytes", 25000000, false},
	}
}

// sysctls sets what the node needs. A laptop's own settings stay as they are: where kubelet would change them, a container
// shows it files that say what it wants to read.
func (p *preparer) sysctls() {
	p.settle(append(ownSettings(), sharedSettings()...))
}

// settle makes these settings, and those for whose sake others must not be as they are.
func (p *preparer) settle(settings []setting) {
	for _, s := range settings {
		if err := s.apply("/proc/sys"); err != nil {
			p.warn("SettingNotMade", fmt.Sprintf("sysctl -w %s=%d on the host", strings.ReplaceAll(s.path, "/", "."), s.value), "%v", err)
		}
	}
	// Strict reverse path filtering drops what comes back from pods by another way than it went.
	for _, name := range []string{"all", "default"} {
		path := "net/ipv4/conf/" + name + "/rp_filter"
		if value, err := readSetting(filepath.Join("/proc/sys", path)); err == nil && value == 1 {
			if err := (setting{path, 2, false}).apply("/proc/sys"); err != nil {
				p.warn("SettingNotMade", "", "%v", err)
			}
		}
	}
	for _, s := range kubeletSettings() {
		if err := p.standIn(s); err != nil {
			p.warn("SettingNotMade", "run the container privileged", "%v", err)
		}
	}
}

// apply sets it where it is not met yet. A setting that this kernel does not have is met.
func (s setting) apply(root string) error {
	path := filepath.Join(root, s.path)
	present, err := readSetting(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && (present == s.value || s.minimum && present > s.value) {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(s.value)), 0o644); err != nil {
		return fmt.Errorf("set %s to %d (it is %d): %w", strings.ReplaceAll(s.path, "/", "."), s.value, present, err)
	}
	return nil
}

func readSetting(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// standIn makes kubelet find a setting as it wants it: in a machine by setting it, in a container by a file before it.
func (p *preparer) standIn(s setting) error {
	if !p.result.Facts.Container {
		return s.apply("/proc/sys")
	}
	path := filepath.Join("/proc/sys", s.path)
	present, err := readSetting(path)
	if err == nil && present == s.value || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	folder := filepath.Join(p.layout.Run, "sysctl")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file := filepath.Join(folder, strings.ReplaceAll(s.path, "/", "."))
	if err := os.WriteFile(file, []byte(strconv.Itoa(s.value)+"\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show kubelet a %s of its own: %w", s.path, err)
	}
	return nil
}

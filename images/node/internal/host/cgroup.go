package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/hostinfo"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// leaf is the cgroup of the node's own processes where the unified hierarchy allows none in its root.
	leaf = "sandbar.init"
	// enteredVariable tells the second life of sandbar-init that it has a cgroup namespace of its own now.
	enteredVariable = "SANDBAR_CGROUP_NAMESPACE"
)

// needed are the controllers that kubelet refuses to start without.
func needed(mode hostinfo.CgroupMode) []string {
	if mode == hostinfo.CgroupV2 {
		return []string{"cpu", "cpuset", "memory", "pids"}
	}
	return []string{"cpu", "cpuacct", "cpuset", "memory", "pids"}
}

// wanted are the controllers that are used where the kernel has them.
func wanted() []string {
	return []string{"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "pids"}
}

// cgroupPlan is what has to be done to the control groups; made by planCgroups, which does nothing.
type cgroupPlan struct {
	mode hostinfo.CgroupMode
	// newNamespace says that this process does not stand at the root of what it sees.
	newNamespace bool
	// replace are mount points that show another part of the hierarchy than ours, with their controllers.
	replace []cgroupMount
	// remount are mounts that are read-only.
	remount []mount
	// add are controllers that the kernel has and that are mounted nowhere.
	add []cgroupMount
	// controllers are those of v1 that are mounted once the plan is carried out, sorted.
	controllers []string
}

type cgroupMount struct {
	point string
	// options are mount options, such as the controllers; "" for the unified hierarchy.
	options string
	unified bool
}

// membership is a line of /proc/self/cgroup (cgroups(7)).
type membership struct {
	controllers []string
	path        string
}

func parseMembership(text string) []membership {
	var list []membership
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		m := membership{path: fields[2]}
		if fields[1] != "" {
			m.controllers = strings.Split(fields[1], ",")
		}
		list = append(list, m)
	}
	return list
}

// parseControllers reads /proc/cgroups and returns the controllers of v1 that the kernel has switched on.
func parseControllers(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 4 && !strings.HasPrefix(line, "#") && fields[3] == "1" {
			names = append(names, fields[0])
		}
	}
	return names
}

// planCgroups decides from the mounts, /proc/self/cgroup and /proc/cgroups what has to be done.
func planCgroups(mounts []mount, members []membership, kernel []string) cgroupPlan {
	plan := cgroupPlan{mode: hostinfo.CgroupV2}
	mounted := map[string]bool{}
	unified := false
	for _, m := range mounts {
		if m.point != cgroupRoot && !strings.HasPrefix(m.point, cgroupRoot+"/") {
			continue
		}
		// What is hidden beneath a later mount is of no interest.
		if top, _ := topmost(mounts, m.point); top.fsType != m.fsType {
			continue
		}
		switch m.fsType {
		case "cgroup":
			plan.mode = hostinfo.CgroupV1
			var own []string
			for _, option := range m.superOptions {
				if slices.Contains(wanted(), option) || strings.HasPrefix(option, "name=") || slices.Contains(kernel, option) {
					own = append(own, option)
				}
			}
			for _, controller := range own {
				mounted[controller] = true
			}
			plan.fix(m, cgroupMount{point: m.point, options: strings.Join(own, ",")})
		case "cgroup2":
			unified = unified || m.point != cgroupRoot
			plan.fix(m, cgroupMount{point: m.point, unified: true})
		case "tmpfs", "sysfs":
			// v1 has its mount points on a tmpfs, which has to be writable to add one.
			if m.point == cgroupRoot && m.readOnly() {
				plan.remount = append(plan.remount, m)
			}
		}
	}
	if plan.mode == hostinfo.CgroupV2 {
		if _, found := topmost(mounts, cgroupRoot); !found {
			plan.add = append(plan.add, cgroupMount{point: cgroupRoot, unified: true})
		}
		for _, m := range members {
			if len(m.controllers) == 0 && m.path != "/" && m.path != "/"+leaf {
				plan.newNamespace = true
			}
		}
		return plan
	}
	if unified {
		plan.mode = hostinfo.CgroupHybrid
	}
	for _, m := range members {
		// The unified hierarchy has no controllers here and does not count.
		if len(m.controllers) > 0 && mounted[m.controllers[0]] && m.path != "/" {
			plan.newNamespace = true
		}
	}
	for _, controller := range wanted() {
		if slices.Contains(kernel, controller) && !mounted[controller] {
			plan.add = append(plan.add, cgroupMount{point: filepath.Join(cgroupRoot, controller), options: controller})
			mounted[controller] = true
		}
		if mounted[controller] {
			plan.controllers = append(plan.controllers, controller)
		}
	}
	return plan
}

func (plan *cgroupPlan) fix(m mount, fresh cgroupMount) {
	switch {
	case m.root != "/":
		plan.replace = append(plan.replace, fresh)
	case m.readOnly():
		plan.remount = append(plan.remount, m)
	}
}

// cgroups gives the node a writable hierarchy of its own, at whose root it stands.
func (p *preparer) cgroups() error {
	plan, err := readCgroupPlan()
	if err != nil {
		return err
	}
	if plan.newNamespace {
		if err := enterCgroupNamespace(); err != nil {
			p.warn("SharedCgroups", "create the container with a private cgroup namespace",
				"pods' control groups stand among the host's own: %v", err)
		}
	}
	for _, m := range plan.replace {
		if err := unix.Unmount(m.point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", m.point, err)
		}
		if err := mountCgroup(m); err != nil {
			return err
		}
	}
	for _, m := range plan.remount {
		if err := p.remount(m, "ro"); err != nil {
			return err
		}
	}
	for _, m := range plan.add {
		if err := mountCgroup(m); err != nil {
			if m.unified {
				return err
			}
			p.options.Logf("the controller %s cannot be had: %v", m.options, err)
			plan.controllers = slices.DeleteFunc(plan.controllers, func(name string) bool { return name == m.options })
			_ = os.Remove(m.point)
		}
	}
	if plan.mode == hostinfo.CgroupV2 {
		if plan.controllers, err = delegate(cgroupRoot, os.Getpid(), p.options.Machine); err != nil {
			return err
		}
	}
	for _, controller := range needed(plan.mode) {
		if !slices.Contains(plan.controllers, controller) {
			p.warn("CgroupControllerMissing", "delegate the controller to the container, or switch it on in the kernel",
				"the control group controller %s is missing, kubelet will refuse to start", controller)
		}
	}
	removeStaleGroups(plan)
	p.result.Facts.Cgroup = plan.mode
	p.result.Facts.CgroupRoot = "/"
	return nil
}

func readCgroupPlan() (cgroupPlan, error) {
	mounts, err := readMounts()
	if err != nil {
		return cgroupPlan{}, err
	}
	members, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroupPlan{}, fmt.Errorf("read this process's control groups: %w", err)
	}
	// Kernels without v1 do not have the file.
	kernel, err := os.ReadFile("/proc/cgroups")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return cgroupPlan{}, fmt.Errorf("read the kernel's controllers: %w", err)
	}
	return planCgroups(mounts, parseMembership(string(members)), parseControllers(string(kernel))), nil
}

// enterCgroupNamespace starts this program anew in a cgroup namespace of its own. It returns only if that failed: a
// namespace belongs to a thread, so a program with several threads can only change it by executing itself.
func enterCgroupNamespace() error {
	if os.Getenv(enteredVariable) != "" {
		return errors.New("the new namespace has no effect")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	if err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), enteredVariable+"=1")); err != nil {
		return fmt.Errorf("start again in the cgroup namespace: %w", err)
	}
	return nil
}

func mountCgroup(m cgroupMount) error {
	kind, flags := "cgroup", uintptr(unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
	if m.unified {
		kind = "cgroup2"
	}
	if err := os.MkdirAll(m.point, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kind, m.point, kind, flags, m.options); err != nil {
		return fmt.Errorf("mount %s with %q: %w", m.point, m.options, err)
	}
	return nil
}

// delegate empties the root of a unified hierarchy into a leaf, as a cgroup with controllers for its children may have no
// processes of its own, and hands down every controller. It returns those that were handed down, sorted. The root of a whole
// machine may have processes, which are the kernel's threads: they stay.
func delegate(root string, self int, machine bool) ([]string, error) {
	group := filepath.Join(root, leaf)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return nil, err
	}
	into := filepath.Join(group, "cgroup.procs")
	if err := os.WriteFile(into, fmt.Appendf(nil, "%d", self), 0o644); err != nil {
		return nil, fmt.Errorf("move into %s: %w", group, err)
	}
	if !machine {
		if err := moveAll(root, group); err != nil {
			return nil, err
		}
	}
	offered, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	var given []string
	for _, controller := range strings.Fields(string(offered)) {
		// One by one: a single one that cannot be had fails the whole write.
		if os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644) == nil {
			given = append(given, controller)
		}
	}
	slices.Sort(given)
	return given, nil
}

// moveAll moves the processes of one group into another.
func moveAll(from, to string) error {
	procs, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(procs)) {
		// Those of an exec that was there before; one that has ended meanwhile is no matter.
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(pid), 0o644); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("move process %s into %s: %w", pid, to, err)
		}
	}
	return nil
}

// removeStaleGroups removes the empty groups of pods that a killed run left. It is best effort: the engine normally makes
// a new group for each start.
func removeStaleGroups(plan cgroupPlan) {
	roots := []string{cgroupRoot}
	if plan.mode != hostinfo.CgroupV2 {
		roots = nil
		for _, controller := range plan.controllers {
			roots = append(roots, filepath.Join(cgroupRoot, controller))
		}
	}
	for _, root := range roots {
		for _, name := range []string{"kubepods", "k8s.io"} {
			var folders []string
			_ = filepath.WalkDir(filepath.Join(root, name), func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					folders = append(folders, path)
				}
				return nil
			})
			for _, folder := range slices.Backward(folders) {
				_ = os.Remove(folder)
			}
		}
	}
}

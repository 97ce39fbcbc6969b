package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/hostinfo"
)

const (
	// leastMemory is what a node with nothing in it needs; with enoughMemory there is room for pods.
	leastMemory, enoughMemory = 512 << 20, 1 << 30
	// leastDisk is what a node writes by itself; with enoughDisk there is room for images and volumes.
	leastDisk, enoughDisk = 1 << 30, 5 << 30
	// leastProcesses is below what a node with a few dozen pods runs, threads included.
	leastProcesses = 4096
	// triedInstances is how many inotify instances are made to see whether there are any: those of a node itself.
	triedInstances = 64
	// triedGroup is a control group that is made and removed.
	triedGroup = "sandbar-check"
)

// checkCgroups makes the control groups a node's, and a group with limits in them, as for each pod.
func checkCgroups(p *preparer, _ *contract.HostReport) finding {
	warnings, err := p.during(p.cgroups)
	if err != nil {
		return failed("%v", err)
	}
	group := func(controller string) string { return filepath.Join(cgroupRoot, controller, triedGroup) }
	if p.result.Facts.Cgroup == hostinfo.CgroupV2 {
		group = func(string) string { return filepath.Join(cgroupRoot, triedGroup) }
	}
	for _, limit := range []struct{ controller, v1, v2, value string }{
		{"memory", "memory.limit_in_bytes", "memory.max", "67108864"},
		{"pids", "pids.max", "pids.max", "100"},
	} {
		file := limit.v1
		if p.result.Facts.Cgroup == hostinfo.CgroupV2 {
			file = limit.v2
		}
		if err := tryGroup(group(limit.controller), file, limit.value); err != nil {
			return failed("pods cannot be limited: %v", err)
		}
	}
	return judge(warnings, []string{"CgroupControllerMissing"}, passed("writable, %s", p.result.Facts.Cgroup))
}

// tryGroup makes a control group with a limit, and removes it.
func tryGroup(group, limit, value string) error {
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	written := os.WriteFile(filepath.Join(group, limit), []byte(value), 0o644)
	return errors.Join(written, os.Remove(group))
}

func openFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return limit.Cur, nil
}

// processes is good unless the container may run only a few processes.
func (p *preparer) processes(good finding) finding {
	for _, path := range []string{"pids/pids.max", "pids.max"} {
		// In the root of a hierarchy there is no such file, and no limit.
		most, err := readSetting(filepath.Join(cgroupRoot, path))
		if err == nil && most < leastProcesses {
			return warned("only %d processes may run in the container", most)
		}
	}
	return good
}

// checkInotify looks at the limits of inotify, which are the whole machine's, and makes as many instances as a node does.
func checkInotify(*preparer, *contract.HostReport) finding {
	return lookAtInotify("/proc/sys", triedInstances)
}

func lookAtInotify(settings string, tried int) finding {
	var low []string
	canRaise := true
	for _, s := range sharedSettings() {
		path := filepath.Join(settings, s.path)
		value, err := readSetting(path)
		if err != nil {
			return failed("%v", err)
		}
		if value < s.value {
			low = append(low, fmt.Sprintf("%s is %d, below %d", strings.ReplaceAll(s.path, "/", "."), value, s.value))
			canRaise = canRaise && writable(path)
		}
	}
	made, err := makeInstances(tried)
	switch {
	case err != nil && !canRaise:
		return failed("only %d of %d instances can be made (%v); %s", made, tried, err, strings.Join(low, ", "))
	case err != nil && len(low) == 0:
		return failed("only %d of %d instances can be made (%v): other programs of this user have the rest", made, tried, err)
	case !canRaise:
		return warned("%s, and a node may not raise it", strings.Join(low, ", "))
	case len(low) > 0:
		return passed("%s; a node raises it", strings.Join(low, ", "))
	}
	return passed("enough instances and watches")
}

// writable says whether a file could be written, and writes nothing.
func writable(path string) bool {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_ = file.Close()
	return true
}

// makeInstances makes inotify instances, gives them back and says how many there were.
func makeInstances(count int) (int, error) {
	var made []int
	defer func() {
		for _, descriptor := range made {
			_ = unix.Close(descriptor)
		}
	}()
	for range count {
		descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return len(made), err
		}
		made = append(made, descriptor)
	}
	return len(made), nil
}

// checkDisk looks at the space of the volume.
func checkDisk(p *preparer, report *contract.HostReport) finding {
	var space unix.Statfs_t
	if err := unix.Statfs(p.layout.Data, &space); err != nil {
		return failed("the space of the volume: %v", err)
	}
	block := uint64(space.Bsize)
	report.Storage = contract.Storage{
		Path: p.layout.Data, CapacityBytes: space.Blocks * block, AvailableBytes: space.Bavail * block,
	}
	return enough(report.Storage.AvailableBytes, leastDisk, enoughDisk, "free where the engine keeps volumes")
}

// checkMemory looks at the memory that the container could have.
func checkMemory(_ *preparer, report *contract.HostReport) finding {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return failed("%v", err)
	}
	available, swap := parseMeminfo(string(meminfo))
	limit := memoryLimit(cgroupRoot)
	report.Memory.AvailableBytes = min(available, limit)
	// What is swapped out makes room: slow, and no failure.
	if room := min(available+swap, limit); room >= leastMemory && report.Memory.AvailableBytes < leastMemory {
		return warned("%s available without swapping, a node needs %s", mebibytes(report.Memory.AvailableBytes), mebibytes(leastMemory))
	}
	return enough(report.Memory.AvailableBytes, leastMemory, enoughMemory, "of memory available")
}

func enough(have, least, plenty uint64, what string) finding {
	switch {
	case have < least:
		return failed("%s %s, a node needs %s", mebibytes(have), what, mebibytes(least))
	case have < plenty:
		return warned("%s %s, which leaves little room for pods", mebibytes(have), what)
	}
	return passed("%s %s", mebibytes(have), what)
}

func mebibytes(count uint64) string { return fmt.Sprintf("%d MiB", count>>20) }

// parseMeminfo reads /proc/meminfo (proc_meminfo(5)): bytes that are available, and free swap.
func parseMeminfo(text string) (available, swap uint64) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kibibytes, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemAvailable:":
			available = kibibytes << 10
		case "SwapFree:":
			swap = kibibytes << 10
		}
	}
	return available, swap
}

// memoryLimit is the container's own in bytes, or more than there can be.
func memoryLimit(root string) uint64 {
	const none = 1 << 62
	for _, path := range []string{"memory/memory.limit_in_bytes", "memory.max"} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			continue
		}
		// "max", or the page count that v1 writes for it, is none.
		if limit, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil && limit < none {
			return limit
		}
	}
	return none
}

// Package memory tells what the node's own control group says of its memory: how much it may have, how much it has, and
// when the kernel had to end processes because there was no more. It knows both kinds of control groups: v1, also beside an
// empty unified hierarchy, and v2.
//
// Nothing here may import k8s.io: sandbar-init uses it.
package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is where control groups are mounted.
const Root = "/sys/fs/cgroup"

// unlimited is from where on a limit of v1 is none: without one, the file has the largest number of pages, in bytes.
const unlimited = 1 << 62

// Usage is what a node has of its memory.
type Usage struct {
	// LimitBytes is what the node's processes and pods may have together; 0 where there is no limit.
	LimitBytes uint64
	// UsedBytes is what they have, without what the kernel would give back at once (inactive pages of files).
	UsedBytes uint64
}

// files are where the kernel has it, below the folder of a control group.
type files struct{ limit, usage, inactive string }

// Files of the kernel's memory controller (Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
var (
	filesV1 = files{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	filesV2 = files{"memory.max", "memory.current", "inactive_file"}
)

// Read reads the usage of the group at whose root this process stands. root is normally [Root].
func Read(root string) (Usage, error) {
	group, names, err := find(root)
	if err != nil {
		return Usage{}, err
	}
	var usage Usage
	limit, err := readText(group, names.limit)
	if err != nil {
		return Usage{}, err
	}
	if limit != "max" {
		if usage.LimitBytes, err = strconv.ParseUint(limit, 10, 64); err != nil {
			return Usage{}, fmt.Errorf("memory limit: %w", err)
		}
		if usage.LimitBytes >= unlimited {
			usage.LimitBytes = 0
		}
	}
	text, err := readText(group, names.usage)
	if err != nil {
		return Usage{}, err
	}
	if usage.UsedBytes, err = strconv.ParseUint(text, 10, 64); err != nil {
		return Usage{}, fmt.Errorf("memory in use: %w", err)
	}
	statistics, err := readText(group, "memory.stat")
	if err != nil {
		return Usage{}, err
	}
	inactive, err := field(statistics, names.inactive)
	if err != nil {
		return Usage{}, err
	}
	usage.UsedBytes -= min(usage.UsedBytes, inactive)
	return usage, nil
}

// ErrNoController says that the memory controller cannot be had here.
var ErrNoController = errors.New("there is no memory controller")

// find returns the folder of the memory controller and the names of its files.
func find(root string) (string, files, error) {
	for _, place := range []struct {
		group string
		names files
	}{{filepath.Join(root, "memory"), filesV1}, {root, filesV2}} {
		_, err := os.Stat(filepath.Join(place.group, place.names.limit))
		if err == nil {
			return place.group, place.names, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", files{}, err
		}
	}
	return "", files{}, fmt.Errorf("%s: %w", root, ErrNoController)
}

func readText(group, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(group, name))
	return strings.TrimSpace(string(data)), err
}

// field is a number in a file with lines of a name and a number.
func field(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), " "); found && key == name {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no %s", name)
}

package host

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	// root is what of the file system is mounted, point where.
	root, point string
	// options are this mount's own, superOptions the file system's.
	options, superOptions []string
	fsType                string
}

func (m mount) readOnly() bool { return slices.Contains(m.options, "ro") }

// flags are its options for a remount, but for some.
func (m mount) flags(without ...string) uintptr {
	var flags uintptr
	for option, flag := range map[string]uintptr{
		"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"noatime": unix.MS_NOATIME, "relatime": unix.MS_RELATIME, "nodiratime": unix.MS_NODIRATIME,
	} {
		if !slices.Contains(without, option) && slices.Contains(m.options, option) {
			flags |= flag
		}
	}
	return flags
}

// parseMountinfo reads /proc/self/mountinfo. Lines that it does not understand are left out.
func parseMountinfo(text string) []mount {
	var mounts []mount
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !found || len(head) < 6 || len(tail) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			root:         unescape(head[3]),
			point:        unescape(head[4]),
			options:      strings.Split(head[5], ","),
			fsType:       tail[0],
			superOptions: strings.Split(tail[2], ","),
		})
	}
	return mounts
}

// unescape undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// readMounts returns what is mounted now.
func readMounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return parseMountinfo(string(data)), nil
}

// topmost is the mount that is seen at point: the last one there.
func topmost(mounts []mount, point string) (mount, bool) {
	for _, m := range slices.Backward(mounts) {
		if m.point == point {
			return m, true
		}
	}
	return mount{}, false
}

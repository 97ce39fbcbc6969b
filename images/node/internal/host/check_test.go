package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
)

// own are the namespaces of a container beside those of [inNamespaces].
const own = syscall.CLONE_NEWCGROUP | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// checkRoles are the parts that look at a machine with a fault.
func checkRoles() map[string]func(*preparer) (map[string]string, error) {
	return map[string]func(*preparer) (map[string]string, error){
		"check": func(p *preparer) (map[string]string, error) { return playCheck(p, nil) },
		"check without NET_ADMIN": func(p *preparer) (map[string]string, error) {
			return playCheck(p, withoutCapability(unix.CAP_NET_ADMIN))
		},
		"check without SYS_ADMIN": func(p *preparer) (map[string]string, error) {
			return playCheck(p, withoutCapability(unix.CAP_SYS_ADMIN))
		},
		"check read-only groups": func(p *preparer) (map[string]string, error) { return playCheck(p, readOnlyGroups) },
		"check few files":        func(p *preparer) (map[string]string, error) { return playCheck(p, fewFiles) },
		"check small volume": func(p *preparer) (map[string]string, error) {
			return playCheck(p, func() error { return smallVolume(p) })
		},
		"check volume on an overlay": func(p *preparer) (map[string]string, error) {
			return playCheck(p, func() error { return volumeOnOverlay(p) })
		},
		"inotify used up": playInotifyUsedUp,
		"inotify low":     playInotifyLow,
	}
}

// playCheck looks at a machine such as a container is, once it has a fault.
func playCheck(p *preparer, fault func() error) (map[string]string, error) {
	if err := errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, ""),
		unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""),
		os.MkdirAll(p.layout.Data, 0o755),
		unix.Mount("tmpfs", p.layout.Data, "tmpfs", 0, "size=8g"),
		smallDev(),
	); err != nil {
		return nil, err
	}
	if fault != nil {
		if err := fault(); err != nil {
			return nil, err
		}
	}
	report := Check(p.layout, Try{"nothing", func() error { return nil }, "fine", ""},
		Try{"something", func() error { return errors.New("no\n  luck") }, "", "it fails"})
	whole, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	values := map[string]string{"report": string(whole)}
	for _, check := range report.Checks {
		values[check.Code] = string(check.Result) + ": " + check.Message
	}
	return values, nil
}

// fewFiles takes away the right to raise limits, and all but a few open files.
func fewFiles() error {
	limit := unix.Rlimit{Cur: 256, Max: 512}
	return errors.Join(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit), withoutCapability(unix.CAP_SYS_RESOURCE)())
}

// readOnlyGroups makes control groups read-only for one who may not change that.
func readOnlyGroups() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.point == cgroupRoot || strings.HasPrefix(m.point, cgroupRoot+"/") {
			if err := unix.Mount("", m.point, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				return err
			}
		}
	}
	return withoutCapability(unix.CAP_SYS_ADMIN)()
}

func smallVolume(p *preparer) error {
	return unix.Mount("tmpfs", p.layout.Data, "tmpfs", 0, "size=1m")
}

// volumeOnOverlay makes the volume an overlay, on which the kernel stacks no other.
func volumeOnOverlay(p *preparer) error {
	base := filepath.Join("/tmp", "base")
	for _, name := range []string{"lower", "upper", "work"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=" + base + "/lower,upperdir=" + base + "/upper,workdir=" + base + "/work"
	return unix.Mount("overlay", p.layout.Data, "overlay", 0, options)
}

func TestCheck(t *testing.T) {
	for role, want := range map[string]map[string]string{
		"check": {
			"mounts": "passed: shared and writable", "sysctls": "passed: ", "overlay": "passed: ", "disk": "passed: 8192 MiB free",
			"capabilities": "passed: all that a node needs", "nothing": "passed: fine", "something": "failed: it fails: no luck",
		},
		"check without NET_ADMIN": {"capabilities": "failed: CAP_NET_ADMIN is missing: pods have no network", "mounts": "passed: "},
		"check without SYS_ADMIN": {
			"capabilities": "failed: CAP_SYS_ADMIN is missing: nothing can be mounted",
			"mounts":       "failed: make / shared (this needs CAP_SYS_ADMIN",
			"overlay":      "warning: no overlay can be mounted on the volume (operation not permitted)",
		},
		"check read-only groups":     {"cgroups": "failed: …operation not permitted"},
		"check few files":            {"limits": "failed: only 512 files may be open in a process"},
		"check small volume":         {"disk": "failed: 1 MiB free where the engine keeps volumes, a node needs 1024 MiB"},
		"check volume on an overlay": {"overlay": "warning: no overlay can be mounted on the volume ("},
	} {
		t.Run(role, func(t *testing.T) {
			got := inNamespaces(t, role, own)
			for code, text := range want {
				begin, end, _ := strings.Cut(text, "…")
				if found := got.Values[code]; !strings.HasPrefix(found, begin) || !strings.HasSuffix(found, end) {
					t.Errorf("%s: %q, want %q", code, found, text)
				}
			}
		})
	}
}

// playInotifyUsedUp looks at inotify where this user may make four instances.
func playInotifyUsedUp(*preparer) (map[string]string, error) {
	if err := os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("4"), 0o600); err != nil {
		return nil, skip(err.Error())
	}
	return inotifyValues("/proc/sys"), nil
}

// playInotifyLow looks at limits that are low and may not be raised.
func playInotifyLow(*preparer) (map[string]string, error) {
	const root = "/tmp"
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, ""); err != nil {
		return nil, err
	}
	folder := filepath.Join(root, "fs/inotify")
	if err := errors.Join(
		os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "max_user_instances"), []byte("128\n"), 0o600),
		os.WriteFile(filepath.Join(folder, "max_user_watches"), []byte("65536\n"), 0o600),
	); err != nil {
		return nil, err
	}
	values := map[string]string{"raised": inotifyValues(root)["inotify"]}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return nil, err
	}
	values["inotify"] = inotifyValues(root)["inotify"]
	return values, nil
}

func inotifyValues(root string) map[string]string {
	found := lookAtInotify(root, triedInstances)
	return map[string]string{"inotify": string(found.result) + ": " + found.message}
}

func TestInotifyThatIsUsedUp(t *testing.T) {
	got := inNamespaces(t, "inotify used up", syscall.CLONE_NEWUSER)
	if !strings.HasPrefix(got.Values["inotify"], "failed: only 4 of 64 instances can be made (too many open files)") {
		t.Errorf("%v", got.Values)
	}
}

func TestLowLimitsOfInotify(t *testing.T) {
	got := inNamespaces(t, "inotify low", 0)
	const low = "fs.inotify.max_user_instances is 128, below 512"
	if got.Values["raised"] != "passed: "+low+"; a node raises it" || got.Values["inotify"] != "warning: "+low+", and a node may not raise it" {
		t.Errorf("%v", got.Values)
	}
}

func TestMemoryIsWhatTheContainerCouldHave(t *testing.T) {
	const text = "MemTotal:       24000000 kB\nMemAvailable:    1048576 kB\nSwapFree:              0 kB\n"
	if available, swap := parseMeminfo(text); available != 1<<30 || swap != 0 {
		t.Errorf("available %d, swap %d", available, swap)
	}
	root := t.TempDir()
	if limit := memoryLimit(root); limit != 1<<62 {
		t.Errorf("no limit is %d", limit)
	}
	for content, want := range map[string]uint64{"max\n": 1 << 62, "9223372036854771712\n": 1 << 62, "536870912\n": 512 << 20} {
		if err := os.WriteFile(filepath.Join(root, "memory.max"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if limit := memoryLimit(root); limit != want {
			t.Errorf("%q is %d, want %d", content, limit, want)
		}
	}
	for have, want := range map[uint64]contract.Result{
		511 << 20: contract.ResultFailed, 512 << 20: contract.ResultWarning, 1 << 30: contract.ResultPassed,
	} {
		if got := enough(have, leastMemory, enoughMemory, "x"); got.result != want {
			t.Errorf("%d: %+v", have, got)
		}
	}
}

func TestTheReportFitsTheContract(t *testing.T) {
	got := inNamespaces(t, "check", own)
	contracttest.Validate(t, "host.schema.json", []byte(got.Values["report"]))
	if len(got.Values) != 12 {
		t.Errorf("checks: %v", got.Values)
	}
}

package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

const (
	// roleVariable makes the test binary play a part in namespaces of its own instead of testing.
	roleVariable = "HOST_TEST_ROLE"
	// folderVariable is a folder that it may use; groupVariable names a control group of the test's own.
	folderVariable, groupVariable = "HOST_TEST_FOLDER", "HOST_TEST_GROUP"
	// reportFile is the descriptor on which it reports.
	reportFile = 3
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	// Capabilities and some namespaces are a thread's own.
	runtime.LockOSThread()
	if err := play(role, os.Getenv(folderVariable)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// seen is what a part reports.
type seen struct {
	Facts    hostinfo.Facts
	Warnings []initapi.Warning
	// Values are whatever the part looked at.
	Values map[string]string
}

func (s seen) warning(code string) string {
	for _, warning := range s.Warnings {
		if warning.Code == code {
			return warning.Message
		}
	}
	return ""
}

// inNamespaces plays a part as the first process of new namespaces of mounts and processes, and further ones.
func inNamespaces(t *testing.T, role string, further uintptr) seen {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = report.Close() }()
	var output strings.Builder
	command := exec.Command(program)
	command.Env = append(os.Environ(), roleVariable+"="+role, folderVariable+"="+t.TempDir())
	command.Stdout, command.Stderr = &output, &output
	command.ExtraFiles = []*os.File{write}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | further}
	if further&syscall.CLONE_NEWUSER != 0 {
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
		command.SysProcAttr.UidMappings, command.SysProcAttr.GidMappings = root, root
	}
	err = command.Start()
	_ = write.Close() // the part's own end is another descriptor
	if errors.Is(err, syscall.EPERM) {
		t.Skip("namespaces cannot be made here")
	}
	if err != nil {
		t.Fatal(err)
	}
	var result seen
	malformed := json.NewDecoder(report).Decode(&result)
	err = command.Wait()
	if reason, skipped := strings.CutPrefix(output.String(), "skip: "); skipped {
		t.Skip(reason)
	}
	if err != nil || malformed != nil {
		t.Fatalf("%v, %v: %s", err, malformed, &output)
	}
	t.Logf("%s", &output)
	return result
}

// play does what is tested on a machine of which nothing reaches the real one, and reports.
func play(role, folder string) error {
	act, known := map[string]func(*preparer) (map[string]string, error){
		"kmsg missing":         func(p *preparer) (map[string]string, error) { return lookAtKmsg(p, func() error { return nil }) },
		"kmsg not to be made":  func(p *preparer) (map[string]string, error) { return lookAtKmsg(p, withoutCapability(unix.CAP_MKNOD)) },
		"kmsg not to be read":  func(p *preparer) (map[string]string, error) { return lookAtKmsg(p, unreadableKmsg) },
		"null":                 playNull,
		"mounts":               playMounts,
		"v1":                   func(p *preparer) (map[string]string, error) { return playControlGroups(p, false) },
		"hybrid":               func(p *preparer) (map[string]string, error) { return playControlGroups(p, true) },
		"unified hierarchy":    playUnified,
		"remove unified group": playRemoveUnified,
		"no CAP_SYS_RESOURCE":  func(p *preparer) (map[string]string, error) { return lookAtLimits(p, 8192) },
		"few files":            func(p *preparer) (map[string]string, error) { return lookAtLimits(p, 512) },
		"everything":           playEverything,
	}[role]
	if !known {
		act, known = checkRoles()[role]
	}
	if !known {
		return errors.New("unknown role")
	}
	if os.Getenv(enteredVariable) == "" {
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	p := &preparer{options: Options{Logf: func(format string, arguments ...any) { fmt.Printf(format+"\n", arguments...) }}}
	p.layout = paths.In(filepath.Join(folder, "root"))
	values, err := act(p)
	if err != nil {
		return err
	}
	report := seen{Facts: p.result.Facts, Warnings: p.result.Warnings, Values: values}
	return json.NewEncoder(os.NewFile(reportFile, "report")).Encode(report)
}

// smallDev mounts a /dev with nothing but null.
func smallDev() error {
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", 0, ""); err != nil {
		return err
	}
	return unix.Mknod("/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
}

func lookAtKmsg(p *preparer, change func() error) (map[string]string, error) {
	if err := errors.Join(smallDev(), change()); err != nil {
		return nil, err
	}
	p.devices()
	info, err := os.Stat(kmsg) // follows a link
	if err != nil {
		return nil, err
	}
	number := info.Sys().(*syscall.Stat_t).Rdev
	return map[string]string{
		"device":   fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)),
		"readable": fmt.Sprint(readable(kmsg)),
	}, nil
}

// unreadableKmsg puts the right device where devices do not work.
func unreadableKmsg() error {
	if err := os.Mkdir("/dev/nodev", 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/dev/nodev", "tmpfs", unix.MS_NODEV, ""); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/nodev/kmsg", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 11))); err != nil {
		return err
	}
	if err := os.WriteFile(kmsg, nil, 0o600); err != nil {
		return err
	}
	return unix.Mount("/dev/nodev/kmsg", kmsg, "", unix.MS_BIND, "")
}

// withoutCapability takes one capability off this thread.
func withoutCapability(number uint) func() error {
	return func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		data[number/32].Effective &^= 1 << (number % 32)
		data[number/32].Permitted &^= 1 << (number % 32)
		return unix.Capset(&header, &data[0])
	}
}

func TestKmsg(t *testing.T) {
	const itself, nothing = "1:11", "1:3"
	for role, test := range map[string]struct{ device, warning string }{
		"kmsg missing":        {itself, ""},
		"kmsg not to be made": {nothing, "operation not permitted"},
		"kmsg not to be read": {nothing, "open /dev/kmsg: permission denied"},
	} {
		t.Run(role, func(t *testing.T) {
			got := inNamespaces(t, role, 0)
			if test.device == itself && got.warning("KernelLogHidden") != "" {
				// Not a fault: this machine's engine or kernel keeps its log from everybody.
				t.Skipf("the kernel's log is not to be had here: %s", got.warning("KernelLogHidden"))
			}
			if got.Values["device"] != test.device || got.Values["readable"] != "<nil>" {
				t.Errorf("/dev/kmsg is %v", got.Values)
			}
			switch warning := got.warning("KernelLogHidden"); {
			case test.warning == "" && len(got.Warnings) > 0:
				t.Errorf("warnings %v", got.Warnings)
			case test.warning != "" && !strings.HasSuffix(warning, ": "+test.warning):
				t.Errorf("warning %q, want one that ends with %q", warning, test.warning)
			}
		})
	}
}

// playNull protects /dev/null twice, as a start after a start would, and tries what may be done to it.
func playNull(p *preparer) (map[string]string, error) {
	if err := smallDev(); err != nil {
		return nil, err
	}
	// A container of another engine may have it like that.
	if err := unix.Mount("", "/dev", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return nil, err
	}
	p.protectNull()
	p.protectNull()
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	count := 0
	for _, m := range mounts {
		if m.point == null {
			count++
		}
	}
	m, _ := topmost(mounts, null)
	// As a shell opens it for its output.
	file, opened := os.OpenFile(null, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if opened == nil {
		_, opened = file.WriteString("nothing")
		opened = errors.Join(opened, file.Close())
	}
	return map[string]string{
		"mounts": fmt.Sprint(count), "options": strings.Join(m.options, ","), "written": fmt.Sprint(opened),
		"owner": fmt.Sprint(unix.Chown(null, 1000, 1000)), "mode": fmt.Sprint(unix.Chmod(null, 0)),
	}, nil
}

func TestNullIsProtected(t *testing.T) {
	got := inNamespaces(t, "null", 0)
	if len(got.Warnings) > 0 {
		t.Errorf("warnings %v", got.Warnings)
	}
	want := map[string]string{
		"mounts": "1", "options": "ro,nosuid,noexec,relatime", "written": "<nil>",
		"owner": "read-only file system", "mode": "read-only file system",
	}
	if !maps.Equal(got.Values, want) {
		t.Errorf("%v, want %v", got.Values, want)
	}
}

// playMounts shares the mounts of a machine with some that an engine has made read-only.
func playMounts(p *preparer) (map[string]string, error) {
	if err := errors.Join(
		unix.Mount("/sys", "/sys", "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("", "/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""),
		unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	); err != nil {
		return nil, err
	}
	if err := p.shareMounts(); err != nil {
		return nil, err
	}
	return describeMounts()
}

// describeMounts are the options and the propagation of what is mounted, by the mount point.
func describeMounts() (map[string]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		before, _, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		// Fields from the seventh on are the propagation; without one it is private. A later mount hides an earlier one.
		values[fields[4]] = strings.Join(append([]string{"options=" + fields[5]}, fields[6:]...), " ")
	}
	return values, nil
}

func TestMountsAreSharedAndWritable(t *testing.T) {
	got := inNamespaces(t, "mounts", 0)
	for point, text := range got.Values {
		if !strings.Contains(text, "shared:") {
			t.Errorf("%s does not propagate: %s", point, text)
		}
	}
	for _, point := range []string{"/sys", "/proc/sys"} {
		if text := got.Values[point]; !strings.HasPrefix(text, "options=rw") {
			t.Errorf("%s: %s", point, text)
		}
	}
	if len(got.Warnings) > 0 {
		t.Errorf("warnings %v", got.Warnings)
	}
}

// playControlGroups mounts this machine's v1 hierarchies as an engine does for a container without privileges, with the
// unified one beside them for a hybrid.
func playControlGroups(p *preparer, unified bool) (map[string]string, error) {
	members, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(noControlGroups(), unix.Mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755")); err != nil {
		return nil, err
	}
	var points []string
	for _, m := range parseMembership(string(members)) {
		if len(m.controllers) == 0 {
			continue
		}
		options := strings.Join(m.controllers, ",")
		point := filepath.Join(cgroupRoot, strings.TrimPrefix(options, "name="))
		if err := mountCgroup(cgroupMount{point: point, options: options}); err != nil {
			return nil, err
		}
		points = append(points, point)
	}
	if len(points) == 0 {
		return nil, skip("this machine has no v1 hierarchies")
	}
	if unified {
		point := filepath.Join(cgroupRoot, "unified")
		if err := mountCgroup(cgroupMount{point: point, unified: true}); err != nil {
			return nil, skip(err.Error())
		}
		points = append(points, point)
	}
	for _, point := range append(points, cgroupRoot) {
		if err := unix.Mount("", point, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return nil, err
		}
	}
	if err := p.cgroups(); err != nil {
		return nil, err
	}
	return describeMounts()
}

// noControlGroups takes away what this machine has mounted.
func noControlGroups() error {
	for {
		switch err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); {
		case errors.Is(err, unix.EINVAL): // nothing is mounted there any more
			return nil
		case err != nil:
			return err
		}
	}
}

// skip makes the test that plays the part a skipped one.
func skip(reason string) error {
	fmt.Printf("skip: %s\n", reason)
	return errors.New(reason)
}

func TestReadOnlyControlGroups(t *testing.T) {
	for _, mode := range []hostinfo.CgroupMode{hostinfo.CgroupV1, hostinfo.CgroupHybrid} {
		t.Run(string(mode), func(t *testing.T) {
			got := inNamespaces(t, string(mode), syscall.CLONE_NEWCGROUP)
			if got.Facts.Cgroup != mode || got.Facts.CgroupRoot != "/" {
				t.Errorf("facts %+v", got.Facts)
			}
			hierarchies := 0
			for point, text := range got.Values {
				if point == cgroupRoot || strings.HasPrefix(point, cgroupRoot+"/") {
					hierarchies++
					if !strings.HasPrefix(text, "options=rw") {
						t.Errorf("%s: %s", point, text)
					}
				}
			}
			if hierarchies < 2 {
				t.Errorf("mounts: %v", got.Values)
			}
			// A kernel may lack some; then that is what is said.
			for _, warning := range got.Warnings {
				if warning.Code != "CgroupControllerMissing" {
					t.Errorf("warning %+v", warning)
				}
			}
		})
	}
}

// mountUnified mounts the machine's unified hierarchy alone.
func mountUnified() error {
	if err := noControlGroups(); err != nil {
		return err
	}
	err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", 0, "")
	if err != nil {
		return skip(fmt.Sprintf("a unified hierarchy cannot be mounted: %v", err))
	}
	return nil
}

// playUnified shows the process the machine's own unified hierarchy with itself somewhere in it. Its second life is in a
// cgroup namespace of its own.
func playUnified(p *preparer) (map[string]string, error) {
	if os.Getenv(enteredVariable) == "" {
		// This /proc has its own numbers, which control groups use too.
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return nil, err
		}
		if err := mountUnified(); err != nil {
			return nil, err
		}
		// All that it does happens below a group of its own.
		group := filepath.Join(cgroupRoot, os.Getenv(groupVariable))
		if err := os.Mkdir(group, 0o755); err != nil {
			return nil, skip(fmt.Sprintf("no control group can be made: %v", err))
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return nil, err
		}
	}
	if err := p.cgroups(); err != nil {
		return nil, err
	}
	values := map[string]string{"second life": os.Getenv(enteredVariable)}
	for name, path := range map[string]string{
		"membership": "/proc/self/cgroup", "processes in the root": filepath.Join(cgroupRoot, "cgroup.procs"),
		"offered": filepath.Join(cgroupRoot, "cgroup.controllers"), "handed down": filepath.Join(cgroupRoot, "cgroup.subtree_control"),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		values[name] = strings.TrimSpace(string(data))
	}
	return values, os.Mkdir(filepath.Join(cgroupRoot, "kubepods"), 0o755)
}

// playRemoveUnified removes what playUnified has left, which it cannot itself.
func playRemoveUnified(*preparer) (map[string]string, error) {
	if err := mountUnified(); err != nil {
		return nil, err
	}
	for _, below := range []string{"kubepods", leaf, ""} {
		path := filepath.Join(cgroupRoot, os.Getenv(groupVariable), below)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// TestASharedUnifiedHierarchy begins where an engine leaves a container in the host's own cgroup namespace, on v2: in some
// group of the host's hierarchy.
func TestASharedUnifiedHierarchy(t *testing.T) {
	t.Setenv(groupVariable, fmt.Sprintf("sandbar-test-%d", os.Getpid()))
	defer func() {
		if !t.Skipped() {
			inNamespaces(t, "remove unified group", 0)
		}
	}()
	got := inNamespaces(t, "unified hierarchy", 0)
	if got.Facts.Cgroup != hostinfo.CgroupV2 || got.Facts.CgroupRoot != "/" || got.Values["second life"] != "1" {
		t.Errorf("facts %+v, %v", got.Facts, got.Values)
	}
	if !strings.HasSuffix("\n"+got.Values["membership"], "\n0::/"+leaf) || got.Values["processes in the root"] != "" {
		t.Errorf("the processes are in the wrong group: %v", got.Values)
	}
	offered, given := strings.Fields(got.Values["offered"]), strings.Fields(got.Values["handed down"])
	slices.Sort(offered)
	slices.Sort(given)
	if !slices.Equal(offered, given) {
		t.Errorf("of the controllers %v only %v were handed down", offered, given)
	}
	for _, controller := range needed(hostinfo.CgroupV2) {
		missing := slices.ContainsFunc(got.Warnings, func(w initapi.Warning) bool {
			return w.Code == "CgroupControllerMissing" && strings.Contains(w.Message, " "+controller+" ")
		})
		if missing == slices.Contains(given, controller) {
			t.Errorf("the controller %s: given %v, warnings %v", controller, given, got.Warnings)
		}
	}
}

// lookAtLimits is what is found without CAP_SYS_RESOURCE and with this hard limit of open files.
func lookAtLimits(p *preparer, files uint64) (map[string]string, error) {
	limit := unix.Rlimit{Cur: 256, Max: files}
	if err := errors.Join(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit), withoutCapability(unix.CAP_SYS_RESOURCE)()); err != nil {
		return nil, err
	}
	if err := p.privileges(); err != nil {
		return nil, err
	}
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return map[string]string{"files": fmt.Sprintf("%d/%d", limit.Cur, limit.Max)}, err
}

func TestWithoutTheRightToRaiseLimits(t *testing.T) {
	for role, test := range map[string]struct{ files, warning string }{
		"no CAP_SYS_RESOURCE": {"8192/8192", ""},
		"few files":           {"512/512", "only 512 files may be open in a process"},
	} {
		t.Run(role, func(t *testing.T) {
			got := inNamespaces(t, role, 0)
			if got.Facts.CanLowerOOMScore {
				t.Error("it believes that it may lower oom_score_adj")
			}
			if got.Values["files"] != test.files || got.warning("FileLimit") != test.warning {
				t.Errorf("limits %v, warnings %v", got.Values, got.Warnings)
			}
		})
	}
}

// playEverything prepares a machine that looks like a container without privileges to its first process.
func playEverything(p *preparer) (map[string]string, error) {
	if err := errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		// What is written to /etc is not this machine's business.
		unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""),
		os.WriteFile("/etc/resolv.conf", []byte("nameserver 127.0.0.11\nnameserver 192.0.2.53\n"), 0o600),
		os.WriteFile("/etc/machine-id", []byte("the engine's\n"), 0o600),
		smallDev(),
	); err != nil {
		return nil, err
	}
	values := map[string]string{}
	result, err := Prepare(Options{Layout: p.layout, Logf: p.options.Logf})
	if err != nil {
		return nil, err
	}
	p.result = *result
	for name, path := range map[string]string{
		"machine": "/etc/machine-id", "kept": filepath.Join(p.layout.Data, "machine-id"), "resolvers": result.Facts.ResolvConf,
		"forwarding": "/proc/sys/net/ipv4/ip_forward", "overcommit": "/proc/sys/vm/overcommit_memory", "panic": "/proc/sys/kernel/panic",
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		values[name] = strings.TrimSpace(string(data))
	}
	written, err := hostinfo.Read(p.layout.HostInfo())
	if err != nil {
		return nil, err
	}
	values["facts are written"] = fmt.Sprint(fmt.Sprint(*written) == fmt.Sprint(result.Facts))
	return values, nil
}

func TestPrepare(t *testing.T) {
	before, err := os.ReadFile("/proc/sys/kernel/panic")
	if err != nil {
		t.Fatal(err)
	}
	got := inNamespaces(t, "everything", syscall.CLONE_NEWCGROUP|syscall.CLONE_NEWNET|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC)
	for name, want := range map[string]string{
		"machine": got.Values["kept"], "resolvers": "nameserver 192.0.2.53", "forwarding": "1", "overcommit": "1", "panic": "10",
		"facts are written": "true",
	} {
		if got.Values[name] != want {
			t.Errorf("%s: %q, want %q", name, got.Values[name], want)
		}
	}
	if !validMachineID(got.Values["machine"]) || !got.Facts.Container || !slices.Equal(got.Facts.Upstreams, []string{"127.0.0.11", "192.0.2.53"}) {
		t.Errorf("machine %q, facts %+v", got.Values["machine"], got.Facts)
	}
	// What kubelet wants to read of the whole machine it is shown, no more.
	after, err := os.ReadFile("/proc/sys/kernel/panic")
	if err != nil || string(after) != string(before) {
		t.Errorf("kernel.panic of this machine is %s now, it was %s; %v", after, before, err)
	}
}

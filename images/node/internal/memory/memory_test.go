package memory

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUsage(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  Usage
	}{
		"v1": {
			map[string]string{
				"memory/memory.limit_in_bytes": "1073741824\n", "memory/memory.usage_in_bytes": "500\n",
				"memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
			},
			Usage{LimitBytes: 1 << 30, UsedBytes: 400},
		},
		"v1 without a limit": {
			map[string]string{
				"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "500\n",
				"memory/memory.stat": "total_inactive_file 0\n",
			},
			Usage{UsedBytes: 500},
		},
		"v2": {
			map[string]string{
				"memory.max": "1073741824\n", "memory.current": "500\n", "memory.stat": "anon 3\ninactive_file 600\n",
			},
			Usage{LimitBytes: 1 << 30},
		},
		"v2 without a limit": {
			map[string]string{"memory.max": "max\n", "memory.current": "500\n", "memory.stat": "inactive_file 1\n"},
			Usage{UsedBytes: 499},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, test.files)
			if got, err := Read(root); err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, ErrNoController) {
		t.Errorf("without a controller: %v", err)
	}
	damaged := t.TempDir()
	write(t, damaged, map[string]string{"memory.max": "max", "memory.current": "1", "memory.stat": "anon 1"})
	if _, err := Read(damaged); err == nil || err.Error() != "there is no inactive_file" {
		t.Errorf("without a statistic: %v", err)
	}
}

// The unified hierarchy's count, in a file that changes as the kernel's does.
func TestExhaustionIsCountedInV2(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"memory.max": "max\n", "memory.events.local": "low 0\noom 2\noom_kill 2\n"})
	times, ended := make(chan uint64), make(chan error, 1)
	go func() { ended <- FollowExhaustion(root, func(n uint64) { times <- n }) }()
	if got := await(t, times, ended); got != 2 {
		t.Errorf("what was before counts %d", got)
	}
	// In place, since the kernel's file is never half.
	file, err := os.OpenFile(filepath.Join(root, "memory.events.local"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString("low 0\noom 3\n"); err != nil {
		t.Fatal(err)
	}
	if got := await(t, times, ended); got != 1 {
		t.Errorf("one more counts %d", got)
	}
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.HasSuffix(err.Error(), "there is no oom") {
		t.Errorf("a damaged file: %v", err)
	}
}

func await(t *testing.T, times <-chan uint64, ended <-chan error) uint64 {
	t.Helper()
	select {
	case n := <-times:
		return n
	case err := <-ended:
		t.Fatalf("nobody follows any more: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	return 0
}

// A control group of this machine's own kernel with a limit, which a process in it exceeds.
func TestExhaustionIsToldByTheKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser may make control groups")
	}
	const limit = 16 << 20
	group, names := ownGroup(t)
	if err := os.WriteFile(filepath.Join(group, names.limit), []byte(strconv.Itoa(limit)), 0o644); err != nil {
		t.Fatal(err)
	}
	// Swap would only put it off; a group without it needs no limit.
	_ = os.WriteFile(filepath.Join(group, "memory.swappiness"), []byte("0"), 0o644)
	_ = os.WriteFile(filepath.Join(group, "memory.swap.max"), []byte("0"), 0o644)
	root := group
	if names == filesV1 {
		root = t.TempDir()
		if err := os.Symlink(group, filepath.Join(root, "memory")); err != nil {
			t.Fatal(err)
		}
	}
	times, ended := make(chan uint64), make(chan error, 1)
	go func() { ended <- FollowExhaustion(root, func(n uint64) { times <- n }) }()
	// The first one may be over before anybody follows.
	told := uint64(0)
	for attempt := 0; told == 0 && attempt < 10; attempt++ {
		// It moves into the group, and then doubles a variable until it is ended.
		const script = `echo $$ >"$0/cgroup.procs" && x=12345678; while [ ${#x} -lt 1000000000 ]; do x=$x$x; done`
		if err := exec.Command("/bin/sh", "-c", script, group).Run(); err == nil {
			t.Fatal("nothing was ended")
		}
		select {
		case told = <-times:
		case err := <-ended:
			t.Fatalf("nobody follows any more: %v", err)
		case <-time.After(time.Second):
		}
	}
	if told == 0 {
		t.Error("told of nothing")
	}
	if usage, err := Read(root); err != nil || usage.LimitBytes != limit {
		t.Errorf("the kernel's own files: %+v, %v", usage, err)
	}
}

// ownGroup makes a control group that goes with the test, or skips it with the reason.
func ownGroup(t *testing.T) (string, files) {
	t.Helper()
	root, names, err := find(Root)
	if errors.Is(err, ErrNoController) {
		// The root of the unified hierarchy has no such files; its children do.
		root, names = Root, filesV2
	} else if err != nil {
		t.Fatal(err)
	}
	group, err := os.MkdirTemp(root, "sandbar-memory-test-")
	if err != nil {
		t.Skipf("no control group can be made: %v", err)
	}
	t.Cleanup(func() {
		// Processes leave it a moment after they were waited for.
		var err error
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if err = os.Remove(group); err == nil {
				return
			}
		}
		t.Error(err)
	})
	if _, err := os.Stat(filepath.Join(group, names.limit)); err != nil {
		t.Skipf("the memory controller is not delegated: %v", err)
	}
	return group, names
}

package netcheck_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/netcheck"
)

// dropVariable makes the test binary try both without CAP_NET_ADMIN.
const dropVariable = "NETCHECK_TEST_DROP"

func TestMain(m *testing.M) {
	switch os.Getenv(dropVariable) {
	case "":
		os.Exit(m.Run())
	case "drop":
		// What is not in the bounding set is not in a new program's sets either.
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_ADMIN, 0, 0, 0); err != nil {
			panic(err)
		}
		if err := os.Setenv(dropVariable, "dropped"); err != nil {
			panic(err)
		}
		panic(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	default:
		for _, err := range []error{netcheck.Veth(), netcheck.Nftables()} {
			if err == nil {
				os.Stdout.WriteString("it worked\n")
			} else {
				os.Stdout.WriteString(err.Error() + "\n")
			}
		}
	}
}

func TestWhatPodsAndServicesNeedWorks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := netcheck.Veth(); err != nil {
		t.Error(err)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	if err := netcheck.Nftables(); err != nil {
		t.Error(err)
	}
	if after, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || after != before {
		t.Errorf("this thread is in %s now, it was in %s; %v", after, before, err)
	}
}

func TestWithoutTheRightToChangeNetworks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "/proc/self/exe")
	command.Env = append(os.Environ(), dropVariable+"=drop")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if len(lines) != 2 || lines[0] != "make a pair of interfaces: operation not permitted" || !strings.HasPrefix(lines[1], "load rules: ") {
		t.Errorf("%q", lines)
	}
}

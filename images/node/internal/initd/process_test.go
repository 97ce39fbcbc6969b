package initd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbar.dev/node/internal/initapi"
)

// roleVariable makes the test binary play a part instead of testing: the first process of a namespace, or a child.
const roleVariable = "INITD_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Getenv("INITD_TEST_FOLDER")); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role, folder string) error {
	ended := make(chan os.Signal, 1)
	switch role {
	case "first":
		return playFirst(folder)
	case "containerd":
		signal.Notify(ended, syscall.SIGTERM)
		// A shim: it outlives containerd and takes no notice of SIGTERM.
		shim := exec.Command(os.Getenv("INITD_TEST_PROGRAM"))
		shim.Env = append(os.Environ(), roleVariable+"=shim")
		shim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := shim.Start(); err != nil {
			return err
		}
		listener, err := net.Listen("unix", filepath.Join(folder, "containerd.sock"))
		if err != nil {
			return err
		}
		defer func() { _ = listener.Close() }()
		<-ended
	case "shim":
		signal.Ignore(syscall.SIGTERM)
		name := filepath.Join(folder, fmt.Sprintf("shim-%d", os.Getpid()))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		select {}
	case "haproxy":
		signal.Notify(ended, syscall.SIGTERM)
		connection, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err != nil {
			return err
		}
		if _, err := connection.Write([]byte("STATUS=almost\nREADY=1\n")); err != nil {
			return err
		}
		// Descriptor 3 is the listener that outlives this process.
		if _, err := net.FileListener(os.NewFile(3, "listener")); err != nil {
			return err
		}
		<-ended
	case "node":
		signal.Notify(ended, syscall.SIGTERM)
		if _, err := os.Stat(filepath.Join(folder, "refuse")); err == nil {
			fmt.Println("the configuration is wrong")
			os.Exit(initapi.ExitBadConfiguration)
		}
		fmt.Println("node speaks")
		number, err := strconv.Atoi(os.Getenv(initapi.ReadyFDVariable))
		if err != nil {
			return err
		}
		if _, err := os.NewFile(uintptr(number), "ready").Write([]byte{1}); err != nil {
			return err
		}
		<-ended
		grace, err := initapi.ReadStopGrace(folder)
		if err != nil {
			return err
		}
		fmt.Println("node has", grace)
	case "held":
		return playHeld()
	case "orphans":
		// Each is left to the first process, which has to collect it.
		for range 200 {
			if err := exec.Command("/bin/sh", "-c", "(exit 3) & exit 0").Run(); err != nil {
				return err
			}
		}
	default:
		return errors.New("unknown role")
	}
	return nil
}

// playHeld waits for an identity and then says what is left of the waiting.
func playHeld() error {
	// The runtime's own descriptors are not handed on; what was inherited besides is.
	syscall.CloseOnExec(3)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hadTo, err := initapi.HasToAwaitIdentity()
	if err != nil {
		return err
	}
	fmt.Println("went on:", initapi.AwaitIdentity(ctx))
	fmt.Println("had to wait:", hadTo)
	_, set := os.LookupEnv(initapi.ParkFDVariable)
	fmt.Println("variable:", set)
	list := exec.Command("/bin/sh", "-c", `cd /proc/$$/fd && for one in 0 1 2 3 4 5 6 7 8 9; do [ ! -e $one ] || printf ' %s' $one; done`)
	output, err := list.Output()
	fmt.Printf("descriptors:%s\n", output)
	return err
}

func playFirst(folder string) error {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGCHLD)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	environment := func(role string) []string {
		// Of two entries with one name the first would count, and every child would be a first process.
		others := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, roleVariable+"=") })
		return append(others, roleVariable+"="+role)
	}
	self := os.Getenv("INITD_TEST_PROGRAM")
	log := NewLog(folder, nil)
	s := New(Options{
		Specs: []Spec{
			{Name: "containerd", Path: self, Env: environment("containerd"), Ready: ReadySocket{filepath.Join(folder, "containerd.sock")}},
			{
				Name: "haproxy", Path: self, Env: environment("haproxy"), Files: []*os.File{file},
				Ready: ReadyNotify{filepath.Join(folder, "notify.sock")}, SweepGroup: true,
			},
			{Name: "node", Path: self, Env: environment("node"), Ready: ReadyPipe{}, SweepGroup: true},
		},
		RunDir: folder, StopGrace: initapi.DefaultStopGrace, Started: time.Now(), Signals: signals, Log: log, First: true,
	})
	stop, err := Serve(filepath.Join(folder, "init.sock"), s)
	if err != nil {
		return err
	}
	s.Run()
	stop()
	log.Close(time.Second)
	return nil
}

// firstProcess is a supervisor that is the first process of a PID namespace of its own.
type firstProcess struct {
	*testing.T
	folder string
	cmd    *exec.Cmd
	client *initapi.Client
	ended  chan error
}

// program is this test binary; in the namespace /proc is another one's, so it has to be found before.
func program(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func startFirst(t *testing.T) *firstProcess {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a PID namespace")
	}
	// Not t.TempDir: its name is too long for a socket.
	folder, err := os.MkdirTemp("", "initd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p := &firstProcess{T: t, folder: folder, cmd: exec.Command(program(t)), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), roleVariable+"=first", "INITD_TEST_FOLDER="+folder, "INITD_TEST_PROGRAM="+program(t))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := p.cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("a PID namespace cannot be made here")
	} else if err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.client = initapi.Dial(filepath.Join(folder, "init.sock"))
	t.Cleanup(p.client.Close)
	return p
}

// await follows the reports until one fulfils the condition.
func (p *firstProcess) await(what string, condition func(*initapi.Report) bool) *initapi.Report {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
	defer cancel()
	revision := uint64(0)
	for {
		report, err := p.client.Next(ctx, revision)
		if err == nil && condition(report) {
			return report
		}
		if err == nil {
			revision = report.Revision
			continue
		}
		if ctx.Err() != nil {
			last, err := p.client.Report(context.Background())
			p.Fatalf("waited for %s; last report %+v, %v", what, last, err)
		}
		// Its socket is not there yet.
		time.Sleep(5 * time.Millisecond)
	}
}

func allReady(r *initapi.Report) bool {
	for _, c := range r.Children {
		if c.State != initapi.StateReady {
			return false
		}
	}
	return len(r.Children) == 3
}

// outside finds the process that is number pid in the namespace.
func (p *firstProcess) outside(pid int) int {
	p.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		p.Fatal(err)
	}
	mine, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if space, err := os.Readlink(filepath.Join(filepath.Dir(path), "ns/pid")); err != nil || space != mine {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "NSpid:" && fields[len(fields)-1] == strconv.Itoa(pid) {
				number, err := strconv.Atoi(fields[1])
				if err != nil {
					p.Fatal(err)
				}
				return number
			}
		}
	}
	p.Fatalf("no process %d in the namespace", pid)
	return 0
}

func (p *firstProcess) mustEnd(within time.Duration) {
	p.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			p.Errorf("it ended with %v", err)
		}
	case <-time.After(within):
		p.Fatalf("it did not end within %s", within)
	}
}

func TestKilledChildrenComeBack(t *testing.T) {
	p := startFirst(t)
	report := p.await("all to be ready", allReady)
	for _, name := range []string{"containerd", "haproxy", "node"} {
		before, _ := report.Child(name)
		if err := syscall.Kill(p.outside(before.PID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		report = p.await(name+" to be back", func(r *initapi.Report) bool {
			c, _ := r.Child(name)
			return c.Restarts == 1 && allReady(r)
		})
		after, _ := report.Child(name)
		if after.PID == before.PID || after.LastExit == nil || after.LastExit.String() != "signal: killed" {
			t.Errorf("%s came back as %+v", name, after)
		}
	}
	// Its lines are kept over the restart.
	// The process is ready a moment before its lines have come through.
	var lines string
	for began := time.Now(); lines != "node speaks|node speaks" && time.Since(began) < 5*time.Second; time.Sleep(time.Millisecond) {
		report, err := p.client.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		node, _ := report.Child("node")
		lines = strings.Join(node.LastLines, "|")
	}
	if lines != "node speaks|node speaks" {
		t.Errorf("lines of node: %s", lines)
	}
	// The shim of the first containerd lived on beside the second's.
	if shims, err := filepath.Glob(filepath.Join(p.folder, "shim-*")); err != nil || len(shims) != 2 {
		t.Errorf("shims %v, %v", shims, err)
	}
	grace := 7 * time.Second
	if err := p.client.Stop(t.Context(), &grace); err != nil {
		t.Fatal(err)
	}
	p.mustEnd(3 * time.Second)
	data, err := os.ReadFile(filepath.Join(p.folder, "node.log"))
	if err != nil || !strings.HasSuffix(string(data), "node has 7s\n") {
		t.Errorf("node.log: %s, %v", data, err)
	}
	// The stop went from node over HAProxy to containerd.
	own, err := os.ReadFile(filepath.Join(p.folder, "init.log"))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for line := range strings.Lines(string(own)) {
		if fields := strings.Fields(line); strings.Contains(line, "ended: exit status 0") {
			order = append(order, fields[3])
		}
	}
	if got := strings.Join(order, " "); got != "node haproxy containerd" {
		t.Errorf("ended in the order %s:\n%s", got, own)
	}
}

func TestBadConfigurationStaysVisible(t *testing.T) {
	p := startFirst(t)
	p.await("all to be ready", allReady)
	if err := os.WriteFile(filepath.Join(p.folder, "refuse"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	report := p.await("all to be ready", allReady)
	node, _ := report.Child("node")
	if err := syscall.Kill(p.outside(node.PID), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	report = p.await("node to have failed", func(r *initapi.Report) bool {
		c, _ := r.Child("node")
		return c.State == initapi.StateFailed
	})
	node, _ = report.Child("node")
	if node.LastExit.Code != initapi.ExitBadConfiguration {
		t.Errorf("last exit %v", node.LastExit)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.mustEnd(3 * time.Second)
}

func TestOrphansAreCollected(t *testing.T) {
	p := startFirst(t)
	p.await("all to be ready", allReady)
	orphans := exec.Command("nsenter", "--target", strconv.Itoa(p.cmd.Process.Pid), "--pid", program(t))
	orphans.Env = append(os.Environ(), roleVariable+"=orphans", "INITD_TEST_FOLDER="+p.folder)
	if output, err := orphans.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// The last ones may still be on their way.
	deadline := time.Now().Add(5 * time.Second)
	for {
		// Each is listed under the thread that started it or that it was left to.
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		var children []string
		for _, list := range lists {
			data, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, strings.Fields(string(data))...)
		}
		if len(children) == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes that nobody collected: %s", children)
		}
		time.Sleep(10 * time.Millisecond)
	}
	report := p.await("all to be ready", allReady)
	for _, c := range report.Children {
		if c.Restarts != 0 {
			t.Errorf("%s was started again: %+v", c.Name, c)
		}
	}
}

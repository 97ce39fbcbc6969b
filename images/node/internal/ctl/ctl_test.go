package ctl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sandbar.dev/node/internal/api"
	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/ctl"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

// node is a node's files, in which a test starts servers.
type node struct {
	t      *testing.T
	layout paths.Layout
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, layout: paths.In(t.TempDir())}
	for _, folder := range []string{n.layout.Run, n.layout.Log(), n.layout.Config} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func (n *node) write(path, content string) {
	n.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// safeBuffer is a buffer that one goroutine writes and another reads.
type safeBuffer struct {
	mu      sync.Mutex
	buffer  bytes.Buffer
	changed chan struct{}
}

func (b *safeBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.buffer.Write(data)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// await waits until the text is there.
func (b *safeBuffer) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		b.mu.Lock()
		if strings.Contains(b.buffer.String(), text) {
			b.mu.Unlock()
			return
		}
		changed := make(chan struct{})
		b.changed = changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q was not printed: %s", text, b.String())
		}
	}
}

// run runs a command to its end.
func (n *node) run(arguments ...string) (code int, stdout, stderr string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	output, problems := &safeBuffer{}, &safeBuffer{}
	code = ctl.Run(ctx, n.environment(output, problems), arguments)
	return code, output.String(), problems.String()
}

func (n *node) environment(output, problems *safeBuffer) *ctl.Environment {
	return &ctl.Environment{
		Stdin: strings.NewReader(""), Stdout: output, Stderr: problems, Layout: n.layout, Hostname: "host",
	}
}

// serveInit serves reports of a sandbar-init, of which the last one stays.
func (n *node) serveInit(reports ...initapi.Report) *[]string {
	n.t.Helper()
	var bodies []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/report", func(w http.ResponseWriter, r *http.Request) {
		next := 0
		if after := r.URL.Query().Get("after"); after != "" {
			number, _ := strconv.Atoi(after)
			next = number + 1
		}
		if next >= len(reports) {
			<-r.Context().Done()
			return
		}
		report := reports[next]
		report.Revision = uint64(next)
		_ = json.NewEncoder(w).Encode(report)
	})
	mux.HandleFunc("POST /v1/stop", func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		bodies = append(bodies, body.String())
	})
	listener, err := net.Listen("unix", n.layout.InitSocket())
	if err != nil {
		n.t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	n.t.Cleanup(func() { _ = server.Close() })
	return &bodies
}

// serveNode serves sandbar-node's API with one component in a state.
func (n *node) serveNode(state component.State) *api.Server {
	n.t.Helper()
	server := api.New(api.Options{Socket: n.layout.NodeSocket(), Volume: n.layout.Data, Init: initapi.Dial(n.layout.InitSocket())})
	listener, err := server.Listen()
	if err != nil {
		n.t.Fatal(err)
	}
	server.Update(func(s *api.Sources) {
		s.Node.ClusterName = "demo"
		s.Supervisor = supervisor{component.Status{Name: "etcd", State: state, Since: time.Now(), Reason: "no quorum"}}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = server.Serve(ctx, listener)
		close(done)
	}()
	n.t.Cleanup(func() {
		cancel()
		<-done
	})
	return server
}

// supervisor has one component that does not change.
type supervisor struct{ status component.Status }

func (s supervisor) Status() []component.Status { return []component.Status{s.status} }
func (s supervisor) Phases() []component.Phase  { return nil }
func (s supervisor) Changes() <-chan struct{}   { return nil }

// childReport is a report of sandbar-init with sandbar-node in a state.
func childReport(state initapi.State, exit *initapi.Exit, lines ...string) initapi.Report {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return initapi.Report{Started: started, Children: []initapi.Child{
		{Name: initapi.ChildContainerd, State: initapi.StateReady, Since: started},
		{Name: initapi.ChildNode, State: state, Since: started, LastExit: exit, LastLines: lines},
	}}
}

func TestWrongCommandLines(t *testing.T) {
	for arguments, want := range map[string]string{
		"":                                  "a command is missing; see `sandbarctl help`",
		"frob":                              "there is no command \"frob\"; see `sandbarctl help`",
		"image":                             "image needs one of: ls, missing, import, tag, rm",
		"image frob":                        "there is no command \"image frob\"; see `sandbarctl help`",
		"snapshot save":                     "snapshot is reserved and does nothing yet",
		"version --frob":                    "flag provided but not defined: --frob",
		"version --output yaml":             `invalid value "yaml" for flag -output: it must be table or json`,
		"version now":                       `the argument "now" is one too many`,
		"status --timeout 1s":               "--timeout needs --wait or --watch",
		"status --wait healthy --timeout x": `invalid value "x" for flag -timeout: parse error`,
		"kubeconfig":                        "--server is missing: the URL under which the API is reached",
		"image tag sha256:1":                "an argument is missing; see `sandbarctl help`",
		"image rm":                          "an argument is missing; see `sandbarctl help`",
		"logs a b":                          `the argument "b" is one too many`,
		"logs --tail -2":                    "--tail may not be negative",
		"config --mode actual":              `--mode must be effective or default, not "actual"`,
		"stop --grace soon":                 `grace "soon" is not a duration such as 10s`,
	} {
		code, stdout, stderr := newNode(t).run(strings.Fields(arguments)...)
		if code != 2 || stdout != "" || stderr != "sandbarctl: "+want+"\n" {
			t.Errorf("%q: got %d, %q, %q, want 2 and %q", arguments, code, stdout, stderr, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for facts, want := range map[string]string{
		"":                         "",
		`{"cgroup":"v2"}`:          "",
		`{"emulated":["riscv64"]}`: `,"emulated":["riscv64"]`,
	} {
		n := newNode(t)
		if facts != "" {
			n.write(n.layout.HostInfo(), facts)
		}
		code, stdout, stderr := n.run("version", "--output", "json")
		if code != 0 || stderr != "" {
			t.Errorf("%q: got %d, %q", facts, code, stderr)
		}
		contracttest.Validate(t, "version.schema.json", []byte(stdout))
		if strings.Contains(stdout, "emulated") != (want != "") || !strings.Contains(strings.Join(strings.Fields(stdout), ""), want) {
			t.Errorf("%q: got %s, want %s in it", facts, stdout, want)
		}
	}
}

func TestHelp(t *testing.T) {
	code, stdout, _ := newNode(t).run("help")
	if code != 0 || !strings.Contains(stdout, "image import") {
		t.Errorf("got %d, %s", code, stdout)
	}
	code, stdout, _ = newNode(t).run("image", "tag", "--help")
	if code != 0 || stdout != "Usage: sandbarctl image tag ID NAME…\n\nname an image that is there\n" {
		t.Errorf("got %d, %q", code, stdout)
	}
}

func TestStatus(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*node)
		code    int
		stderr  string
		codes   []string
	}{
		"healthy": {func(n *node) {
			n.serveInit(childReport(initapi.StateReady, nil))
			n.serveNode(component.StateReady)
		}, 0, "", nil},
		"degraded": {func(n *node) {
			n.serveInit(childReport(initapi.StateReady, nil))
			n.serveNode(component.StateDegraded)
		}, 1, "sandbarctl: the node is not healthy: etcd is degraded (no quorum)\n", nil},
		"sandbar-node is down": {func(n *node) {
			n.serveInit(childReport(initapi.StateBackoff, &initapi.Exit{Code: 1}, "panic: no"))
		}, 1, "sandbarctl: the node is not healthy: node is failed (ended at 0001-01-01T00:00:00Z with exit status 1): panic: no, " +
			"sandbar-node ended with exit status 1 and is being started again\n", []string{"NodeUnreachable"}},
		"bad configuration": {func(n *node) {
			n.write(filepath.Join(n.layout.Config, "config.yaml"), "node: {name: x}\n")
			n.serveInit(childReport(initapi.StateFailed, &initapi.Exit{Code: 78}))
		}, 1, "", []string{"NodeUnreachable", "ConfigInvalid"}},
		"nothing runs": {func(*node) {}, 6, "", []string{"InitUnreachable", "NodeUnreachable"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			test.prepare(n)
			code, stdout, stderr := n.run("status", "--output", "json")
			if code != test.code || test.stderr != "" && stderr != test.stderr {
				t.Errorf("got %d, %q, want %d, %q", code, stderr, test.code, test.stderr)
			}
			contracttest.Validate(t, "status.schema.json", []byte(stdout))
			var status contract.Status
			if err := json.Unmarshal([]byte(stdout), &status); err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, warning := range status.Warnings {
				codes = append(codes, warning.Code)
			}
			if fmt.Sprint(codes) != fmt.Sprint(test.codes) {
				t.Errorf("got warnings %v, want %v", codes, test.codes)
			}
			if code, table, _ := n.run("status"); code != test.code || !strings.Contains(table, "COMPONENT") {
				t.Errorf("got %d and the table\n%s", code, table)
			}
		})
	}
}

func TestWaitForTheSocket(t *testing.T) {
	n := newNode(t)
	if err := os.Remove(n.layout.Run); err != nil {
		t.Fatal(err)
	}
	output, problems := &safeBuffer{}, &safeBuffer{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan int)
	go func() {
		done <- ctl.Run(ctx, n.environment(output, problems), []string{"status", "--wait", "healthy", "--timeout", "15s", "--watch"})
	}()
	if err := os.Mkdir(n.layout.Run, 0o700); err != nil {
		t.Fatal(err)
	}
	n.serveInit(childReport(initapi.StateStarting, nil))
	output.await(t, "NodeUnreachable")
	server := n.serveNode(component.StateStarting)
	output.await(t, `"starting"`)
	server.Update(func(s *api.Sources) {
		s.Supervisor = supervisor{component.Status{Name: "etcd", State: component.StateReady}}
	})
	if code := <-done; code != 0 {
		t.Fatalf("got %d: %s", code, problems)
	}
	lines := strings.Split(strings.TrimSpace(output.String()), "\n")
	for _, line := range lines {
		contracttest.Validate(t, "status.schema.json", []byte(line))
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, `"healthy":true`) {
		t.Errorf("the last report must be the healthy one: %s", last)
	}
}

func TestWaitForOneComponent(t *testing.T) {
	n := newNode(t)
	n.serveInit(childReport(initapi.StateBackoff, nil))
	n.serveNode(component.StateReady)
	if code, _, stderr := n.run("status", "--wait", "etcd", "--timeout", "10s"); code != 0 {
		t.Errorf("got %d, %s", code, stderr)
	}
}

func TestWaitEnds(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*node)
		code    int
		stderr  string
	}{
		"time out": {func(n *node) {
			n.serveInit(childReport(initapi.StateReady, nil))
			n.serveNode(component.StateStarting)
		}, 4, "sandbarctl: not healthy within 300ms: etcd is starting (no quorum)\n"},
		"bad configuration": {func(n *node) {
			n.write(filepath.Join(n.layout.Config, "config.yaml"), "nodes: {}\n")
			n.serveInit(childReport(initapi.StateFailed, &initapi.Exit{Code: 78}))
		}, 2, "sandbarctl: invalid configuration: CONFIG/config.yaml:1: nodes: unknown key (did you mean node?)\n"},
		"bad data": {func(n *node) {
			n.serveInit(childReport(initapi.StateFailed, &initapi.Exit{Code: 78}, "the volume is of a newer version"))
		}, 2, "sandbarctl: sandbar-node ended (exit status 78) and is not started again: the volume is of a newer version\n"},
		"stop": {func(n *node) {
			report := childReport(initapi.StateStarting, nil)
			report.Stopping = true
			n.serveInit(report)
		}, 1, "sandbarctl: the node is being stopped\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			test.prepare(n)
			code, stdout, stderr := n.run("status", "--wait", "healthy", "--timeout", "300ms", "--output", "json")
			stderr = strings.ReplaceAll(stderr, n.layout.Config, "CONFIG")
			if code != test.code || stderr != test.stderr {
				t.Errorf("got %d, %q, want %d, %q", code, stderr, test.code, test.stderr)
			}
			contracttest.Validate(t, "status.schema.json", []byte(stdout))
		})
	}
}

func TestKubeconfig(t *testing.T) {
	n := newNode(t)
	code, _, stderr := n.run("kubeconfig", "--server", "https://127.0.0.1:1")
	if code != 6 || !strings.Contains(stderr, "sandbar-node cannot be reached") {
		t.Errorf("got %d, %s", code, stderr)
	}
	n.serveInit(childReport(initapi.StateStarting, nil))
	output, problems := &safeBuffer{}, &safeBuffer{}
	done := make(chan int)
	go func() {
		done <- ctl.Run(context.Background(), n.environment(output, problems),
			[]string{"kubeconfig", "--server", "https://127.0.0.1:1", "--timeout", "15s"})
	}()
	n.serveNode(component.StateStarting).Update(func(s *api.Sources) {
		s.Kubeconfig = func(_ context.Context, server, name string) ([]byte, error) {
			return []byte(name + " " + server + "\n"), nil
		}
	})
	if code := <-done; code != 0 || output.String() != "sandbar-demo https://127.0.0.1:1\n" {
		t.Errorf("got %d, %q, %q", code, output, problems)
	}
	if code, _, stderr := n.run("kubeconfig", "--server", "http://here"); code != 2 || stderr != "sandbarctl: the server's URL \"http://here\" does not begin with https://\n" {
		t.Errorf("got %d, %q", code, stderr)
	}
}

func TestStop(t *testing.T) {
	n := newNode(t)
	bodies := n.serveInit(childReport(initapi.StateReady, nil))
	if code, _, stderr := n.run("stop", "--grace", "3s"); code != 0 {
		t.Fatalf("got %d, %s", code, stderr)
	}
	if len(*bodies) != 1 || (*bodies)[0] != `{"grace":3000000000}` {
		t.Errorf("got %v", *bodies)
	}
}

func TestConfig(t *testing.T) {
	n := newNode(t)
	n.write(filepath.Join(n.layout.Config, "config.yaml"), "sandbar: {clusterName: demo}\ntelemetry: {status: Disabled}\n")
	code, stdout, _ := n.run("config")
	if code != 0 || !strings.Contains(stdout, "baseDomain: demo.sandbar.internal") ||
		!strings.HasPrefix(stdout, "# WARNING: "+n.layout.Config+"/config.yaml:2: telemetry has no effect in Sandbar\n") {
		t.Errorf("got %d\n%s", code, stdout)
	}
	code, stdout, _ = n.run("config", "--mode", "default")
	if code != 0 || !strings.Contains(stdout, "baseDomain: default.sandbar.internal") {
		t.Errorf("got %d\n%s", code, stdout)
	}
	n.write(filepath.Join(n.layout.Config, "config.yaml"), "sandbar: 1\n")
	code, _, stderr := n.run("config")
	if want := "sandbarctl: invalid configuration: " + n.layout.Config + "/config.yaml:1: sandbar: must be a mapping, not the number 1\n"; code != 2 || stderr != want {
		t.Errorf("got %d, %q, want %q", code, stderr, want)
	}
}

// TestLinksNothingLarge: what makes a program slow to start must not come in by an import.
func TestLinksNothingLarge(t *testing.T) {
	program, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	output, err := exec.Command(program, "list", "-deps", "sandbar.dev/node/cmd/sandbarctl").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(output)) {
		for _, large := range []string{"k8s.io/", "github.com/containerd/", "google.golang.org/", "github.com/prometheus/"} {
			if strings.HasPrefix(line, large) {
				t.Errorf("sandbarctl links %s", line)
			}
		}
	}
}

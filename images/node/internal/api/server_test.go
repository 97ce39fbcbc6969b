package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sandbar.dev/node/internal/api"
	"sandbar.dev/node/internal/api/client"
	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/initapi"
)

// fakeInit is a sandbar-init whose report the test changes.
type fakeInit struct {
	mu      sync.Mutex
	report  initapi.Report
	err     error
	changed chan struct{}
}

func newFakeInit() *fakeInit {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ready := func(name string, after time.Duration) initapi.Child {
		return initapi.Child{
			Name: name, State: initapi.StateReady, PID: 7, Since: started.Add(after), FirstStarted: started.Add(after / 2),
			FirstReady: started.Add(after),
		}
	}
	return &fakeInit{changed: make(chan struct{}), report: initapi.Report{
		Revision: 1, Started: started,
		Children: []initapi.Child{
			ready(initapi.ChildContainerd, 200*time.Millisecond), ready(initapi.ChildHAProxy, 100*time.Millisecond),
			ready(initapi.ChildNode, time.Second),
		},
	}}
}

func (f *fakeInit) Report(context.Context) (*initapi.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	report := f.report
	report.Children = slices.Clone(report.Children)
	return &report, f.err
}

func (f *fakeInit) Next(ctx context.Context, after uint64) (*initapi.Report, error) {
	for {
		f.mu.Lock()
		revision, changed := f.report.Revision, f.changed
		f.mu.Unlock()
		if revision != after {
			return f.Report(ctx)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fakeInit) change(change func(*initapi.Report)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.report)
	f.report.Revision++
	close(f.changed)
	f.changed = make(chan struct{})
}

// fakeSupervisor is a supervisor whose one component the test changes.
type fakeSupervisor struct {
	mu      sync.Mutex
	status  component.Status
	changed chan struct{}
}

func (f *fakeSupervisor) Status() []component.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []component.Status{f.status}
}

func (f *fakeSupervisor) Phases() []component.Phase {
	start := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	return []component.Phase{{Name: "etcd", Start: start, Ready: start.Add(time.Second)}, {Name: "dns"}}
}

func (f *fakeSupervisor) Changes() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeSupervisor) set(state component.State, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.State, f.status.Reason = state, reason
	close(f.changed)
	f.changed = make(chan struct{})
}

// fakeImages remembers what it was asked.
type fakeImages struct{ asked []string }

func (f *fakeImages) List(context.Context) ([]contract.Image, error) { return nil, nil }

func (f *fakeImages) Missing(_ context.Context, digests []string) ([]string, error) {
	return digests[:1], nil
}

func (f *fakeImages) Tag(_ context.Context, id string, names []string) ([]contract.ImportedImage, error) {
	f.asked = append([]string{id}, names...)
	return []contract.ImportedImage{{Name: names[0], ID: id}}, nil
}

func (f *fakeImages) Import(_ context.Context, archive io.Reader, _ []string) ([]contract.ImportedImage, error) {
	if _, err := io.CopyN(io.Discard, archive, 10); err != nil {
		return nil, err
	}
	return nil, errors.New("the archive is not one")
}

func (f *fakeImages) Remove(_ context.Context, names []string) error {
	f.asked = names
	return nil
}

// serve starts a server on a socket of its own and returns it with a client.
func serve(t *testing.T, source api.Init) (*api.Server, *client.Client) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "node.sock")
	server := api.New(api.Options{Socket: socket, Volume: t.TempDir(), Init: source})
	listener, err := server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket must be 0600: %v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server, client.New(socket)
}

// deadline is a context for everything that a test waits for.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newSupervisor(state component.State) *fakeSupervisor {
	return &fakeSupervisor{
		status: component.Status{Name: "etcd", State: state, Since: time.Now()}, changed: make(chan struct{}),
	}
}

func TestStatusBeforeAnythingExists(t *testing.T) {
	_, node := serve(t, newFakeInit())
	status, err := node.Status(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if status.Healthy {
		t.Error("a node without components is not healthy")
	}
	contracttest.ValidateValue(t, "status.schema.json", status)
	var names []string
	for _, part := range status.Components {
		names = append(names, part.Name)
	}
	if want := []string{"init", "containerd", "haproxy"}; !slices.Equal(names, want) {
		t.Errorf("got components %v, want %v", names, want)
	}
	if status.Storage.CapacityBytes == 0 {
		t.Error("the volume's space must be known from the beginning")
	}
}

func TestHealth(t *testing.T) {
	for name, test := range map[string]struct {
		adapt func(*fakeInit, *fakeSupervisor, *api.Sources)
		want  bool
	}{
		"all ready": {func(*fakeInit, *fakeSupervisor, *api.Sources) {}, true},
		"harmless warning": {func(_ *fakeInit, _ *fakeSupervisor, s *api.Sources) {
			s.Warnings = []contract.Warning{{Code: "ConfigKeyWithoutEffect"}}
		}, true},
		"degraded component": {func(_ *fakeInit, c *fakeSupervisor, _ *api.Sources) { c.set(component.StateDegraded, "no quorum") }, false},
		"child in back-off": {func(i *fakeInit, _ *fakeSupervisor, _ *api.Sources) {
			i.report.Children[1].State = initapi.StateBackoff
		}, false},
		"init does not answer": {func(i *fakeInit, _ *fakeSupervisor, _ *api.Sources) { i.err = errors.New("gone") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			source, supervisor := newFakeInit(), newSupervisor(component.StateReady)
			server, node := serve(t, source)
			server.Update(func(s *api.Sources) {
				s.Supervisor = supervisor
				test.adapt(source, supervisor, s)
			})
			status, err := node.Status(deadline(t))
			if err != nil {
				t.Fatal(err)
			}
			if status.Healthy != test.want {
				t.Errorf("healthy is %v, want %v: %+v", status.Healthy, test.want, status)
			}
		})
	}
}

func TestReportOfChildren(t *testing.T) {
	source := newFakeInit()
	source.report.Children[2].Restarts = 2
	source.report.Children[2].LastExit = &initapi.Exit{Code: 1, At: source.report.Started}
	source.report.Children[1].State = initapi.StateFailed
	source.report.Children[1].LastLines = []string{"no such file"}
	source.report.Warnings = []initapi.Warning{{Code: "OOMScoreNotLowered", Message: "no"}}
	server, node := serve(t, source)
	server.Update(func(s *api.Sources) { s.Supervisor = newSupervisor(component.StateReady) })
	status, err := node.Status(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	contracttest.ValidateValue(t, "status.schema.json", status)
	byName := map[string]contract.Component{}
	for _, part := range status.Components {
		byName[part.Name] = part
	}
	if got := byName["haproxy"]; got.State != component.StateFailed || !slices.Equal(got.LastLines, []string{"no such file"}) {
		t.Errorf("a failed child must be shown with its last lines: %+v", got)
	}
	if got := byName["init"].LastError; got != "sandbar-node: ended at 2026-01-02T03:04:05Z with exit status 1" {
		t.Errorf("got %q", got)
	}
	if byName["etcd"].Restarts != 2 {
		t.Errorf("a component restarts with its process: %+v", byName["etcd"])
	}
	if len(status.Warnings) != 1 || status.Warnings[0].Code != "OOMScoreNotLowered" {
		t.Errorf("the host's warnings must be reported: %+v", status.Warnings)
	}
	var phases []string
	for _, phase := range status.Phases {
		phases = append(phases, phase.Name)
	}
	if want := []string{"containerd", "haproxy", "node", "etcd"}; !slices.Equal(phases, want) {
		t.Errorf("got phases %v, want %v", phases, want)
	}
	if last := status.Phases[3]; last.StartMillis != 1000 || last.ReadyMillis == nil || *last.ReadyMillis != 2000 {
		t.Errorf("phases count from the start of sandbar-init: %+v", last)
	}
}

func TestWatch(t *testing.T) {
	source, supervisor := newFakeInit(), newSupervisor(component.StateStarting)
	server, node := serve(t, source)
	server.Update(func(s *api.Sources) { s.Supervisor = supervisor })
	steps := []struct {
		see func(contract.Status) bool
		do  func()
	}{
		{func(s contract.Status) bool { return !s.Healthy }, func() { supervisor.set(component.StateReady, "") }},
		{func(s contract.Status) bool { return s.Healthy }, func() {
			source.change(func(r *initapi.Report) { r.Children[0].State = initapi.StateBackoff })
		}},
		{func(s contract.Status) bool { return !s.Healthy }, func() {
			server.Update(func(s *api.Sources) { s.IngressHosts = func() []string { return []string{"a.localhost"} } })
		}},
		{func(s contract.Status) bool { return len(s.Ingress.Hosts) == 1 }, func() {}},
	}
	at := 0
	err := node.Watch(deadline(t), func(status contract.Status) bool {
		if steps[at].see(status) {
			steps[at].do()
			at++
		}
		return at < len(steps)
	})
	if err != nil {
		t.Fatalf("after %d of %d steps: %v", at, len(steps), err)
	}
}

func TestKubeconfigWaitsForThePKI(t *testing.T) {
	server, node := serve(t, newFakeInit())
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := node.Kubeconfig(short, "https://127.0.0.1:6443", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a PKI it must wait: %v", err)
	}
	result := make(chan string, 1)
	go func() {
		content, err := node.Kubeconfig(deadline(t), "https://127.0.0.1:6443", "")
		result <- string(content) + errorText(err)
	}()
	server.Update(func(s *api.Sources) {
		s.Node.ClusterName = "demo"
		s.Kubeconfig = func(_ context.Context, server, name string) ([]byte, error) { return []byte(name + " " + server), nil }
	})
	if got := <-result; got != "sandbar-demo https://127.0.0.1:6443" {
		t.Errorf("got %q", got)
	}
	_, err := node.Kubeconfig(deadline(t), "127.0.0.1", "")
	failure := (*client.Failure)(nil)
	if !errors.As(err, &failure) || failure.Code != 2 || err.Error() != `the server's URL "127.0.0.1" does not begin with https://` {
		t.Errorf("got %v", err)
	}
}

func TestImages(t *testing.T) {
	server, node := serve(t, newFakeInit())
	store := &fakeImages{}
	server.Update(func(s *api.Sources) { s.Images = store })
	ctx := deadline(t)
	if missing, err := node.Missing(ctx, strings.NewReader("sha256:a\n\n sha256:b\n")); err != nil || !slices.Equal(missing, []string{"sha256:a"}) {
		t.Errorf("got %v, %v", missing, err)
	}
	if _, err := node.Tag(ctx, "sha256:a", []string{"one", "two"}); err != nil || !slices.Equal(store.asked, []string{"sha256:a", "one", "two"}) {
		t.Errorf("got %v, %v", store.asked, err)
	}
	if err := node.Remove(ctx, []string{"one"}); err != nil || !slices.Equal(store.asked, []string{"one"}) {
		t.Errorf("got %v, %v", store.asked, err)
	}
	// An archive that is refused at its beginning is large enough to fill every buffer in between.
	_, err := node.Import(ctx, bytes.NewReader(make([]byte, 16<<20)), nil)
	failure := (*client.Failure)(nil)
	if !errors.As(err, &failure) || failure.Code != 1 || failure.Message != "the archive is not one" {
		t.Errorf("got %v", err)
	}
	list, err := node.Images(ctx)
	if text, _ := json.Marshal(list); err != nil || string(text) != `{"images":[]}` {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestUnreachable(t *testing.T) {
	_, err := client.New(filepath.Join(t.TempDir(), "none.sock")).Status(deadline(t))
	if !errors.Is(err, client.ErrUnreachable) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func TestListenReplacesALeftover(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "node.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := api.New(api.Options{Socket: socket}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

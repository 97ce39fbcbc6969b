package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a component whose life the test decides.
type fake struct {
	name    string
	needs   []string
	startup time.Duration
	// ends makes Run return result after that time, without being asked to.
	ends   time.Duration
	result error
	// stopping is how long Run takes to return after it was cancelled, limit its own stop limit.
	stopping time.Duration
	limit    time.Duration

	mu     sync.Mutex
	health error
	cause  error
	events *events
}

// events is the order in which things happened.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (f *fake) Name() string    { return f.name }
func (f *fake) Needs() []string { return f.needs }

func (f *fake) StopLimit() time.Duration {
	if f.limit == 0 {
		return 5 * time.Second
	}
	return f.limit
}

func (f *fake) Run(ctx context.Context, ready func()) error {
	f.events.add("start " + f.name)
	if f.ends > 0 {
		select {
		case <-time.After(f.ends):
			return f.result
		case <-ctx.Done():
		}
	}
	select {
	case <-time.After(f.startup):
		ready()
		ready() // twice is allowed
		Recheck(ctx)
	case <-ctx.Done():
	}
	<-ctx.Done()
	f.cause = context.Cause(ctx)
	time.Sleep(f.stopping)
	f.events.add("stop " + f.name)
	return ctx.Err()
}

func (f *fake) Check(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.health
}

func (f *fake) setHealth(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.health = err
}

func list(fakes ...*fake) []Component {
	shared := &events{}
	var components []Component
	for _, f := range fakes {
		f.events = shared
		components = append(components, f)
	}
	return components
}

func states(s *Supervisor) string {
	var all []string
	for _, status := range s.Status() {
		text := status.Name + "=" + string(status.State)
		if len(status.WaitingFor) > 0 {
			text += "(" + strings.Join(status.WaitingFor, ",") + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestNewRejects(t *testing.T) {
	tests := map[string]struct {
		components []Component
		want       []string
	}{
		"a duplicate": {list(&fake{name: "a"}, &fake{name: "a"}), []string{`component "a" is listed twice`}},
		"no name":     {list(&fake{}), []string{"has no name"}},
		"an unknown need": {
			list(&fake{name: "a", needs: []string{"b"}}),
			[]string{`component "a" needs "b", which is not listed`},
		},
		"itself": {list(&fake{name: "a", needs: []string{"a"}}), []string{"need each other: a -> a"}},
		"a cycle and a duplicate at once": {
			list(&fake{name: "x", needs: []string{"a"}}, &fake{name: "a", needs: []string{"b"}},
				&fake{name: "b", needs: []string{"c"}}, &fake{name: "c", needs: []string{"a"}}, &fake{name: "c"}),
			[]string{"need each other: a -> b -> c -> a", `component "c" is listed twice`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.components, Options{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestStartsByNeedsAndStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		components := list(
			&fake{name: "kubelet", needs: []string{"apiserver", "proxy"}, startup: time.Second},
			&fake{name: "apiserver", needs: []string{"etcd", "etcd"}, startup: 2 * time.Second},
			&fake{name: "etcd", startup: time.Second},
			&fake{name: "proxy", startup: 10 * time.Second},
		)
		s, err := New(components, Options{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- s.Run(ctx) }()

		for _, step := range []struct {
			at   time.Duration
			want string
		}{
			{0, "kubelet=waiting(apiserver,proxy) apiserver=waiting(etcd) etcd=starting proxy=starting"},
			{1500 * time.Millisecond, "kubelet=waiting(apiserver,proxy) apiserver=starting etcd=ready proxy=starting"},
			{4 * time.Second, "kubelet=waiting(proxy) apiserver=ready etcd=ready proxy=starting"},
			{10500 * time.Millisecond, "kubelet=starting apiserver=ready etcd=ready proxy=ready"},
			{12 * time.Second, "kubelet=ready apiserver=ready etcd=ready proxy=ready"},
		} {
			time.Sleep(step.at - time.Since(begin))
			synctest.Wait()
			if got := states(s); got != step.want {
				t.Errorf("after %s:\n got %s\nwant %s", step.at, got, step.want)
			}
		}
		if err := s.Wait(ctx, "kubelet"); err != nil {
			t.Errorf("wait for what is ready: %v", err)
		}
		if err := s.Wait(ctx, "nothing"); err == nil {
			t.Error("waited for what is not listed")
		}
		for _, phase := range s.Phases() {
			if phase.Name == "apiserver" &&
				(phase.Start.Sub(begin) != time.Second || phase.Ready.Sub(begin) != 3*time.Second) {
				t.Errorf("phase of apiserver: %v to %v", phase.Start.Sub(begin), phase.Ready.Sub(begin))
			}
		}

		cancel()
		if err := <-result; err != nil {
			t.Errorf("clean stop: %v", err)
		}
		all := components[0].(*fake).events.all
		position := func(event string) int { return slices.Index(all, event) }
		if position("stop kubelet") > position("stop apiserver") || position("stop apiserver") > position("stop etcd") {
			t.Errorf("order of events: %v", all)
		}
		if cause := components[2].(*fake).cause; !errors.Is(cause, ErrStopping) {
			t.Errorf("cause of etcd's stop: %v", cause)
		}
		if got, want := states(s), "kubelet=stopped apiserver=stopped etcd=stopped proxy=stopped"; got != want {
			t.Errorf("after the stop: %s", got)
		}
	})
}

func TestFailureStopsAllWithItsCause(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		result error
		want   string
	}{
		"an error": {broken, "component b: broken"},
		"nil":      {nil, "component b: ended by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &fake{name: "a"}
				stuck := &fake{name: "stuck", stopping: time.Hour}
				components := list(a, stuck, &fake{name: "b", needs: []string{"a"}, ends: time.Minute, result: test.result},
					&fake{name: "c", needs: []string{"b"}})
				s, err := New(components, Options{})
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				err = s.Run(t.Context())
				if took := time.Since(begin); took != time.Minute+500*time.Millisecond {
					t.Errorf("Run took %s", took)
				}
				if err == nil || !strings.HasPrefix(err.Error(), test.want+"\n") {
					t.Errorf("Run: %v, want %s", err, test.want)
				}
				if test.result != nil && (!errors.Is(err, broken) || !errors.Is(a.cause, broken)) {
					t.Errorf("the cause was lost: Run %v, a %v", err, a.cause)
				}
				if got, want := states(s), "a=stopped stuck=ready b=failed c=stopped"; got != want {
					t.Errorf("states: got %s, want %s", got, want)
				}
				if status := s.Status()[2]; status.LastError != test.want {
					t.Errorf("last error: %q", status.LastError)
				}
				time.Sleep(time.Hour) // let the stuck one end
			})
		})
	}
}

func TestOneThatDoesNotStopIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &fake{name: "stuck", needs: []string{"a"}, stopping: time.Hour, limit: 30 * time.Second}
		components := list(&fake{name: "a"}, stuck)
		s, err := New(components, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		err = s.Run(ctx)
		if err == nil || err.Error() != "component stuck did not stop within 30s" {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(begin); took != 90*time.Second {
			t.Errorf("Run took %s", took)
		}
		if !slices.Contains(stuck.events.all, "stop a") {
			t.Error("what the stuck component needs was not stopped")
		}
		time.Sleep(time.Hour) // let the stuck one end
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "a"}
		s, err := New(list(f), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- s.Run(ctx) }()
		time.Sleep(time.Second)
		changes := s.Changes()

		f.setHealth(errors.New("no disk"))
		time.Sleep(14500 * time.Millisecond)
		synctest.Wait()
		if got := states(s); got != "a=ready" {
			t.Errorf("one failed check is not enough: %s", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		status := s.Status()[0]
		if status.State != StateDegraded || status.Reason != "no disk" {
			t.Errorf("after two failed checks: %+v", status)
		}
		select {
		case <-changes:
		default:
			t.Error("the change was not announced")
		}

		f.setHealth(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		status = s.Status()[0]
		if status.State != StateReady || status.Reason != "" || status.LastError != "no disk" {
			t.Errorf("after the recovery: %+v", status)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestRecheckIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{name: "a", startup: time.Second, health: errors.New("refused")}
		s, err := New(list(f), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- s.Run(ctx) }()
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		if status := s.Status()[0]; status.State != StateDegraded || status.Reason != "refused" {
			t.Errorf("after Recheck: %+v", status)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	Recheck(t.Context()) // without a supervisor: nothing
}

// preparing is a component with work that needs nobody.
type preparing struct {
	*fake
	takes time.Duration
	err   error
}

func (p *preparing) Prepare(ctx context.Context) error {
	p.events.add("prepare " + p.name)
	select {
	case <-time.After(p.takes):
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestPreparationDoesNotWaitForNeeds(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		takes time.Duration
		err   error
		ready time.Duration
	}{
		"quicker than the needs": {takes: time.Second, ready: 3 * time.Second},
		"slower than the needs":  {takes: 5 * time.Second, ready: 6 * time.Second},
		"a failure":              {takes: time.Second, err: broken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				etcd := &fake{name: "etcd", startup: 2 * time.Second}
				server := &fake{name: "apiserver", needs: []string{"etcd"}, startup: time.Second}
				components := list(etcd, server)
				components[1] = &preparing{fake: server, takes: test.takes, err: test.err}
				s, err := New(components, Options{})
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error, 1)
				go func() { result <- s.Run(ctx) }()
				if test.err != nil {
					if err := <-result; !errors.Is(err, broken) || slices.Contains(etcd.events.all, "start apiserver") {
						t.Errorf("Run: %v, events %v", err, etcd.events.all)
					}
					return
				}
				if err := s.Wait(ctx, "apiserver"); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != test.ready {
					t.Errorf("ready after %s, want %s", took, test.ready)
				}
				cancel()
				if err := <-result; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// leaning is a component that starts beside another but stops before it.
type leaning struct {
	*fake
	on []string
}

func (l *leaning) LeansOn() []string { return l.on }

func TestStopsBeforeWhatItLeansOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kubelet := &fake{name: "kubelet", stopping: time.Second}
		components := list(&fake{name: "apiserver", startup: time.Hour}, kubelet)
		components[1] = &leaning{fake: kubelet, on: []string{"apiserver"}}
		s, err := New(components, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		want := []string{"stop kubelet", "stop apiserver"}
		if got := kubelet.events.all; !slices.Equal(got[len(got)-2:], want) {
			t.Errorf("events: %v", got)
		}
	})
	a, b := &fake{name: "a", needs: []string{"b"}}, &fake{name: "b"}
	components := list(a, b)
	components[1] = &leaning{fake: b, on: []string{"a", "nothing"}}
	_, err := New(components, Options{})
	if err == nil || !strings.Contains(err.Error(), "need each other") || !strings.Contains(err.Error(), `needs "nothing"`) {
		t.Errorf("a cycle through what is leaned on: %v", err)
	}
}

package component

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSupervisorTakesOverWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &preparing{fake: &fake{name: "etcd", startup: time.Second}, takes: time.Second}
		user := &fake{name: "user", needs: []string{"etcd"}}
		components := list(etcd.fake, user)
		began := time.Now()
		begun := Begin(t.Context(), etcd, Options{})
		if err := begun.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("ready after %s", took)
		}
		etcd.setHealth(errors.New("no disk"))
		if err := begun.Check(t.Context()); err == nil {
			t.Error("its health is not asked for")
		}
		etcd.setHealth(nil)
		components[0] = begun
		s, err := New(components, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- s.Run(ctx) }()
		if err := s.Wait(ctx, "user"); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if !errors.Is(etcd.cause, ErrStopping) {
			t.Errorf("it was ended by %v", etcd.cause)
		}
		want := []string{"prepare etcd", "start etcd", "start user", "stop user", "stop etcd"}
		if !slices.Equal(etcd.events.all, want) {
			t.Errorf("events: %v", etcd.events.all)
		}
	})
}

func TestWhatRunsFails(t *testing.T) {
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]Component{
			"preparing": &preparing{fake: &fake{name: "a", startup: time.Hour, events: &events{}}, err: broken},
			"running":   &fake{name: "a", ends: time.Second, result: broken, events: &events{}},
		} {
			begun := Begin(t.Context(), c, Options{})
			if err := begun.Await(t.Context()); !errors.Is(err, broken) {
				t.Errorf("%s: %v", name, err)
			}
			s, err := New([]Component{begun}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(t.Context()); !errors.Is(err, broken) {
				t.Errorf("%s, taken over: %v", name, err)
			}
		}
		needed := Begin(t.Context(), &fake{name: "a", ends: time.Second, result: broken, events: &events{}}, Options{})
		needing := Begin(t.Context(), &fake{name: "b", events: &events{}}, Options{}, needed)
		if err := needing.Await(t.Context()); !errors.Is(err, broken) {
			t.Errorf("one whose need fails: %v", err)
		}
		itself := Begin(t.Context(), &fake{name: "a", ends: time.Second, events: &events{}}, Options{})
		if err := itself.Await(t.Context()); err == nil {
			t.Error("one that ended by itself is ready")
		}
	})
}

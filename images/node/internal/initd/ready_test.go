package initd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// All have to be ready at the same time.
func TestAwaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Specs: []Spec{{Name: "containerd"}, {Name: "node"}}, Log: NewLog(t.TempDir(), nil)})
		happen := func(events ...any) {
			for _, event := range events {
				s.machine.handle(time.Now(), event)
			}
			s.publish()
			synctest.Wait()
		}
		ctx, give := context.WithCancelCause(t.Context())
		up := errors.New("given up")
		ended := make(chan error, 2)
		go func() { ended <- s.AwaitReady(ctx) }()
		happen(eventStarted{"containerd", 1}, eventReady{"containerd", 1}, eventStarted{"node", 2})
		happen(eventStarted{"containerd", 3}, eventReady{"node", 2})
		if len(ended) != 0 {
			t.Errorf("containerd is starting again: %v", <-ended)
		}
		if err := s.AwaitReady(ctx, "containerd"); err != nil {
			t.Errorf("the other one is ready: %v", err)
		}
		give(up)
		if err := <-ended; !errors.Is(err, up) {
			t.Errorf("given up: %v", err)
		}
		go func() { ended <- s.AwaitReady(t.Context()) }()
		happen(eventReady{"containerd", 3})
		if err := <-ended; err != nil {
			t.Errorf("all are ready: %v", err)
		}
	})
}

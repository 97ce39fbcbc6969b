package initd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/initapi"
)

// bench drives a machine by hand, with a clock of its own, and writes down what it asks for.
type bench struct {
	t       *testing.T
	machine *machine
	now     time.Time
	nextPID int
	did     []string
	// faults are those that the last start was told of.
	faults int
	// broken are children that cannot be started.
	broken map[string]error
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), nextPID: 100, broken: map[string]error{}}
	b.machine = newMachine([]string{"containerd", "haproxy", "node"}, defaultPolicy(), b.now)
	return b
}

func (b *bench) feed(event any) {
	queue := []any{event}
	for len(queue) > 0 {
		event, queue = queue[0], queue[1:]
		for _, action := range b.machine.handle(b.now, event) {
			switch a := action.(type) {
			case actionStart:
				if err := b.broken[a.name]; err != nil {
					b.note("cannot start %s", a.name)
					queue = append(queue, eventStartFailed{a.name, err})
					continue
				}
				b.nextPID++
				b.note("start %s", a.name)
				b.faults = a.faults
				queue = append(queue, eventStarted{a.name, b.nextPID})
			case actionTerminate:
				b.note("terminate %s", a.name)
			case actionKill:
				b.note("kill %s", a.name)
			case actionSweep:
				b.note("sweep %s", a.name)
			case actionGrace:
				b.note("grace %s", a.grace)
			case actionTerminateRest:
				b.note("terminate rest")
			case actionKillRest:
				b.note("kill rest")
			case actionFinish:
				b.note("finish")
			}
		}
	}
}

func (b *bench) note(format string, args ...any) { b.did = append(b.did, fmt.Sprintf(format, args...)) }

// expect compares what was done since the last call.
func (b *bench) expect(want ...string) {
	b.t.Helper()
	if got := strings.Join(b.did, "; "); got != strings.Join(want, "; ") {
		b.t.Errorf("did  %s\nwant %s", got, strings.Join(want, "; "))
	}
	b.did = nil
}

func (b *bench) child(name string) initapi.Child {
	report := b.machine.report()
	c, _ := report.Child(name)
	return c
}

func (b *bench) ready(name string) { b.feed(eventReady{name, b.child(name).PID}) }

func (b *bench) exit(name string, exit initapi.Exit) {
	exit.At = b.now
	b.feed(eventExited{b.child(name).PID, exit})
}

// pass lets time pass, with a tick whenever the machine wants one, as the supervisor does.
func (b *bench) pass(d time.Duration) {
	end := b.now.Add(d)
	for {
		next := b.machine.next()
		if next.IsZero() || next.After(end) {
			b.now = end
			return
		}
		if next.After(b.now) {
			b.now = next
		}
		b.feed(eventTick{})
	}
}

func (b *bench) begin() {
	b.feed(eventBegin{})
	for _, name := range []string{"containerd", "haproxy", "node"} {
		b.ready(name)
	}
	b.did = nil
}

var killed = initapi.Exit{Code: -1, Signal: "killed"}

func TestStartsEverythingAtOnce(t *testing.T) {
	b := newBench(t)
	b.feed(eventBegin{})
	b.expect("start containerd", "start haproxy", "start node")
	if c := b.child("node"); c.State != initapi.StateStarting || c.PID == 0 || c.FirstStarted.IsZero() || !c.FirstReady.IsZero() {
		t.Errorf("started node: %+v", c)
	}
	b.now = b.now.Add(time.Second)
	b.ready("node")
	if c := b.child("node"); c.State != initapi.StateReady || !c.Since.Equal(b.now) || !c.FirstReady.Equal(b.now) {
		t.Errorf("ready node: %+v", c)
	}
}

func TestRestartsAtOnceThenBacksOff(t *testing.T) {
	b := newBench(t)
	b.begin()
	b.pass(time.Minute)
	b.exit("node", killed)
	b.expect("sweep node", "start node")
	var delays []time.Duration
	for range 8 {
		b.exit("node", initapi.Exit{Code: 1})
		c := b.child("node")
		if c.State != initapi.StateBackoff || c.PID != 0 {
			t.Fatalf("after a quick end: %+v", c)
		}
		delays = append(delays, b.machine.next().Sub(b.now))
		b.pass(b.machine.next().Sub(b.now))
		if c := b.child("node"); c.State != initapi.StateStarting {
			t.Fatalf("after the delay: %+v", c)
		}
	}
	if got := fmt.Sprint(delays); got != "[250ms 500ms 1s 2s 4s 8s 15s 15s]" {
		t.Errorf("delays %s", got)
	}
	if c := b.child("node"); c.Restarts != 9 || c.LastExit.Code != 1 {
		t.Errorf("restarts %d, last exit %v", c.Restarts, c.LastExit)
	}
	// Being ready for long enough makes up for it.
	b.did = nil
	b.ready("node")
	b.pass(b.machine.policy.steady)
	b.exit("node", killed)
	b.expect("sweep node", "start node")
	if c := b.child("haproxy"); c.Restarts != 0 || c.State != initapi.StateReady {
		t.Errorf("others are touched: %+v", c)
	}
}

func TestBadConfigurationIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.begin()
	b.exit("node", initapi.Exit{Code: initapi.ExitBadConfiguration})
	b.pass(time.Hour)
	b.expect("sweep node")
	if c := b.child("node"); c.State != initapi.StateFailed || c.Reason == "" {
		t.Errorf("state %+v", c)
	}
	// The rest can be stopped all the same.
	b.feed(eventStop{})
	b.expect("grace 1.5s", "terminate haproxy")
}

func TestWhatCannotBeStartedIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.broken["node"] = errors.New("no such file")
	b.feed(eventBegin{})
	b.expect("start containerd", "start haproxy", "cannot start node", "cannot start node")
	if c := b.child("node"); c.State != initapi.StateBackoff || !strings.HasPrefix(c.Reason, "no such file; started again after 250ms") {
		t.Errorf("state %+v", c)
	}
	delete(b.broken, "node")
	b.pass(250 * time.Millisecond)
	b.expect("start node")
}

func TestStopsInOrder(t *testing.T) {
	b := newBench(t)
	b.begin()
	before := b.machine.report().Revision
	grace := 5 * time.Second
	b.feed(eventStop{grace: &grace})
	b.expect("grace 5s", "terminate node")
	if r := b.machine.report(); !r.Stopping || r.Revision == before {
		t.Errorf("the report does not show the stop: %+v", r)
	}
	// A second request changes nothing that has begun.
	b.feed(eventStop{})
	b.expect()
	b.exit("node", initapi.Exit{})
	b.expect("sweep node", "terminate haproxy")
	b.exit("haproxy", initapi.Exit{})
	b.expect("sweep haproxy", "terminate containerd")
	b.exit("containerd", initapi.Exit{})
	b.expect("sweep containerd", "terminate rest")
	b.feed(eventAlone{})
	b.expect("finish")
	if next := b.machine.phase; next != phaseDone {
		t.Errorf("phase %v", next)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	b := newBench(t)
	b.begin()
	b.feed(eventStop{})
	b.expect("grace 1.5s", "terminate node")
	b.pass(4400 * time.Millisecond)
	b.expect()
	b.pass(200 * time.Millisecond)
	b.expect("kill node")
	b.exit("node", killed)
	b.expect("sweep node", "terminate haproxy")
	b.pass(2 * time.Second)
	b.expect("kill haproxy")
	b.exit("haproxy", killed)
	b.exit("containerd", initapi.Exit{})
	b.expect("sweep haproxy", "terminate containerd", "sweep containerd", "terminate rest")
	b.pass(300 * time.Millisecond)
	b.expect("kill rest")
	// What hangs in the kernel does not keep the node from ending.
	b.pass(2 * time.Second)
	b.expect("finish")
}

func TestStopWhileSomeAreGone(t *testing.T) {
	b := newBench(t)
	b.begin()
	b.exit("node", killed)
	b.exit("node", killed)
	b.did = nil
	b.feed(eventStop{})
	b.expect("grace 1.5s", "terminate haproxy")
	// containerd crashes meanwhile: it is neither started again nor waited for.
	b.exit("containerd", killed)
	b.expect("sweep containerd")
	b.pass(100 * time.Millisecond)
	b.exit("haproxy", initapi.Exit{})
	b.expect("sweep haproxy", "terminate rest")
	if c := b.child("node"); c.State != initapi.StateStopped {
		t.Errorf("node %+v", c)
	}
}

func TestReadinessOfAnEarlierProcessDoesNotCount(t *testing.T) {
	b := newBench(t)
	b.begin()
	old := b.child("node").PID
	b.exit("node", killed)
	b.feed(eventReady{"node", old})
	if c := b.child("node"); c.State != initapi.StateStarting {
		t.Errorf("state %s", c.State)
	}
	// And the end of a process that is nobody's changes nothing.
	revision := b.machine.report().Revision
	b.feed(eventExited{pid: 9999, exit: killed})
	b.feed(eventExited{pid: old, exit: killed})
	if got := b.machine.report().Revision; got != revision {
		t.Errorf("revision went from %d to %d", revision, got)
	}
}

func TestExhaustedMemoryIsCountedWithTheTimeOfTheLast(t *testing.T) {
	b := newBench(t)
	b.feed(eventBegin{})
	if report := b.machine.report(); report.OutOfMemory != nil {
		t.Errorf("it was never reached: %+v", report.OutOfMemory)
	}
	before := b.machine.revision
	b.feed(eventOutOfMemory{times: 2})
	b.now = b.now.Add(time.Minute)
	b.feed(eventOutOfMemory{times: 1})
	report := b.machine.report()
	if got := report.OutOfMemory; got == nil || got.Times != 3 || !got.Last.Equal(b.now) {
		t.Errorf("got %+v", got)
	}
	if report.Revision == before {
		t.Error("whoever waits for a newer report is not told")
	}
}

// A configuration is blamed for what a process does, and not for what is done to it.
func TestAKillIsNotTheProcesssFault(t *testing.T) {
	for name, test := range map[string]struct {
		exit   initapi.Exit
		faults int
	}{
		"killed":              {initapi.Exit{Code: -1, Signal: "killed"}, 0},
		"its own worker was":  {initapi.Exit{Code: 137}, 0},
		"a failure":           {initapi.Exit{Code: 1}, 2},
		"a fault of its code": {initapi.Exit{Code: -1, Signal: "segmentation fault"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.feed(eventBegin{})
			for range 2 {
				b.feed(eventReady{"haproxy", b.machine.find("haproxy").PID})
				b.feed(eventExited{b.machine.find("haproxy").PID, test.exit})
				if next := b.machine.next(); !next.IsZero() {
					b.now = next
					b.feed(eventTick{})
				}
			}
			if b.faults != test.faults {
				t.Errorf("the start was told of %d faults, want %d", b.faults, test.faults)
			}
		})
	}
}

// A machine that was parked begins when it gets its identity, with what runs already.
func TestBeginAnew(t *testing.T) {
	b := newBench(t)
	b.feed(eventBegin{})
	b.ready("containerd")
	before := b.machine.report()
	b.now = b.now.Add(72 * time.Hour)
	b.feed(eventIdentified{})
	report := b.machine.report()
	if report.Started != b.now || report.Revision <= before.Revision {
		t.Errorf("started %s, revision %d after %d", report.Started, report.Revision, before.Revision)
	}
	for _, c := range report.Children {
		was, _ := before.Child(c.Name)
		if c.Since != b.now || c.FirstStarted != b.now || c.State != was.State || c.PID != was.PID || c.Restarts != 0 {
			t.Errorf("%+v was %+v", c, was)
		}
		if want := c.Name == "containerd"; c.FirstReady.Equal(b.now) != want || c.FirstReady.IsZero() == want {
			t.Errorf("%s was first ready at %s", c.Name, c.FirstReady)
		}
	}
}

package initd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/initapi"
)

// Options are what a [Supervisor] needs.
type Options struct {
	// Specs are the processes, in the order in which they are started; they are stopped the other way round.
	Specs []Spec
	// RunDir is where the stop grace is left for sandbar-node.
	RunDir string
	// StopGrace is what pods get at most when no stop says otherwise.
	StopGrace time.Duration
	// Started is when sandbar-init began.
	Started time.Time
	// Warnings are what was found when the host was prepared.
	Warnings []initapi.Warning
	// Signals brings SIGCHLD (which may be merged) and the signals that end the node. The caller has asked for them
	// with signal.Notify before it did anything else.
	Signals <-chan os.Signal
	// Log takes the lines of all processes and the supervisor's own.
	Log *Log
	// First says that this is the first process of its namespace, so that every other process is its to end.
	First bool
}

// Supervisor keeps the processes running until it is told to stop.
type Supervisor struct {
	options Options
	machine *machine
	specs   map[string]*Spec
	events  chan any
	// stopWaits is closed at the end, so that no goroutine is left behind.
	stopWaits chan struct{}
	waits     sync.WaitGroup
	published atomic.Pointer[publication]
	// The rest is only touched by the owner. gone has a channel for each child, closed when it was collected.
	gone     map[int]chan struct{}
	finished bool
}

// publication is a report and a channel that is closed when there is a newer one.
type publication struct {
	report  initapi.Report
	changed chan struct{}
}

// New makes a supervisor; nothing is started before Run.
func New(options Options) *Supervisor {
	s := &Supervisor{
		options:   options,
		specs:     map[string]*Spec{},
		events:    make(chan any),
		stopWaits: make(chan struct{}),
		gone:      map[int]chan struct{}{},
	}
	names := make([]string, 0, len(options.Specs))
	for i := range options.Specs {
		spec := &options.Specs[i]
		names = append(names, spec.Name)
		s.specs[spec.Name] = spec
	}
	p := defaultPolicy()
	p.stopGrace = options.StopGrace
	s.machine = newMachine(names, p, options.Started)
	s.publish()
	return s
}

// Run starts everything, keeps it running, and returns when all has ended after a stop. It must not be called twice.
func (s *Supervisor) Run() {
	defer s.waits.Wait()
	defer func() {
		close(s.stopWaits)
		for _, gone := range s.gone {
			close(gone)
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	s.feed(eventBegin{})
	for !s.finished {
		if next := s.machine.next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case received := <-s.options.Signals:
			if received == syscall.SIGCHLD {
				s.collect()
			} else {
				s.options.Log.Printf("%v: stopping", received)
				s.feed(eventStop{})
			}
		case event := <-s.events:
			s.feed(event)
		case <-timer.C:
			s.feed(eventTick{})
		}
	}
}

// Stop asks for the stop and returns at once; a nil grace leaves it as it is.
func (s *Supervisor) Stop(grace *time.Duration) {
	s.send(eventStop{grace: grace})
}

// Identified lets the start begin now: until then the machine was nobody's.
func (s *Supervisor) Identified() { s.send(eventIdentified{}) }

// OutOfMemory tells that the node's memory limit was reached so often, and that the kernel ended processes for it.
func (s *Supervisor) OutOfMemory(times uint64) { s.send(eventOutOfMemory{times: times}) }

// Report returns the present report, or waits for a newer one than after when wait is set. It ends with ctx.
func (s *Supervisor) Report(ctx context.Context, wait bool, after uint64) (*initapi.Report, error) {
	for {
		p := s.published.Load()
		if !wait || p.report.Revision != after {
			report := p.report
			report.Children = append([]initapi.Child(nil), report.Children...)
			for i := range report.Children {
				report.Children[i].LastLines = s.options.Log.Last(report.Children[i].Name)
			}
			report.Warnings = append(append([]initapi.Warning{}, s.options.Warnings...), s.options.Log.Warnings()...)
			return &report, nil
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// AwaitReady waits until every process is ready, but those of the children that are named. It ends with ctx.
func (s *Supervisor) AwaitReady(ctx context.Context, but ...string) error {
	revision, wait := uint64(0), false
	for {
		report, err := s.Report(ctx, wait, revision)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(report.Children, func(child initapi.Child) bool {
			return !slices.Contains(but, child.Name) && child.State != initapi.StateReady
		}) {
			return nil
		}
		revision, wait = report.Revision, true
	}
}

func (s *Supervisor) publish() {
	old := s.published.Load()
	if old != nil && old.report.Revision == s.machine.revision {
		return
	}
	s.published.Store(&publication{report: s.machine.report(), changed: make(chan struct{})})
	if old != nil {
		close(old.changed)
	}
}

// send hands an event to the owner unless it has ended.
func (s *Supervisor) send(event any) {
	select {
	case s.events <- event:
	case <-s.stopWaits:
	}
}

// feed gives the machine an event and carries out what it asks for, which may be further events.
func (s *Supervisor) feed(event any) {
	queue := []any{event}
	for len(queue) > 0 {
		event, queue = queue[0], queue[1:]
		for _, action := range s.machine.handle(time.Now(), event) {
			if more := s.do(action); more != nil {
				queue = append(queue, more)
			}
		}
	}
	s.publish()
}

// do carries out one action; its outcome is an event or nil.
func (s *Supervisor) do(action any) any {
	switch a := action.(type) {
	case actionStart:
		pid, err := s.start(s.specs[a.name], a.faults)
		if err != nil {
			s.options.Log.Printf("%s cannot be started: %v", a.name, err)
			return eventStartFailed{name: a.name, err: err}
		}
		return eventStarted{name: a.name, pid: pid}
	case actionTerminate:
		s.signal(a.pid, syscall.SIGTERM)
	case actionKill:
		s.options.Log.Printf("%s does not end: killed", a.name)
		s.signal(-a.pid, syscall.SIGKILL)
	case actionSweep:
		if s.specs[a.name].SweepGroup {
			s.signal(-a.pid, syscall.SIGKILL)
		}
	case actionGrace:
		if err := initapi.WriteStopGrace(s.options.RunDir, a.grace); err != nil {
			s.options.Log.Printf("%v", err)
		}
	case actionTerminateRest:
		return s.signalRest(syscall.SIGTERM)
	case actionKillRest:
		return s.signalRest(syscall.SIGKILL)
	case actionFinish:
		s.finished = true
	default:
		panic(fmt.Sprintf("initd: unknown action %T", action))
	}
	return nil
}

// signalRest signals every other process of the namespace and says so when there is none.
func (s *Supervisor) signalRest(signal syscall.Signal) any {
	if !s.options.First {
		// Outside a namespace of its own all but the children is none of its business.
		return eventAlone{}
	}
	if err := syscall.Kill(-1, signal); errors.Is(err, syscall.ESRCH) {
		return eventAlone{}
	}
	return nil
}

func (s *Supervisor) signal(pid int, signal syscall.Signal) {
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		s.options.Log.Printf("send %v to %d: %v", signal, pid, err)
	}
}

// collect reaps every process that ended, children and orphans alike.
func (s *Supervisor) collect() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 {
			// ECHILD: nothing is left of what this process started or inherited.
			if err != nil && s.machine.phase >= phaseRest && s.alone() {
				s.feed(eventAlone{})
			}
			return
		}
		if !status.Exited() && !status.Signaled() {
			continue
		}
		exit := initapi.Exit{Code: status.ExitStatus(), At: time.Now()}
		if status.Signaled() {
			exit.Code, exit.Signal = -1, status.Signal().String()
		}
		if gone, ours := s.gone[pid]; ours {
			close(gone)
			delete(s.gone, pid)
		}
		if name := s.nameOf(pid); name != "" {
			s.options.Log.Printf("%s (process %d) ended: %s", name, pid, exit)
		}
		s.feed(eventExited{pid: pid, exit: exit})
	}
}

// alone says whether no other process of the namespace is left.
func (s *Supervisor) alone() bool {
	return !s.options.First || errors.Is(syscall.Kill(-1, 0), syscall.ESRCH)
}

func (s *Supervisor) nameOf(pid int) string {
	for _, c := range s.machine.children {
		if c.PID == pid {
			return c.Name
		}
	}
	return ""
}

// start starts a process in a group of its own, connects its output to the log, and waits for its readiness.
func (s *Supervisor) start(spec *Spec, faults int) (pid int, err error) {
	if spec.Prepare != nil {
		if err := spec.Prepare(faults); err != nil {
			return 0, err
		}
	}
	armed, err := spec.Ready.Arm(3 + len(spec.Files))
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil && armed.Closer != nil {
			_ = armed.Closer.Close()
		}
	}()
	if armed.File != nil {
		defer func() { _ = armed.File.Close() }()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make the log pipe: %w", err)
	}
	defer func() { _ = writer.Close() }()

	files := append([]*os.File{null, writer, writer}, spec.Files...)
	if armed.File != nil {
		files = append(files, armed.File)
	}
	process, err := os.StartProcess(spec.Path, append([]string{filepath.Base(spec.Path)}, spec.Args...), &os.ProcAttr{
		Dir:   "/",
		Env:   append(append([]string{}, spec.Env...), armed.Env...),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = reader.Close()
		if errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("%s is not there: %w", spec.Path, err)
		}
		return 0, err
	}
	pid = process.Pid
	// The handle is of no use: this process collects its children itself.
	if err := process.Release(); err != nil {
		s.options.Log.Printf("release the handle of %s: %v", spec.Name, err)
	}
	s.options.Log.Printf("%s started (process %d)", spec.Name, pid)
	gone := make(chan struct{})
	s.gone[pid] = gone
	// Not waited for: a grandchild may hold the pipe for as long as it likes.
	go s.options.Log.Follow(spec.Name, reader)
	s.waits.Go(func() {
		if armed.Closer != nil {
			defer func() { _ = armed.Closer.Close() }()
		}
		if armed.Wait(gone) == nil {
			s.options.Log.Printf("%s is ready", spec.Name)
			s.send(eventReady{name: spec.Name, pid: pid})
		}
	})
	return pid, nil
}

// Sync flushes the file system of path to its disk.
func Sync(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	defer func() { _ = folder.Close() }()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

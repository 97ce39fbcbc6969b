package initd

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbar.dev/node/internal/initapi"
)

// heldChild is a process behind a gate.
type heldChild struct {
	*testing.T
	cmd   *exec.Cmd
	lines chan string
}

// startHeld starts a process behind a gate as the supervisor would. It has another file too.
func startHeld(t *testing.T, gate *Gate) *heldChild {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	spec := Spec{Env: append(os.Environ(), roleVariable+"=held"), Files: []*os.File{null}}
	gate.Hold(&spec)
	c := &heldChild{T: t, cmd: exec.Command(program(t)), lines: make(chan string, 8)}
	c.cmd.Env, c.cmd.ExtraFiles, c.cmd.Stderr = spec.Env, spec.Files, os.Stderr
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	return c
}

// says waits for all lines until the process ends.
func (c *heldChild) says(want string) {
	c.Helper()
	var lines []string
	deadline := time.After(10 * time.Second)
	for open := true; open; {
		select {
		case line, more := <-c.lines:
			if open = more; more {
				lines = append(lines, line)
			}
		case <-deadline:
			c.Fatalf("it did not end; it said %q", lines)
		}
	}
	if got := strings.Join(lines, "|"); got != want {
		c.Errorf("it said %q, want %q", got, want)
	}
	_ = c.cmd.Wait()
}

// waits fails the test if the process goes on.
func (c *heldChild) waits() {
	c.Helper()
	select {
	case line, open := <-c.lines:
		c.Fatalf("it did not wait: %q, %t", line, open)
	case <-time.After(100 * time.Millisecond):
	}
}

func newGate(t *testing.T) *Gate {
	t.Helper()
	gate, err := NewGate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = gate.inner.Close(), gate.outer.Close() })
	return gate
}

func mustWait(t *testing.T, gate *Gate) {
	t.Helper()
	if err := gate.Wait(); err != nil {
		t.Fatal(err)
	}
}

// What a process says that went on: it finds neither the variable nor, in a program that it starts, the descriptor.
const (
	wentOn       = "went on: <nil>|had to wait: true" + nothingLeft
	wentOnAtOnce = "went on: <nil>|had to wait: false" + nothingLeft
	nothingLeft  = "|variable: false|descriptors: 0 1 2"
)

func TestGate(t *testing.T) {
	gate := newGate(t)
	first := startHeld(t, gate)
	mustWait(t, gate)
	first.waits()
	// One that dies while it waits is followed by one that waits.
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.says("")
	second := startHeld(t, gate)
	second.waits()
	if err := gate.Open(); err != nil {
		t.Fatal(err)
	}
	second.says(wentOn)
	// Nobody waits at an open gate.
	startHeld(t, gate).says(wentOnAtOnce)
	startHeld(t, gate).says(wentOnAtOnce)
}

// Nobody was waiting when the gate opened, and of one that had there is a byte left.
func TestGateThatOpensForNobody(t *testing.T) {
	gate := newGate(t)
	child := startHeld(t, gate)
	child.waits()
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.says("")
	if err := gate.Open(); err != nil {
		t.Fatal(err)
	}
	startHeld(t, gate).says(wentOnAtOnce)
}

func TestStopAtAGate(t *testing.T) {
	gate := newGate(t)
	child := startHeld(t, gate)
	mustWait(t, gate)
	if err := child.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	child.says("went on: terminated signal received|had to wait: true" + nothingLeft)
}

func TestNobodyWaitsWithoutAGate(t *testing.T) {
	if err := initapi.AwaitIdentity(t.Context()); err != nil {
		t.Error(err)
	}
	if has, err := initapi.HasToAwaitIdentity(); err != nil || has {
		t.Errorf("it has to wait: %v %v", has, err)
	}
	t.Setenv(initapi.ParkFDVariable, "three")
	if err := initapi.AwaitIdentity(t.Context()); err == nil || !strings.Contains(err.Error(), initapi.ParkFDVariable) {
		t.Errorf("a descriptor that is no number: %v", err)
	}
}

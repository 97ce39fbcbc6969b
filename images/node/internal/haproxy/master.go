package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RefusedError is HAProxy's refusal of a configuration. The worker that runs goes on with the old one.
type RefusedError struct {
	// Messages are HAProxy's own lines about it, alerts and warnings only.
	Messages []string
}

func (e *RefusedError) Error() string {
	if len(e.Messages) == 0 {
		return "HAProxy refused the configuration without a message"
	}
	return "HAProxy refused the configuration: " + strings.Join(e.Messages, "; ")
}

// Process is one line of the master's `show proc`.
type Process struct {
	// PID is the process ID as the master sees it.
	PID int
	// Type is "master", "worker" or "program".
	Type string
	// Reloads is how many reloads ago it was started; for the master how often it has reloaded.
	Reloads int
	// FailedReloads counts the reloads since the last one that worked; of the master only.
	FailedReloads int
	// Old is set for workers of an earlier configuration that still finish their connections.
	Old bool
}

// Master is a client of the master process's command line. Its zero value is not useful.
type Master struct {
	// Socket is the path that was given to HAProxy with -S.
	Socket string
}

// Processes lists what the master runs, the master itself first.
func (m Master) Processes(ctx context.Context) ([]Process, error) {
	answer, err := exchange(ctx, m.Socket, "show proc")
	if err != nil {
		return nil, err
	}
	return parseProcesses(answer)
}

// restartWindow is how long a master may be away while it executes itself anew: for a reload and, since 3.0, once
// shortly after its start.
const restartWindow = 3 * time.Second

// Reload makes the master read its configuration again and start a worker with it, and returns when that is done. The
// old worker takes no more connections then and finishes those it has. A refusal is a *RefusedError.
func (m Master) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	for {
		before, err := m.awaitMaster(ctx)
		if err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		answer, err := exchange(ctx, m.Socket, "reload")
		switch {
		case err != nil && !disconnected(err):
			return fmt.Errorf("reload: %w", err)
		case strings.HasPrefix(answer, "Success="):
			return parseVerdict(answer)
		case strings.TrimSpace(answer) != "":
			return fmt.Errorf("reload: HAProxy answered %q", strings.TrimSpace(answer))
		}
		// Before 2.7 the master only closes the connection, and so does one that executes itself anew just now, without a
		// reload. What became of it is in its counters.
		after, err := m.awaitMaster(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("reload: %w", err)
		case after.FailedReloads > before.FailedReloads:
			return &RefusedError{}
		case after.PID != before.PID || after.Reloads != before.Reloads:
			return nil
		}
	}
}

// awaitMaster waits for a master that executes itself anew, and returns its own entry in the list of processes.
func (m Master) awaitMaster(ctx context.Context) (Process, error) {
	ctx, cancel := context.WithTimeout(ctx, restartWindow)
	defer cancel()
	for {
		processes, err := m.Processes(ctx)
		if err == nil {
			return processes[0], nil
		}
		// The first answers after a start may be cut short, too, so that they make no sense.
		if !disconnected(err) && !errors.Is(err, errUnexpected) {
			return Process{}, err
		}
		select { // the socket is not there meanwhile, so there is nothing to wait on but time
		case <-ctx.Done():
			return Process{}, fmt.Errorf("the master process does not answer: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// disconnected says that a socket is not there or its other end went away.
func disconnected(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// Unreachable says that err means that no HAProxy listens at the socket, as during its start and after a crash.
func Unreachable(err error) bool { return disconnected(err) }

// errUnexpected is an answer that is not what was asked for.
var errUnexpected = errors.New("unexpected answer")

// parseVerdict reads the answer that `reload` gives since 2.7: "Success=0|1", "--" and the log of the start.
func parseVerdict(answer string) error {
	verdict, log, _ := strings.Cut(answer, "\n")
	if verdict == "Success=1" {
		return nil
	}
	return &RefusedError{Messages: complaints(log)}
}

// complaints are the lines of a start's log that matter: what was alerted and warned of, without the process ID. Lines
// without a mark continue the one before.
func complaints(log string) []string {
	var found []string
	matters := false
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "[") {
			if matters {
				found[len(found)-1] += " " + line
			}
			continue
		}
		matters = false
		if strings.HasPrefix(line, "[ALERT]") || strings.HasPrefix(line, "[WARNING]") {
			_, text, ok := strings.Cut(line, ") : ")
			if matters = ok && !strings.Contains(text, "Former worker"); matters {
				found = append(found, text)
			}
		}
	}
	return found
}

func parseProcesses(answer string) ([]Process, error) {
	var processes []Process
	old := false
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			old = strings.HasPrefix(line, "# old")
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("show proc: %w: %q", errUnexpected, line)
		}
		reloads, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("show proc: %w: %q", errUnexpected, line)
		}
		process := Process{PID: pid, Type: fields[1], Reloads: reloads, Old: old}
		if len(fields) > 4 && fields[3] == "[failed:" {
			process.FailedReloads, err = strconv.Atoi(strings.TrimSuffix(fields[4], "]"))
			if err != nil {
				return nil, fmt.Errorf("show proc: %w: %q", errUnexpected, line)
			}
		}
		processes = append(processes, process)
	}
	if len(processes) == 0 {
		return nil, fmt.Errorf("show proc: %w: %q", errUnexpected, answer)
	}
	return processes, nil
}

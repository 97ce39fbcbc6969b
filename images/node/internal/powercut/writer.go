package powercut

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// These tell a test's own binary that it is to play a part, and which disk it is to mount where.
	roleVariable, deviceVariable, folderVariable = "SANDBAR_TEST_POWERCUT_ROLE", "SANDBAR_TEST_POWERCUT_DEVICE",
		"SANDBAR_TEST_POWERCUT_FOLDER"
	// seedVariable repeats what chance did in an earlier run.
	seedVariable = "SANDBAR_TEST_SEED"
)

// Chance is the test's own; its seed is in the log.
func Chance(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv(seedVariable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Main is a test binary's TestMain: the binary runs again as a process that has the disk open. A part gets the disk's folder and
// prints what it has to say, a line each; one that writes says what it promises with Acknowledge.
func Main(m *testing.M, parts map[string]func(folder string) error) {
	role, folder := os.Getenv(roleVariable), os.Getenv(folderVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	play := parts[role]
	if role == rehearsal {
		play = cut
	}
	err := mount(os.Getenv(deviceVariable), folder)
	if err == nil {
		err = play(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Acknowledge is what a part calls when something is promised: it says so, and when.
func Acknowledge(what string) error {
	now, err := monotonic()
	if err == nil {
		_, err = fmt.Printf("%d %s\n", now, what)
	}
	return err
}

// monotonic is the clock that all processes share, in nanoseconds.
func monotonic() (int64, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano(), err
}

func (d *Disk) command(ctx context.Context, role string, variables []string) *exec.Cmd {
	d.t.Helper()
	program, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	command := exec.CommandContext(ctx, program)
	own := []string{
		roleVariable + "=" + role, deviceVariable + "=" + d.device, folderVariable + "=" + d.folder,
		// What a process that is killed leaves there goes with the disk.
		"TMPDIR=" + filepath.Dir(d.folder),
	}
	command.Env = slices.Concat(os.Environ(), own, variables)
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return command
}

// Play runs this test binary in a part that ends by itself, and returns what it said.
func (d *Disk) Play(role string, limit time.Duration) ([]string, error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	var stderr bytes.Buffer
	command := d.command(ctx, role, nil)
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w (limit %s): %s", err, limit, tail(&stderr))
	}
	return slices.Collect(strings.Lines(string(output))), nil
}

// WriteUntilCut runs this test binary in a part that writes, and cuts the power so long after its first acknowledgement. It returns what was acknowledged before the writer was gone. variables are added to its environment.
func (d *Disk) WriteUntilCut(role string, after time.Duration, variables ...string) []string {
	d.t.Helper()
	var stderr bytes.Buffer
	writer := d.command(d.t.Context(), role, variables)
	writer.Stderr = &stderr
	output, err := writer.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		d.t.Fatal(err)
	}
	lines := make(chan string, 1024)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	var acknowledged []string
	var due <-chan time.Time
	patience := time.After(time.Minute)
	for over := false; !over; {
		select {
		case line, more := <-lines:
			if !more {
				d.t.Fatalf("the writer ended by itself: %v: %s", writer.Wait(), tail(&stderr))
			}
			acknowledged = append(acknowledged, line)
			if due == nil {
				due = time.After(after)
			}
		case <-due:
			over = true
		case <-patience:
			d.t.Error("nothing was acknowledged within a minute")
			over = true
		}
	}
	moment, err := monotonic()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cut(filepath.Join("/proc", strconv.Itoa(writer.Process.Pid), "root", d.folder)); err != nil {
		d.t.Fatal(err)
	}
	killed := writer.Process.Kill()
	for line := range lines {
		acknowledged = append(acknowledged, line)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(writer.Wait(), &exit) {
		d.t.Errorf("the writer ended well after the power was cut (%v)", killed)
	}
	return d.before(moment, acknowledged)
}

// before are the acknowledgements that were given before a moment. Without power nobody would have said anything after the
// cut: ext4 tells some who wait at that moment that their data is there.
func (d *Disk) before(moment int64, lines []string) []string {
	d.t.Helper()
	var all []string
	for _, line := range lines {
		when, what, _ := strings.Cut(line, " ")
		at, err := strconv.ParseInt(when, 10, 64)
		if err != nil {
			d.t.Fatalf("the writer said %q", line)
		}
		if at < moment {
			all = append(all, what)
		}
	}
	return all
}

// tail is the end of what a process complained of.
func tail(said *bytes.Buffer) []byte {
	return said.Bytes()[max(0, said.Len()-2000):]
}

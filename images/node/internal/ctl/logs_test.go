package ctl_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/ctl"
	"sandbar.dev/node/internal/initapi"
)

// writeLogs writes logs as a node has them.
func (n *node) writeLogs() {
	n.t.Helper()
	n.write(n.layout.ChildLog("init"), "2026-01-02T03:04:05.000Z init INFO begins\n")
	n.write(n.layout.ChildLog("containerd"), `time="2026-01-02T03:04:07.500Z" level=info msg="starting"`+"\n")
	n.write(n.layout.ChildLog("haproxy"), "[NOTICE] (9) : New worker\n")
	n.write(n.layout.ChildLog("node")+".1", "2026-01-02T03:04:06.000Z etcd info one\n2026-01-02T03:04:07.000Z kubelet error two\n\tof two lines\n")
	n.write(n.layout.ChildLog("node"), "2026-01-02T03:04:08.000Z etcd info three\nno time\n2026-01-02T03:04:09.000Z node info four")
}

func TestLogs(t *testing.T) {
	for arguments, want := range map[string][]string{
		"": {
			"haproxy: [NOTICE] (9) : New worker",
			"2026-01-02T03:04:05.000Z init INFO begins",
			"2026-01-02T03:04:06.000Z etcd info one",
			"2026-01-02T03:04:07.000Z kubelet error two",
			"\tof two lines",
			`containerd: time="2026-01-02T03:04:07.500Z" level=info msg="starting"`,
			"2026-01-02T03:04:08.000Z etcd info three",
			"no time",
			"2026-01-02T03:04:09.000Z node info four",
		},
		"--tail 2":      {"no time", "2026-01-02T03:04:09.000Z node info four"},
		"--tail 0":      nil,
		"kubelet":       {"2026-01-02T03:04:07.000Z kubelet error two", "\tof two lines"},
		"etcd --tail 1": {"no time"},
		"containerd":    {`time="2026-01-02T03:04:07.500Z" level=info msg="starting"`},
		"init":          {"2026-01-02T03:04:05.000Z init INFO begins"},
	} {
		n := newNode(t)
		n.writeLogs()
		code, stdout, stderr := n.run(append([]string{"logs"}, strings.Fields(arguments)...)...)
		expected := strings.Join(append(want, ""), "\n")
		if code != 0 || stdout != expected {
			t.Errorf("%q: got %d, %s\n%s\nwant\n%s", arguments, code, stderr, stdout, expected)
		}
	}
}

func TestLogsOfNobody(t *testing.T) {
	n := newNode(t)
	n.writeLogs()
	code, stdout, stderr := n.run("logs", "etdc")
	if code != 1 || stdout != "" || stderr != "sandbarctl: there are no lines of a component named \"etdc\"\n" {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
	n.serveInit(childReport(initapi.StateReady, nil))
	n.serveNode(component.StateReady)
	code, _, stderr = n.run("logs", "etdc")
	if code != 2 || stderr != "sandbarctl: there is no component \"etdc\"; there are containerd, etcd, haproxy, init, node\n" {
		t.Errorf("got %d, %q", code, stderr)
	}
}

// TestFollow: lines are printed as they are written, once each, across rotations and from logs that are made later.
func TestFollow(t *testing.T) {
	n := newNode(t)
	n.write(n.layout.ChildLog("node"), "2026-01-02T03:04:05.000Z etcd info 0\n")
	output, problems := &safeBuffer{}, &safeBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan int)
	go func() { done <- ctl.Run(ctx, n.environment(output, problems), []string{"logs", "--follow"}) }()
	output.await(t, "etcd info 0\n")
	path := n.layout.ChildLog("node")
	for i := 1; i <= 5; i++ {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		// A line in two writes is printed when it is whole.
		for _, part := range []string{"2026-01-02T03:04:05.000Z etcd", fmt.Sprintf(" info %d\n", i)} {
			if _, err := file.WriteString(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
		output.await(t, fmt.Sprintf("info %d\n", i))
	}
	n.write(n.layout.ChildLog("haproxy"), "late\n")
	output.await(t, "haproxy: late\n")
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("got %d, %s", code, problems)
	}
	if lines := strings.Count(output.String(), "\n"); lines != 7 {
		t.Errorf("each line must be printed once:\n%s", output)
	}
}

// TestUntilEOF: what would go on for ever ends with its input where it is told so, and else does not look at it.
func TestUntilEOF(t *testing.T) {
	n := newNode(t)
	n.writeLogs()
	for _, command := range [][]string{{"logs", "--follow", "--until-eof"}, {"status", "--watch", "--until-eof"}} {
		input, feed := io.Pipe()
		env := n.environment(&safeBuffer{}, &safeBuffer{})
		env.Stdin = input
		done := make(chan int)
		go func() { done <- ctl.Run(context.Background(), env, command) }()
		if _, err := feed.Write([]byte("anything")); err != nil {
			t.Fatal(err)
		}
		select {
		case code := <-done:
			t.Fatalf("%v ended with %d while there was input", command, code)
		default:
		}
		if err := feed.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%v goes on without input", command)
		}
	}
}

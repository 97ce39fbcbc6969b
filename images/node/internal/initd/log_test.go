package initd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogKeepsTheNewestLines(t *testing.T) {
	var console bytes.Buffer
	log := NewLog(t.TempDir(), &console)
	var text strings.Builder
	for i := range keptLines + 5 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	log.Follow("node", io.NopCloser(strings.NewReader(text.String()+"no newline")))
	lines := log.Last("node")
	if len(lines) != keptLines || lines[0] != "line 6" || lines[keptLines-1] != "no newline" {
		t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	log.Close(time.Second)
	if !strings.HasSuffix(console.String(), "node: line 104\nnode: no newline\n") {
		t.Errorf("console: %q", console.String())
	}
	if log.Last("nobody") != nil {
		t.Error("lines of nobody")
	}
}

func TestLogCutsLongLines(t *testing.T) {
	log := NewLog("", nil)
	log.Follow("node", io.NopCloser(strings.NewReader(strings.Repeat("x", longestLine+1)+"\nshort\n")))
	lines := log.Last("node")
	if len(lines) != 3 || len(lines[0]) != longestLine || lines[1] != "x" || lines[2] != "short" {
		t.Errorf("%d lines", len(lines))
	}
}

func TestLogRotates(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "node.log")
	line := strings.Repeat("x", 1023)
	log := NewLog(directory, nil)
	for range (rotateAt/1024)*3 + 5 {
		log.add("node", line, time.Now())
	}
	log.Close(time.Second)
	for name, want := range map[string]int64{path: 5 << 10, path + ".1": rotateAt, path + ".2": rotateAt} {
		if info, err := os.Stat(name); err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v; want %d bytes", name, info, err, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a third old file is kept")
	}
}

func TestLogSurvivesAFullDisk(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "node.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	log := NewLog(directory, nil)
	now := time.Now()
	for i := range 3 {
		log.add("node", fmt.Sprint("lost ", i), now)
	}
	warnings := log.Warnings()
	if len(warnings) != 1 || warnings[0].Code != "LogNotWritten" ||
		!strings.HasPrefix(warnings[0].Message, "3 lines of node are not in its log file: ") {
		t.Fatalf("warnings %+v", warnings)
	}
	if lines := log.Last("node"); len(lines) != 3 {
		t.Errorf("lines in memory: %v", lines)
	}
	// There is room again, and the file is opened anew.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	log.add("node", "kept", now.Add(retryFile))
	if got := log.Warnings(); len(got) != 0 {
		t.Errorf("warnings %+v", got)
	}
	log.Close(time.Second)
	if data, err := os.ReadFile(path); err != nil || string(data) != "kept\n" {
		t.Errorf("file: %q, %v", data, err)
	}
}

// A console that takes nothing must not hold up a process.
func TestLogDoesNotWaitForTheConsole(t *testing.T) {
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }()
	log := NewLog("", writer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10 * console {
			log.add("node", "line", time.Now())
		}
		log.Close(time.Millisecond)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the log waits for its console")
	}
}

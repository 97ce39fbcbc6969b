package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// keptLogs is how many rotated files sandbar-init keeps of each log: NAME.log.1 is the newer one.
const keptLogs = 2

// logLine is a line of a log with what is known of it. A line that begins no message of its own has the time and the
// component of the message that it belongs to.
type logLine struct {
	time      time.Time
	component string
	text      string
}

// logFile reads the log of one child of sandbar-init, across rotations.
type logFile struct {
	// child is "node", "containerd", "haproxy" or "init".
	child string
	path  string

	// open are the files that are still to be read, oldest first; the last one is the one that is written to.
	open   []*os.File
	buffer *bufio.Reader
	// partial is the beginning of a line whose end is not written yet.
	partial string
	// last is the line before, from which a continued message inherits.
	last logLine
}

// openLog opens a child's log with its rotated files. A log that is not there yet is empty.
func openLog(child, path string) (*logFile, error) {
	log := &logFile{child: child, path: path, last: logLine{component: child}}
	// From the newest to the oldest, and without those seen already: a rotation in between then hides nothing.
	for i := range keptLogs + 1 {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		if err := log.openOlder(name); err != nil {
			log.close()
			return nil, err
		}
	}
	return log, nil
}

func (l *logFile) openOlder(name string) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open a log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open a log: %w", err), file.Close())
	}
	for _, other := range l.open {
		if seen, err := other.Stat(); err == nil && os.SameFile(seen, info) {
			return file.Close() // closing a file that was only read
		}
	}
	l.open = append([]*os.File{file}, l.open...)
	return nil
}

func (l *logFile) close() {
	for _, file := range l.open {
		_ = file.Close() // only read
	}
	l.open = nil
}

// next returns the next whole line; false at the end of what is written so far.
func (l *logFile) next() (logLine, bool, error) {
	for len(l.open) > 0 {
		if l.buffer == nil {
			l.buffer = bufio.NewReaderSize(l.open[0], 64<<10)
		}
		text, err := l.buffer.ReadString('\n')
		l.partial += text
		if err == nil {
			line := l.parse(strings.TrimSuffix(l.partial, "\n"))
			l.partial = ""
			return line, true, nil
		}
		if !errors.Is(err, io.EOF) {
			return logLine{}, false, fmt.Errorf("read %s: %w", l.path, err)
		}
		if len(l.open) == 1 {
			break
		}
		_ = l.open[0].Close() // only read
		l.open, l.buffer = l.open[1:], nil
	}
	return logLine{}, false, nil
}

// rest returns a last line that has no end.
func (l *logFile) rest() (logLine, bool) {
	if l.partial == "" {
		return logLine{}, false
	}
	line := l.parse(l.partial)
	l.partial = ""
	return line, true
}

// rotated opens the file that is written to now, if it is another than the one that was read to its end.
func (l *logFile) rotated() (bool, error) {
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open a log: %w", err)
	}
	if len(l.open) > 0 {
		now, nowErr := file.Stat()
		before, beforeErr := l.open[0].Stat()
		if nowErr == nil && beforeErr == nil && os.SameFile(now, before) {
			return false, file.Close() // closing a file that was only read
		}
	}
	l.open = append(l.open, file)
	return true, nil
}

// parse finds out when a line was written and by whom.
func (l *logFile) parse(text string) logLine {
	line := logLine{time: l.last.time, component: l.last.component, text: text}
	switch l.child {
	case "containerd":
		if rest, found := strings.CutPrefix(text, `time="`); found {
			if value, _, found := strings.Cut(rest, `"`); found {
				line.time = parseTime(value, line.time)
			}
		}
	default:
		// 2026-11-23T10:11:12.345Z component level message
		stamp, rest, _ := strings.Cut(text, " ")
		if written := parseTime(stamp, time.Time{}); !written.IsZero() {
			line.time = written
			if name, _, found := strings.Cut(rest, " "); found && l.child == "node" {
				line.component = name
			}
		}
	}
	l.last = line
	return line
}

func parseTime(text string, otherwise time.Time) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return otherwise
	}
	return parsed
}

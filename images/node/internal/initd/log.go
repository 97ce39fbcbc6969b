package initd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sandbar.dev/node/internal/initapi"
)

const (
	// keptLines is how many of the newest lines of each process are kept in memory.
	keptLines = 100
	// longestLine is where a line is cut, in bytes.
	longestLine = 16 << 10
	// rotateAt is the size in bytes from which a log file is rotated; keptFiles old ones stay.
	rotateAt  = 10 << 20
	keptFiles = 2
	// console is how many lines may wait for a standard output that does not take them; more are dropped.
	console = 1024
	// retryFile is how long a log file that could not be written is left alone.
	retryFile = 10 * time.Second
	// ownName is the name under which sandbar-init's own lines stand.
	ownName = "init"
)

// Log takes the lines of all processes: the newest into memory, all into a file each and to standard output. Neither a
// full disk nor a reader that does not read ever stops a process.
type Log struct {
	directory string
	output    chan []byte
	done      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	streams map[string]*stream
}

type stream struct {
	lines   []string
	file    *os.File
	size    int64
	retryAt time.Time
	failure error
	// lost counts lines that are not in the file.
	lost int
}

// NewLog writes files into directory (empty: none) and copies to output (nil: none).
func NewLog(directory string, output io.Writer) *Log {
	l := &Log{directory: directory, streams: map[string]*stream{}}
	if output != nil {
		l.output = make(chan []byte, console)
		l.done.Go(func() {
			for line := range l.output {
				// Nobody could be told of a failure.
				_, _ = output.Write(line)
			}
		})
	}
	return l
}

// Printf adds a line of sandbar-init itself, with the time in front.
func (l *Log) Printf(format string, args ...any) {
	now := time.Now()
	l.add(ownName, fmt.Sprintf("%s init INFO %s", now.UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, args...)), now)
}

// Follow adds the lines of reader under name until its end, and closes it.
func (l *Log) Follow(name string, reader io.ReadCloser) {
	defer func() { _ = reader.Close() }()
	buffered := bufio.NewReaderSize(reader, longestLine)
	for {
		line, err := buffered.ReadSlice('\n')
		if length := len(line); length > 0 {
			if line[length-1] == '\n' {
				line = line[:length-1]
			}
			l.add(name, string(line), time.Now())
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Last returns the newest lines of name, oldest first.
func (l *Log) Last(name string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.streams[name]; s != nil {
		return append([]string(nil), s.lines...)
	}
	return nil
}

// Warnings says which log files cannot be written now.
func (l *Log) Warnings() []initapi.Warning {
	l.mu.Lock()
	defer l.mu.Unlock()
	var warnings []initapi.Warning
	for name, s := range l.streams {
		if s.failure != nil {
			warnings = append(warnings, initapi.Warning{
				Code:    "LogNotWritten",
				Message: fmt.Sprintf("%d lines of %s are not in its log file: %v", s.lost, name, s.failure),
				Hint:    "make room on the volume; the newest lines are shown by status",
			})
		}
	}
	return warnings
}

// Close writes what waits for standard output, at most for limit, and closes the files.
func (l *Log) Close(limit time.Duration) {
	l.mu.Lock()
	l.closed = true
	if l.output != nil {
		close(l.output)
	}
	for _, s := range l.streams {
		if s.file != nil {
			_ = s.file.Close()
			s.file = nil
		}
	}
	l.mu.Unlock()
	written := make(chan struct{})
	go func() {
		l.done.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(limit):
	}
}

func (l *Log) add(name, line string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	s := l.streams[name]
	if s == nil {
		s = &stream{}
		l.streams[name] = s
	}
	if len(s.lines) == keptLines {
		copy(s.lines, s.lines[1:])
		s.lines[keptLines-1] = line
	} else {
		s.lines = append(s.lines, line)
	}
	if l.output != nil {
		select {
		case l.output <- []byte(name + ": " + line + "\n"):
		default:
		}
	}
	if l.directory != "" {
		l.write(name, s, line, now)
	}
}

func (l *Log) write(name string, s *stream, line string, now time.Time) {
	if s.failure != nil && now.Before(s.retryAt) {
		s.lost++
		return
	}
	if err := l.append(name, s, line); err != nil {
		s.failure, s.retryAt = err, now.Add(retryFile)
		s.lost++
		if s.file != nil {
			_ = s.file.Close()
			s.file = nil
		}
		return
	}
	if s.failure != nil {
		s.failure, s.lost = nil, 0
	}
}

func (l *Log) append(name string, s *stream, line string) error {
	path := filepath.Join(l.directory, name+".log")
	if s.file != nil && s.size >= rotateAt {
		_ = s.file.Close()
		s.file = nil
		for i := keptFiles; i > 0; i-- {
			from := path
			if i > 1 {
				from = fmt.Sprintf("%s.%d", path, i-1)
			}
			if err := os.Rename(from, fmt.Sprintf("%s.%d", path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if s.file == nil {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err != nil {
			_ = file.Close()
			return err
		}
		s.file, s.size = file, info.Size()
	}
	n, err := s.file.WriteString(line + "\n")
	s.size += int64(n)
	return err
}

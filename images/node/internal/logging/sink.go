// Package logging is the node's one log handler. Kubernetes' components, etcd and the rest share a process and would each
// write their own format; here each line says which component it belongs to, in the second column:
//
//	2026-11-23T10:11:12.345Z kubelet info message key=value
//
// Lines that follow and start with a tab belong to the same message.
package logging

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Node is the component of lines that no component wrote.
const Node = "node"

// The levels of a line, in its third column.
const (
	levelInfo  = "info"
	levelWarn  = "warn"
	levelError = "error"
)

// output is what all sinks of a process share.
type output struct {
	mu        sync.Mutex
	w         io.Writer
	now       func() time.Time
	verbosity atomic.Int32
}

// sink formats lines. Its component, if any, wins over that of the goroutine.
type sink struct {
	out       *output
	component string
	values    string
}

// New returns a logger that writes to w, one Write call a message. Messages with a higher verbosity are dropped where
// the logger is asked; klog's own functions ask klog's flag instead.
func New(w io.Writer, verbosity int) logr.Logger {
	out := &output{w: w, now: time.Now}
	out.verbosity.Store(int32(verbosity)) // levels are single digits
	return logr.New(&sink{out: out})
}

// ForComponent returns a logger whose lines belong to the named component.
func ForComponent(logger logr.Logger, component string) logr.Logger {
	if s, ok := logger.GetSink().(*sink); ok {
		named := *s
		named.component = component
		return logger.WithSink(&named)
	}
	return logger.WithName(component)
}

func (s *sink) Init(logr.RuntimeInfo) {}

func (s *sink) Enabled(level int) bool { return level <= int(s.out.verbosity.Load()) }

func (s *sink) Info(_ int, message string, keysAndValues ...any) {
	s.write(levelInfo, message, keysAndValues)
}

func (s *sink) Error(err error, message string, keysAndValues ...any) {
	if err != nil {
		keysAndValues = append(keysAndValues[:len(keysAndValues):len(keysAndValues)], "err", err)
	}
	s.write(levelError, message, keysAndValues)
}

// WithName keeps the sink: a library's own names say less than the component.
func (s *sink) WithName(string) logr.LogSink { return s }

func (s *sink) WithValues(keysAndValues ...any) logr.LogSink {
	with := *s
	with.values += format(keysAndValues)
	return &with
}

func (s *sink) write(level, message string, keysAndValues []any) {
	component := s.component
	if component == "" {
		component = goroutineComponent()
	}
	var line strings.Builder
	line.WriteString(s.out.now().UTC().Format("2006-01-02T15:04:05.000Z"))
	for _, column := range []string{component, level} {
		line.WriteByte(' ')
		line.WriteString(column)
	}
	line.WriteByte(' ')
	line.WriteString(oneMessage(message))
	line.WriteString(s.values)
	line.WriteString(format(keysAndValues))
	line.WriteByte('\n')

	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	// A log that cannot be written can be reported nowhere.
	_, _ = io.WriteString(s.out.w, line.String())
}

// oneMessage indents the lines after the first, so that a reader can tell them from messages.
func oneMessage(message string) string {
	return strings.ReplaceAll(strings.TrimRight(message, "\n"), "\n", "\n\t")
}

// format is " key=value" for each pair; values with spaces or quotes are quoted.
func format(keysAndValues []any) string {
	var text strings.Builder
	for i := 0; i < len(keysAndValues); i += 2 {
		var value any = "(missing)"
		if i+1 < len(keysAndValues) {
			value = keysAndValues[i+1]
		}
		fmt.Fprintf(&text, " %v=%s", keysAndValues[i], formatValue(value))
	}
	return text.String()
}

func formatValue(value any) (text string) {
	// A broken MarshalLog method must not end the node; fmt looks after String and Error itself.
	defer func() {
		if failure := recover(); failure != nil {
			text = fmt.Sprintf("(panic: %v)", failure)
		}
	}()
	switch v := value.(type) {
	case logr.Marshaler:
		text = fmt.Sprintf("%v", v.MarshalLog())
	case []byte:
		text = string(v)
	default:
		text = fmt.Sprintf("%+v", v)
	}
	if text == "" || strings.ContainsAny(text, " \t\n\"=") {
		return strconv.Quote(text)
	}
	return text
}

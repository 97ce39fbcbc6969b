package logging

import (
	"io"
	"log"
	"log/slog"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Install makes logger the process's only one: klog's, the standard library's log and slog write to it. Only a main calls
// it, once, before anything else logs.
func Install(logger logr.Logger) {
	klog.SetLoggerWithOptions(logger, klog.ContextualLogger(true))
	slog.SetDefault(slog.New(logr.ToSlogHandler(logger)))
	log.SetFlags(0)
	log.SetOutput(Writer(logger))
}

// SetVerbosity sets klog's level, of logger and of klog's own functions.
func SetVerbosity(logger logr.Logger, verbosity int) error {
	if s, ok := logger.GetSink().(*sink); ok {
		s.out.verbosity.Store(int32(verbosity)) // levels are single digits
	}
	var level klog.Level
	return level.Set(strconv.Itoa(verbosity))
}

// Writer turns each Write into one message.
func Writer(logger logr.Logger) io.Writer { return writer{logger} }

type writer struct{ logger logr.Logger }

func (w writer) Write(data []byte) (int, error) {
	w.logger.Info(strings.TrimRight(string(data), "\n"))
	return len(data), nil
}

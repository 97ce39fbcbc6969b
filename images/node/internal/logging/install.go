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
// it, once, before anything else logs. verbosity is klog's level.
func Install(logger logr.Logger, verbosity int) error {
	klog.SetLoggerWithOptions(logger, klog.ContextualLogger(true))
	var level klog.Level
	if err := level.Set(strconv.Itoa(verbosity)); err != nil {
		return err
	}
	slog.SetDefault(slog.New(logr.ToSlogHandler(logger)))
	log.SetFlags(0)
	log.SetOutput(Writer(logger))
	return nil
}

// Writer turns each Write into one message.
func Writer(logger logr.Logger) io.Writer { return writer{logger} }

type writer struct{ logger logr.Logger }

func (w writer) Write(data []byte) (int, error) {
	w.logger.Info(strings.TrimRight(string(data), "\n"))
	return len(data), nil
}

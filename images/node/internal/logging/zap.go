package logging

import (
	"slices"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Zap returns a zap logger, as etcd wants one, that writes to logger. Messages of levels that are not enabled are dropped.
func Zap(logger logr.Logger, level zapcore.LevelEnabler) *zap.Logger {
	return zap.New(&zapCore{LevelEnabler: level, logger: logger})
}

type zapCore struct {
	zapcore.LevelEnabler
	logger logr.Logger
	fields []zapcore.Field
}

func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	with := *c
	with.fields = append(slices.Clone(c.fields), fields...)
	return &with
}

func (c *zapCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *zapCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	var keysAndValues []any
	for _, field := range slices.Concat(c.fields, fields) {
		one := zapcore.NewMapObjectEncoder()
		field.AddTo(one)
		if value, ok := one.Fields[field.Key]; ok {
			keysAndValues = append(keysAndValues, field.Key, value)
		}
	}
	switch s, ours := c.logger.GetSink().(*sink); {
	case entry.Level >= zapcore.ErrorLevel:
		c.logger.Error(nil, entry.Message, keysAndValues...)
	case entry.Level == zapcore.WarnLevel && ours:
		s.write(levelWarn, entry.Message, keysAndValues)
	default:
		c.logger.Info(entry.Message, keysAndValues...)
	}
	return nil
}

func (c *zapCore) Sync() error { return nil }

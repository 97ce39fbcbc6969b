package logging

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLines(t *testing.T) {
	var buffer bytes.Buffer
	logger := New(&buffer, 2)
	logger.GetSink().(*sink).out.now = func() time.Time { return time.Unix(0, 123e6) }
	named := ForComponent(logger, "kubelet")

	for _, test := range []struct {
		log  func()
		want string
	}{
		{func() { logger.Info("hello", "a", 1, "b", "two words") }, `node info hello a=1 b="two words"`},
		{func() { named.Error(errors.New("no"), "failed") }, `kubelet error failed err=no`},
		{
			func() { named.WithName("x").WithValues("pod", "a/b").Info("m", "odd") },
			`kubelet info m pod=a/b odd=(missing)`,
		},
		{func() { named.Info("first\nsecond\n") }, "kubelet info first\n\tsecond"},
		{func() { named.V(3).Info("not shown") }, ""},
		{
			func() { named.Info("m", "empty", "", "broken", broken{}) },
			`kubelet info m empty="" broken="%!v(PANIC=String method: broken)"`,
		},
		{
			func() {
				Zap(named, zapcore.InfoLevel).With(zap.Int("n", 3)).Warn("slow", zap.Duration("took", time.Second))
			},
			`kubelet warn slow n=3 took=1s`,
		},
		{func() { Zap(named, zapcore.WarnLevel).Info("dropped") }, ""},
	} {
		buffer.Reset()
		test.log()
		want := ""
		if test.want != "" {
			want = "1970-01-01T00:00:00.123Z " + test.want + "\n"
		}
		if got := buffer.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

type broken struct{}

func (broken) String() string { panic("broken") }

func TestGoroutinesInheritTheirComponent(t *testing.T) {
	var buffer bytes.Buffer
	logger := New(&buffer, 0)
	var wait sync.WaitGroup
	for _, name := range []string{"etcd", "apiserver"} {
		wait.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("component", name), func(context.Context) {
				Attribute(name)
				var inner sync.WaitGroup
				inner.Go(func() { logger.Info("from a goroutine of " + name) })
				inner.Wait()
				Detach(func() { logger.Info("from nobody") })
			})
		})
	}
	wait.Wait()
	logger.Info("from the test")

	got := buffer.String()
	for _, want := range []string{
		` etcd info from a goroutine of etcd\n`, ` apiserver info from a goroutine of apiserver\n`,
		` node info from nobody\n`, ` node info from the test\n`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

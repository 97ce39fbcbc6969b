package etcd

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func start(t *testing.T, options Options) (*Etcd, func()) {
	t.Helper()
	return run(t, New(options))
}

func run(t *testing.T, e *Etcd) (*Etcd, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- e.Run(ctx, func() { close(ready) }) }()
	begin := time.Now()
	select {
	case <-ready:
		t.Logf("ready after %s", time.Since(begin))
	case err := <-done:
		cancel()
		t.Fatalf("etcd ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready after 30 s")
	}
	return e, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

func client(t *testing.T, e *Etcd) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{e.Endpoint()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	options := Options{DataDir: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "etcd.sock")}
	e, stop := start(t, options)
	if _, err := client(t, e).Put(t.Context(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	if err := e.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	info, err := os.Stat(options.DataDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v %v", info.Mode(), err)
	}
	stop()

	e, stop = start(t, options)
	defer stop()
	response, err := client(t, e).Get(t.Context(), "key")
	if err != nil || len(response.Kvs) != 1 || string(response.Kvs[0].Value) != "value" {
		t.Errorf("after a restart: %v %v", response, err)
	}
}

// Without an election that is asked for, at least one tick goes by first.
func TestIsElectedAtOnce(t *testing.T) {
	dir := t.TempDir()
	e := New(Options{DataDir: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "etcd.sock")})
	e.tick = 10 * time.Second // the election timeout is five of them, and 50 s is the most that etcd takes
	begin := time.Now()
	_, stop := run(t, e)
	defer stop()
	if took := time.Since(begin); took >= e.tick {
		t.Errorf("ready after %s: raft waited for a tick", took)
	}
}

// Entries that a start has to apply are dropped from memory while raft may still look at them: an election that is asked for
// in between ends the process. The log is longer than what is kept (SnapshotCatchUpEntries).
func TestIsElectedAfterALongLog(t *testing.T) {
	dir := t.TempDir()
	options := Options{DataDir: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "etcd.sock")}
	e, stop := start(t, options)
	c := client(t, e)
	for number := range 600 {
		if _, err := c.Put(t.Context(), "key", strconv.Itoa(number)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		stop()
		_, stop = start(t, options)
	}
	stop()
}

func TestConfiguration(t *testing.T) {
	config, err := build(Options{DataDir: "/d", Socket: "/s"}, tick, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Validate(); err != nil {
		t.Errorf("etcd refuses its configuration: %v", err)
	}
	if config.UnsafeNoFsync {
		t.Error("a write would be acknowledged before it is on disk")
	}
	if len(config.ListenPeerUrls) != 0 || config.ListenClientUrls[0].String() != "unix:///s" {
		t.Errorf("listens on %v and %v", config.ListenPeerUrls, config.ListenClientUrls)
	}
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"sandbar.dev/node/internal/powercut"
)

const (
	// cuts is how often the power is cut.
	cuts = 30
	// roundVariable tells the writer which round it is; unsafeVariable that nothing is to be synchronised.
	roundVariable, unsafeVariable = "SANDBAR_TEST_ROUND", "SANDBAR_TEST_UNSAFE"
)

// value is what a key's value begins with: long, so that the log grows by pages.
var value = strings.Repeat("v", 2000)

func TestMain(m *testing.M) {
	powercut.Main(m, map[string]func(string) error{"write": write, "read": read})
}

// write is the process whose power is cut: it puts keys until it is killed, and says each one that was acknowledged.
func write(folder string) error {
	e := New(onDisk(folder))
	ready, done := make(chan struct{}), make(chan error, 1)
	if os.Getenv(unsafeVariable) != "" {
		if err := startUnsafe(e.options); err != nil {
			return err
		}
		close(ready)
	} else {
		go func() { done <- e.Run(context.Background(), func() { close(ready) }) }()
	}
	select {
	case <-ready:
	case err := <-done:
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	for number := 0; ; number++ {
		key := fmt.Sprintf("%s-%d", os.Getenv(roundVariable), number)
		select {
		case err := <-done:
			return errors.Join(errors.New("etcd ended"), err)
		default:
		}
		if _, err := client.Put(context.Background(), key, value+key); err != nil {
			return err
		}
		if err := powercut.Acknowledge(key); err != nil {
			return err
		}
	}
}

// startUnsafe starts an etcd that acknowledges what is not on the disk.
func startUnsafe(options Options) error {
	config, err := build(options, tick, zap.NewNop())
	if err != nil {
		return err
	}
	config.UnsafeNoFsync = true
	server, err := embed.StartEtcd(config)
	if err == nil {
		<-server.Server.ReadyNotify()
	}
	return err
}

func onDisk(folder string) Options {
	return Options{DataDir: filepath.Join(folder, "etcd"), Socket: filepath.Join(folder, "etcd.sock")}
}

// read opens the datastore and says which keys have their values.
func read(folder string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := New(onDisk(folder))
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- e.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		return fmt.Errorf("etcd ended: %w", err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	response, err := client.Get(ctx, "", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, pair := range response.Kvs {
		if string(pair.Value) == value+string(pair.Key) {
			fmt.Println(string(pair.Key))
		}
	}
	err = client.Close()
	cancel()
	return errors.Join(err, <-done)
}

// lost is what is not in the datastore of what was acknowledged.
func lost(disk *powercut.Disk, acknowledged []string, limit time.Duration) (missing []string, err error) {
	keys, err := disk.Play("read", limit)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, key := range keys {
		found[strings.TrimSpace(key)] = true
	}
	for _, key := range acknowledged {
		if !found[key] {
			missing = append(missing, key)
		}
	}
	return missing, nil
}

// TestPowerCutsLoseNothingAcknowledged cuts the power again and again while one datastore is written to.
func TestPowerCutsLoseNothingAcknowledged(t *testing.T) {
	disk := powercut.New(t, 512)
	chance := powercut.Chance(t)
	var acknowledged []string
	for round := range cuts {
		after := time.Duration(chance.IntN(200)) * time.Millisecond
		acknowledged = append(acknowledged, disk.WriteUntilCut("write", after, fmt.Sprintf("%s=%d", roundVariable, round))...)
		missing, err := lost(disk, acknowledged, 20*time.Second)
		if err != nil {
			t.Fatalf("cut %d after %s: %v", round, after, err)
		}
		if len(missing) > 0 {
			t.Fatalf("cut %d after %s: %d of %d are lost: %v", round, after, len(missing), len(acknowledged), missing)
		}
	}
	t.Logf("%d cuts, %d acknowledged writes, none lost", cuts, len(acknowledged))
}

// TestPowerCutsAreCuts makes sure that the test above can fail: without synchronisation, what is acknowledged is lost.
func TestPowerCutsAreCuts(t *testing.T) {
	disk := powercut.New(t, 256)
	acknowledged := disk.WriteUntilCut("write", 100*time.Millisecond, roundVariable+"=0", unsafeVariable+"=1")
	// What is left may be so little that etcd waits for ever.
	missing, err := lost(disk, acknowledged, 5*time.Second)
	t.Logf("%d of %d lost, error %v", len(missing), len(acknowledged), err)
	if err == nil && len(missing) == 0 {
		t.Error("nothing was lost: no power was cut")
	}
}

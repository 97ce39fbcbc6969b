// Package etcd runs the cluster's datastore: a single etcd member that serves one UNIX socket. There are no peers and no
// ports; whoever may open the socket may read and write everything.
package etcd

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/durable"
	"sandbar.dev/node/internal/logging"
)

// Name is the component's name.
const Name = "etcd"

// Options are what etcd is started with.
type Options struct {
	// DataDir is etcd's folder; it is made if it is missing.
	DataDir string
	// Socket is the path of the UNIX socket that etcd serves. What is left of an earlier one is removed.
	Socket string
	// Seed is a database, made by package seed, with which an empty DataDir begins. It may be missing.
	Seed string
}

// Etcd is the component.
type Etcd struct {
	options Options
	tick    time.Duration
	server  atomic.Pointer[embed.Etcd]
}

// tick is the clock of raft. Each one wakes an idle node up, and there is nobody to send heartbeats to: see elect.
const tick = 500 * time.Millisecond

// New returns the component.
func New(options Options) *Etcd { return &Etcd{options: options, tick: tick} }

// Name is "etcd".
func (*Etcd) Name() string { return Name }

// Needs is empty.
func (*Etcd) Needs() []string { return nil }

// Endpoint is the address for clients, as the API server wants it.
func (e *Etcd) Endpoint() string { return "unix://" + e.options.Socket }

// Run serves until ctx is cancelled. It is ready when it has elected itself and can be written to.
func (e *Etcd) Run(ctx context.Context, ready func()) error {
	if err := os.MkdirAll(e.options.DataDir, 0o700); err != nil {
		return err
	}
	if err := e.plantSeed(); err != nil {
		return fmt.Errorf("copy the seeded datastore: %w", err)
	}
	if err := os.Remove(e.options.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// etcd writes several messages for each step it takes; what matters to a user are its warnings, and none of those that
	// it has for each connection that ends because etcd was asked to stop.
	worth := zap.LevelEnablerFunc(func(level zapcore.Level) bool { return level >= zapcore.WarnLevel && ctx.Err() == nil })
	config, err := build(e.options, e.tick, logging.Zap(klog.FromContext(ctx), worth))
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	elected, cancel := context.WithCancel(ctx)
	defer cancel()
	go elect(elected, server.Server)
	select {
	case <-server.Server.ReadyNotify():
		cancel()
		e.server.Store(server)
		ready()
	case <-server.Server.StopNotify():
		return errors.New("stopped while starting")
	case err := <-server.Err():
		return err
	case <-ctx.Done():
		return nil
	}
	select {
	case <-server.Server.StopNotify():
		return errors.New("stopped by itself")
	case err := <-server.Err():
		return err
	case <-ctx.Done():
		return nil
	}
}

// elect has the only member elect itself at once, where raft would wait for a leader's heartbeats that cannot come. It asks
// with the message by which a leader hands over, again until ctx is cancelled. Only once raft itself says that all it had
// committed before is applied: before, it would look for changes of the membership in entries that etcd may have dropped
// from memory by then, and raft panics where they are. If the message were refused for good, the election timeout would
// still do the same, later.
func elect(ctx context.Context, server *etcdserver.EtcdServer) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	self := uint64(server.MemberID())
	for server.Lead() != self {
		if hasAppliedAll(raftStatus()) {
			kind := raftpb.MsgTimeoutNow
			if err := server.Process(ctx, &raftpb.Message{Type: &kind, From: &self, To: &self}); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "ask for an election")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// hasAppliedAll says whether raft has nothing left to apply; zero is what it has before it knows of anything.
func hasAppliedAll(status raft.Status) bool {
	return status.GetCommit() != 0 && status.Applied >= status.GetCommit()
}

// raftStatus is what raft itself says, which etcd publishes for debugging and in no other way (etcdserver/raft.go).
func raftStatus() raft.Status {
	published, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return raft.Status{}
	}
	status, _ := published.Value().(raft.Status)
	return status
}

// Check reads through a quorum of one, and reports alarms: a full quota or a damaged database.
func (e *Etcd) Check(ctx context.Context) error {
	server := e.server.Load()
	if server == nil {
		return errors.New("not started")
	}
	for _, alarm := range server.Server.Alarms() {
		return fmt.Errorf("alarm %s", alarm.Alarm)
	}
	_, err := server.Server.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("health"), KeysOnly: true})
	return err
}

// build is etcd's configuration.
func build(options Options, tick time.Duration, logger *zap.Logger) (*embed.Config, error) {
	client, err := url.Parse("unix://" + options.Socket)
	if err != nil {
		return nil, err
	}
	// Nothing listens there: a member must have a peer address, and the only member has no peers.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}

	config := embed.NewConfig()
	config.Name = "sandbar"
	config.Dir = options.DataDir
	config.ListenClientUrls = []url.URL{*client}
	config.AdvertiseClientUrls = []url.URL{*client}
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	config.LogLevel = "warn"
	config.EnableGRPCGateway = false
	config.Metrics = "basic"

	config.TickMs = uint(tick.Milliseconds())
	config.ElectionMs = 5 * config.TickMs // the least that etcd takes
	config.PreVote = false

	// What is acknowledged is in the write-ahead log; the database may lag behind it, and is looked after less often.
	config.BackendBatchInterval = 500 * time.Millisecond

	// The raft log is kept in memory between snapshots; there are no slow followers to keep entries for.
	config.SnapshotCount = 2000
	config.SnapshotCatchUpEntries = 100
	config.MaxSnapFiles = 2
	config.MaxWalFiles = 2

	// The API server compacts every five minutes. At the start the file is rewritten when this much of it is free.
	config.AutoCompactionMode = embed.CompactorModePeriodic
	config.AutoCompactionRetention = "0"
	config.BootstrapDefragThresholdMegabytes = 32
	config.QuotaBackendBytes = 4 << 30
	return config, nil
}

// plantSeed copies the seed to where etcd expects its database, if there is none yet. It is complete before it has its
// name, so a crash leaves either nothing or all of it.
func (e *Etcd) plantSeed() error {
	if e.options.Seed == "" {
		return nil
	}
	target := filepath.Join(e.options.DataDir, "member", "snap", "db")
	// A write-ahead log without a database is damage, which etcd must see: a seed would hide it.
	for _, sign := range []string{target, filepath.Join(e.options.DataDir, "member", "wal")} {
		if _, err := os.Stat(sign); err == nil {
			return nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	seed, err := os.Open(e.options.Seed)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = seed.Close() }() // opened for reading only

	folder := filepath.Dir(target)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	// etcd removes files in this folder whose names begin with tmp.
	copied, err := os.CreateTemp(folder, "tmp-seed-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, seed)
	if err = errors.Join(err, copied.Sync(), copied.Close()); err != nil {
		return errors.Join(err, os.Remove(copied.Name()))
	}
	if err := os.Rename(copied.Name(), target); err != nil {
		return errors.Join(err, os.Remove(copied.Name()))
	}
	// The folders' names too: etcd writes its log beside them, and with a log a missing database is damage.
	for _, changed := range []string{folder, filepath.Dir(folder), e.options.DataDir} {
		if err := durable.Sync(changed); err != nil {
			return err
		}
	}
	return nil
}

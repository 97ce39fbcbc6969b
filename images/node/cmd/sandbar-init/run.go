package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/containerdconfig"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/host"
	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/initd"
	"sandbar.dev/node/internal/memory"
	"sandbar.dev/node/internal/paths"
)

// run prepares the host, keeps the processes running and returns after a stop.
func run(started time.Time, signals <-chan os.Signal) error {
	if os.Getpid() != 1 {
		return errors.New("it must be the first process of a container or machine (it makes the machine its own)")
	}
	// Its own garbage is a few reports a minute.
	debug.SetMemoryLimit(16 << 20)
	layout := paths.Default()
	prepared, err := host.Prepare(host.Options{Layout: layout, Logf: logEarly})
	if err != nil {
		return fmt.Errorf("prepare the host: %w", err)
	}
	grace := initapi.DefaultStopGrace
	if text := os.Getenv(initapi.StopGraceVariable); text != "" {
		if grace, err = initapi.ParseStopGrace(text); err != nil {
			return fmt.Errorf("%s: %w", initapi.StopGraceVariable, err)
		}
	}
	specs, err := children(layout, &prepared.Facts)
	if err != nil {
		return err
	}
	log := initd.NewLog(layout.Log(), os.Stdout)
	log.Printf("host prepared after %d ms: control groups %s, container %t",
		time.Since(started).Milliseconds(), prepared.Facts.Cgroup, prepared.Facts.Container)
	supervisor := initd.New(initd.Options{
		Specs:     specs,
		RunDir:    layout.Run,
		StopGrace: grace,
		Started:   started,
		Warnings:  prepared.Warnings,
		Signals:   signals,
		Log:       log,
		First:     true,
	})
	stopServing, err := initd.Serve(layout.InitSocket(), supervisor)
	if err != nil {
		return err
	}
	go func() {
		// A node without a limit, or on a kernel without the controller, has nothing to be told.
		err := memory.FollowExhaustion(memory.Root, supervisor.OutOfMemory)
		log.Printf("nobody tells any more when memory runs out: %v", err)
	}()
	supervisor.Run()
	stopServing()
	if prepared.Facts.Container {
		// Mounts go with the namespace, and what was written stays in the host's cache: there is nothing to wait for.
		log.Printf("stopped")
		log.Close(time.Second)
		return nil
	}
	log.Printf("stopped; the machine is switched off")
	log.Close(time.Second)
	return switchOff(layout)
}

// switchOff ends a machine whose first process this is.
func switchOff(layout paths.Layout) error {
	host.UnmountAll([]string{layout.Kubelet, "/run/containerd", layout.ContainerdData()}, logEarly)
	if err := initd.Sync(layout.Data); err != nil {
		logEarly("%v", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("switch the machine off: %w", err)
	}
	return nil
}

func logEarly(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "init: "+format+"\n", args...)
}

// children are the processes of a node, in the order in which they are started. All are started at once: sandbar-node
// waits for containerd's socket itself.
func children(layout paths.Layout, facts *hostinfo.Facts) ([]initd.Spec, error) {
	configuration := filepath.Join(layout.Run, "containerd.toml")
	state := filepath.Dir(layout.ContainerdSocket)
	if err := os.WriteFile(configuration, containerdconfig.Build(containerdconfig.Options{
		Root:             layout.ContainerdData(),
		State:            state,
		Socket:           layout.ContainerdSocket,
		Snapshotter:      facts.Snapshotter,
		RestrictOOMScore: !facts.CanLowerOOMScore,
	}), 0o600); err != nil {
		return nil, fmt.Errorf("write containerd's configuration: %w", err)
	}
	var listeners []*os.File
	for _, port := range []int{80, 443} {
		listener, err := listen(port)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	environment := childEnvironment(os.Environ())
	ingress := &ingressFiles{
		configuration: layout.HAProxyConfig(),
		folder:        haproxy.Folder(layout.HAProxy()),
		clusterID:     layout.ClusterID(),
	}
	return []initd.Spec{
		{
			Name: initapi.ChildContainerd,
			Path: "/usr/bin/containerd",
			Args: []string{"--config", configuration},
			// Mostly idle: a smaller heap costs it little.
			Env:   append(environment[:len(environment):len(environment)], "GOGC=40", "GOMEMLIMIT=64MiB"),
			Ready: initd.ReadySocket{Path: layout.ContainerdSocket},
		},
		{
			Name:       initapi.ChildHAProxy,
			Path:       "/usr/sbin/haproxy",
			Args:       []string{"-Ws", "-S", layout.HAProxyMasterSocket(), "-f", layout.HAProxyConfig()},
			Env:        environment,
			Files:      listeners,
			Prepare:    ingress.prepare,
			Ready:      initd.ReadyNotify{Path: filepath.Join(layout.Run, "haproxy.notify")},
			SweepGroup: true,
		},
		{
			Name:       initapi.ChildNode,
			Path:       "/usr/bin/sandbar-node",
			Env:        environment,
			Ready:      initd.ReadyPipe{},
			SweepGroup: true,
		},
	}, nil
}

// childEnvironment is this process's environment (proxies, the user's own settings) with what programs expect.
func childEnvironment(own []string) []string {
	environment := make([]string, 0, len(own)+2)
	for _, entry := range own {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "HOME", "NOTIFY_SOCKET", "TERM", initapi.ReadyFDVariable:
		default:
			environment = append(environment, entry)
		}
	}
	return append(environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
}

// listen binds a port once for the life of the node, so that no connection is refused while HAProxy starts anew. IPv4
// only: a socket of both families would give every client's address as ::ffff:A.B.C.D.
func listen(port int) (*os.File, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4zero, Port: port})
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	defer func() { _ = listener.Close() }()
	file, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return file, nil
}

// ingressFiles are what HAProxy starts with.
type ingressFiles struct {
	folder                   haproxy.Folder
	configuration, clusterID string
}

// prepare writes the baseline where there is no configuration, and puts one aside with which HAProxy failed twice:
// sandbar-node writes a new one once it sees that its own is not in force.
func (f *ingressFiles) prepare(failures int) error {
	// Of the process before.
	for _, socket := range []string{f.folder.MasterSocket(), f.folder.WorkerSocket()} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove HAProxy's stale socket: %w", err)
		}
	}
	if failures >= 2 {
		if err := os.Rename(f.configuration, f.configuration+".rejected"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put HAProxy's configuration aside: %w", err)
		}
	}
	if _, err := os.Stat(f.configuration); err == nil {
		return nil
	}
	id, err := os.ReadFile(f.clusterID)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the cluster's ID: %w", err)
	}
	if err := os.WriteFile(f.configuration, haproxy.Baseline(strings.TrimSpace(string(id))), 0o600); err != nil {
		return fmt.Errorf("write HAProxy's configuration: %w", err)
	}
	return nil
}

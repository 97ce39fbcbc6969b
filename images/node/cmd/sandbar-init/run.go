package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"sandbar.dev/node/internal/containerdconfig"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/host"
	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/initd"
	"sandbar.dev/node/internal/machine"
	"sandbar.dev/node/internal/memory"
	"sandbar.dev/node/internal/paths"
)

// runContainer is the whole life of a container's first process.
func runContainer(started time.Time, signals <-chan os.Signal) error {
	if os.Getpid() != 1 {
		return errors.New("it must be the first process of a container or machine (it makes the machine its own)")
	}
	return run(setting{
		layout: paths.Default(), started: started, signals: signals, environment: os.Environ(),
		console: func() io.Writer { return os.Stdout },
	})
}

// setting is what a container and a machine have different.
type setting struct {
	layout  paths.Layout
	started time.Time
	signals <-chan os.Signal
	// environment is what the node's processes get, as os.Environ has it.
	environment []string
	// console gives what takes the log.
	console func() io.Writer
	// machine is nil in a container.
	machine *machine.Machine
	// modulesLoaded is closed once the kernel has what a machine's node is going to need.
	modulesLoaded <-chan struct{}
}

// run prepares the host, keeps the processes running and returns after a stop.
func run(s setting) error {
	// Its own garbage is a few reports a minute.
	debug.SetMemoryLimit(16 << 20)
	options := host.Options{Layout: s.layout, Logf: logEarly}
	if s.machine != nil {
		options.Machine, options.Model, options.Emulated = true, s.machine.Boot.Model, s.machine.Emulated
		options.Parked = s.machine.Boot.Park
	}
	prepared, err := host.Prepare(options)
	if err != nil {
		return fmt.Errorf("prepare the host: %w", err)
	}
	grace, err := stopGrace(s.environment)
	if err != nil {
		return err
	}
	specs, err := children(s.layout, &prepared.Facts, childEnvironment(s.environment))
	if err != nil {
		return err
	}
	warnings := prepared.Warnings
	var parked *parking
	if s.machine != nil {
		// It answers while the others start, and until they have ended.
		specs = append([]initd.Spec{sshServer(s.layout, childEnvironment(s.environment))}, specs...)
		if s.machine.Boot.Park {
			parked, err = park(s, options, prepared, specs)
		} else {
			err = writeKeys(s.layout, s.machine.Boot.SSH)
		}
		if err != nil {
			return err
		}
		warnings = append(s.machine.Warnings, warnings...)
	}
	log := initd.NewLog(s.layout.Log(), s.console())
	log.Printf("host prepared after %d ms: control groups %s, container %t",
		time.Since(s.started).Milliseconds(), prepared.Facts.Cgroup, prepared.Facts.Container)
	supervisor := initd.New(initd.Options{
		Specs:     specs,
		RunDir:    s.layout.Run,
		StopGrace: grace,
		Started:   s.started,
		Warnings:  warnings,
		Signals:   s.signals,
		Log:       log,
		First:     true,
	})
	stopServing, err := initd.Serve(s.layout.InitSocket(), supervisor)
	if err != nil {
		return err
	}
	go func() {
		// A node without a limit, or on a kernel without the controller, has nothing to be told.
		err := memory.FollowExhaustion(memory.Root, supervisor.OutOfMemory)
		log.Printf("nobody tells any more when memory runs out: %v", err)
	}()
	var failed <-chan error
	if s.machine != nil {
		failed = attend(s.machine, parked, supervisor, log)
	}
	supervisor.Run()
	stopServing()
	if prepared.Facts.Container {
		// Mounts go with the namespace, and what was written stays in the host's cache: there is nothing to wait for.
		log.Printf("stopped")
	} else {
		log.Printf("stopped; the machine is switched off")
		host.UnmountAll([]string{
			s.layout.Kubelet, s.layout.KubeletData(), "/run/containerd", s.layout.ContainerdData(), s.layout.Storage(),
		}, logEarly)
	}
	log.Close(time.Second)
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// stopGrace is what pods get at most when no stop says otherwise.
func stopGrace(environment []string) (time.Duration, error) {
	grace := initapi.DefaultStopGrace
	for _, entry := range environment {
		text, found := strings.CutPrefix(entry, initapi.StopGraceVariable+"=")
		if !found {
			continue
		}
		var err error
		if grace, err = initapi.ParseStopGrace(text); err != nil {
			return 0, fmt.Errorf("%s: %w", initapi.StopGraceVariable, err)
		}
	}
	return grace, nil
}

func logEarly(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "init: "+format+"\n", args...)
}

// children are the processes of a node, in the order in which they are started. All are started at once: sandbar-node
// waits for containerd's socket itself.
func children(layout paths.Layout, facts *hostinfo.Facts, environment []string) ([]initd.Spec, error) {
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
		case "PATH", "HOME", "NOTIFY_SOCKET", "TERM", initapi.ReadyFDVariable, initapi.ParkFDVariable:
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

// prepare writes the baseline where there is no configuration, and puts one aside with which HAProxy failed twice by its own
// doing: sandbar-node writes a new one once it sees that its own is not in force, up to 15 s later.
func (f *ingressFiles) prepare(faults int) error {
	// Of the process before.
	for _, socket := range []string{f.folder.MasterSocket(), f.folder.WorkerSocket()} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove HAProxy's stale socket: %w", err)
		}
	}
	if faults >= 2 {
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

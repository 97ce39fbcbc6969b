package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/initd"
	"sandbar.dev/node/internal/machine"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/version"
)

// runMachine is the whole life of a machine; it does not return.
func runMachine(signals <-chan os.Signal) {
	m := machine.New(version.Sandbar, logEarly)
	err := m.Start()
	if err == nil {
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			if err := m.LoadModules(); err != nil {
				logEarly("%v", err)
			}
		}()
		err = run(setting{
			layout: paths.Default(), started: m.Started, signals: signals, environment: m.Environment,
			console: m.Log, machine: m, modulesLoaded: loaded,
		})
	}
	if errors.Is(err, machine.ErrStopped) {
		err = nil
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sandbar-init: %v\n", err)
	}
	m.SwitchOff(err)
}

// writeKeys puts the SSH server's keys into files that only root can read.
func writeKeys(layout paths.Layout, keys control.SSH) error {
	if err := os.MkdirAll(filepath.Dir(layout.SSHHostKey()), 0o700); err != nil {
		return err
	}
	for path, content := range map[string]string{
		layout.SSHHostKey():        keys.HostKey,
		layout.SSHAuthorizedKeys(): strings.Join(keys.AuthorizedKeys, "\n") + "\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the SSH server's keys: %w", err)
		}
	}
	return nil
}

// sshServer is the SSH server, with its keys in those files.
func sshServer(layout paths.Layout, environment []string) initd.Spec {
	return initd.Spec{
		Name:  initapi.ChildSSH,
		Path:  "/usr/bin/sandbar-sshd",
		Args:  []string{"--host-key", layout.SSHHostKey(), "--authorized-keys", layout.SSHAuthorizedKeys()},
		Env:   environment,
		Ready: initd.ReadyPipe{},
	}
}

// attend does what the host asks for and tells it how far the node's processes are, which begins with the identity where
// parked is not nil. What comes on the channel is why the machine cannot go on; it is stopped then.
func attend(m *machine.Machine, parked *parking, supervisor *initd.Supervisor, log *initd.Log) <-chan error {
	failed := make(chan error, 1)
	go func() {
		for grace := range m.Stops() {
			log.Printf("the host asks for the end")
			supervisor.Stop(grace)
		}
	}()
	go func() {
		if parked != nil {
			if err := parked.becomeSomebody(supervisor); err != nil {
				failed <- err
				supervisor.Stop(nil)
				return
			}
		}
		if err := announce(m, supervisor); err != nil {
			log.Printf("the host is not told how far the start is: %v", err)
			return
		}
		if err := tidy(supervisor); err != nil {
			log.Printf("the memory that only the start needed is kept: %v", err)
		}
	}()
	return failed
}

// tidy gives the host back what only the start needed, once the node is healthy: nothing else makes the page cache smaller
// while memory is free.
func tidy(supervisor *initd.Supervisor) error {
	if err := supervisor.AwaitReady(context.Background()); err != nil {
		return err
	}
	return machine.GiveBack()
}

// announce tells the host when the SSH server listens and the other processes are started, and once both is so that the
// machine is ready.
func announce(m *machine.Machine, supervisor *initd.Supervisor) error {
	revision, told := uint64(0), map[string]bool{}
	tell := func(phase string, reached bool) {
		if reached && !told[phase] {
			told[phase] = true
			m.Phase(phase)
		}
	}
	for !told[control.PhaseSSH] || !told[control.PhaseNode] {
		report, err := supervisor.Report(context.Background(), true, revision)
		if err != nil {
			return err
		}
		revision = report.Revision
		ssh, started := false, true
		for _, child := range report.Children {
			if child.Name == initapi.ChildSSH {
				ssh = child.State == initapi.StateReady
			} else if child.FirstStarted.IsZero() {
				started = false
			}
		}
		tell(control.PhaseSSH, ssh)
		tell(control.PhaseNode, started)
	}
	m.Ready()
	return nil
}

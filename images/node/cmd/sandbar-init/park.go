package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sandbar.dev/node/internal/host"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/initd"
	"sandbar.dev/node/internal/machine"
	"sandbar.dev/node/internal/paths"
)

// parking is a machine that starts as far as that goes while it is nobody's, so that its host can copy it.
//
// What is drawn by lot before the copy is the same in all of them, so nothing that a cluster keeps may be:
//   - The machine ID is made afterwards ([host.Identify]), and so is all of sandbar-sshd's, which waits.
//   - sandbar-node runs etcd and an API server whose keys and authorities are exchanged before anybody is let in; the package
//     node says more. Names that Kubernetes ends with letters by chance may end alike in two copies.
//   - containerd draws its own UUID when it is asked for the first time (getUUID of its plugins/services/introspection), by
//     the kubelet. For whatever else needs chance it asks the kernel, whose generator is seeded anew before anybody goes on.
//   - HAProxy draws its seeds when a worker starts. The one that starts here has no TLS and answers "starting" to everything;
//     sandbar-node's first configuration replaces it, and the master becomes a new program for that.
//   - What the kernel has drawn for itself (where it is in memory, hash tables, sequence numbers of TCP) stays shared.
type parking struct {
	machine       *machine.Machine
	layout        paths.Layout
	options       host.Options
	prepared      *host.Result
	modulesLoaded <-chan struct{}
	// gates are those of the children in held.
	gates []*initd.Gate
}

// held are the children that at some point would read, or make, what belongs to one cluster.
var held = []string{initapi.ChildSSH, initapi.ChildNode}

// park puts children behind gates.
func park(s setting, options host.Options, prepared *host.Result, specs []initd.Spec) (*parking, error) {
	p := &parking{
		machine: s.machine, layout: s.layout, options: options, prepared: prepared, modulesLoaded: s.modulesLoaded,
	}
	for i := range specs {
		if !slices.Contains(held, specs[i].Name) {
			continue
		}
		gate, err := initd.NewGate()
		if err != nil {
			return nil, err
		}
		gate.Hold(&specs[i])
		p.gates = append(p.gates, gate)
	}
	return p, nil
}

// becomeSomebody waits until nothing is under way any more, parks the machine, and lets the start go on once the host has
// said whose it is.
func (p *parking) becomeSomebody(supervisor *initd.Supervisor) error {
	if err := p.settle(supervisor); err != nil {
		return fmt.Errorf("start as far as it goes without an identity: %w", err)
	}
	if err := p.machine.Park(); err != nil {
		return fmt.Errorf("take the identity: %w", err)
	}
	if err := host.Identify(p.options, p.prepared); err != nil {
		return err
	}
	if err := writeKeys(p.layout, p.machine.Boot.SSH); err != nil {
		return err
	}
	supervisor.Identified()
	var problems []error
	for _, gate := range p.gates {
		problems = append(problems, gate.Open())
	}
	return errors.Join(problems...)
}

// settle waits until the children that are held wait, the others serve, and the kernel has its modules.
func (p *parking) settle(supervisor *initd.Supervisor) error {
	for _, gate := range p.gates {
		if err := gate.Wait(); err != nil {
			return err
		}
	}
	<-p.modulesLoaded
	return supervisor.AwaitReady(context.Background(), held...)
}

// Package host makes the machine that sandbar-init wakes up on fit for a node: mounts, control groups, devices, kernel
// settings, limits, resolvers. It works in a container of any engine and in a machine of its own, changes nothing that
// outlives the container where it can be helped, and says what it could not do as warnings. sandbar-init uses it, and, in a
// container that is thrown away afterwards, sandbarctl's host-check ([Check]).
// Nothing here may import k8s.io.
//
// What is decided from a host's mounts and groups is decided by pure functions, whose tests have the lines of hosts of all
// kinds: TestPlanPrivateV1 and its siblings (v1 as Podman and Docker give it), TestPlanHybrid, TestPlanV2. What is done is
// tested in namespaces of the test's own: TestReadOnlyControlGroups with this machine's v1 hierarchies, alone and as a
// hybrid, TestASharedUnifiedHierarchy with its unified one, which on a hybrid host has no controllers, TestPrepare with all.
package host

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

// Options are what [Prepare] needs.
type Options struct {
	// Layout names the node's files.
	Layout paths.Layout
	// Machine says that this is a whole machine's first process, not a container's: the kernel is the node's own.
	Machine bool
	// Model is the board that the machine stands for; may be empty.
	Model string
	// Emulated are architectures whose programs run through an emulator.
	Emulated []string
	// Parked says that copies of this machine become different nodes: what tells them apart is left to [Identify].
	Parked bool
	// Logf takes a line for each thing that was done or found.
	Logf func(format string, args ...any)
}

// Result is what [Prepare] found and did.
type Result struct {
	// Facts are for sandbar-node; they are in Layout.HostInfo too.
	Facts hostinfo.Facts
	// Warnings are what the host does not give.
	Warnings []initapi.Warning
}

// slowStep is from when on a step is worth a line.
const slowStep = 5 * time.Millisecond

// preparer carries what the steps share.
type preparer struct {
	options Options
	layout  paths.Layout
	result  Result
}

// Prepare makes the machine fit, whose /proc, /sys and /dev are mounted. Only what the node cannot live without is an error; all else is a warning. It must be
// the first process's first act, while nothing else runs.
func Prepare(options Options) (*Result, error) {
	p := &preparer{options: options, layout: options.Layout}
	p.result.Facts.Container, p.result.Facts.Model, p.result.Facts.Emulated = !options.Machine, options.Model, options.Emulated
	if err := p.do([]step{
		{"share the mounts", p.shareMounts},
		{"prepare /run and /tmp", p.temporaryFileSystems},
		{"clean up after the last run", p.clean},
		{"make the folders", p.folders},
		{"prepare the control groups", p.cgroups},
		{"identify the machine", p.identityUnlessParked},
		{"write the resolvers for pods", p.resolvers},
		{"look at the volume", p.snapshotter},
		{"look at the privileges", p.privileges},
		{"make the kernel's settings", p.kernel},
	}); err != nil {
		return nil, err
	}
	if err := p.result.Facts.Write(p.layout.HostInfo()); err != nil {
		return nil, err
	}
	return &p.result, nil
}

// Identify does what [Prepare] left out in a machine that was parked, and again what depends on the files of its host.
func Identify(options Options, prepared *Result) error {
	p := &preparer{options: options, layout: options.Layout, result: *prepared}
	if err := p.do([]step{
		{"identify the machine", p.identity},
		{"write the resolvers for pods", p.resolvers},
	}); err != nil {
		return err
	}
	return p.result.Facts.Write(p.layout.HostInfo())
}

// step is a part of the preparation.
type step struct {
	name string
	do   func() error
}

// do takes the steps in order, and says which ones were slow.
func (p *preparer) do(steps []step) error {
	for _, step := range steps {
		began := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if took := time.Since(began); took >= slowStep {
			p.options.Logf("it took %d ms to %s", took.Milliseconds(), step.name)
		}
	}
	return nil
}

func (p *preparer) warn(code, hint, format string, args ...any) {
	warning := initapi.Warning{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
	p.result.Warnings = append(p.result.Warnings, warning)
	p.options.Logf("warning %s: %s", warning.Code, warning.Message)
}

// folders makes what the node's programs expect and puts the kubelet's folder of the volume where CSI drivers look.
func (p *preparer) folders() error {
	for _, folder := range []struct {
		path string
		mode os.FileMode
	}{
		{p.layout.Data, 0o755},
		{p.layout.KubeletData(), 0o750},
		{p.layout.ContainerdData(), 0o711},
		{p.layout.Log(), 0o750},
		{p.layout.Run, 0o700},
		{p.layout.HAProxy(), 0o700},
		{filepath.Dir(p.layout.ContainerdSocket), 0o711},
		{p.layout.Kubelet, 0o750},
	} {
		if err := os.MkdirAll(folder.path, folder.mode); err != nil {
			return err
		}
		if err := os.Chmod(folder.path, folder.mode); err != nil {
			return err
		}
	}
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	// Engines mount volumes so that no device and no setuid program works there; pods' volumes are ordinary folders.
	if m, found := topmost(mounts, p.layout.Data); found {
		if err := p.remount(m, "nosuid", "nodev", "noexec"); err != nil {
			p.warn("VolumeRestricted", "", "devices and setuid programs do not work on pods' volumes: %v", err)
		}
	}
	return p.bind(p.layout.KubeletData(), p.layout.Kubelet)
}

func (p *preparer) privileges() error {
	p.capabilities()
	p.limits()
	return nil
}

func (p *preparer) kernel() error {
	p.devices()
	p.protectNull()
	p.sysctls()
	return nil
}

package api

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/memory"
)

const (
	// diskFullBytes is where writes begin to fail: etcd needs 64 MB at once for its log.
	diskFullBytes = 100 << 20
	// diskLowBytes is where a user should do something.
	diskLowBytes = 1 << 30
	// inodesLow is the number of free inodes below which files cannot be made before long.
	inodesLow = 1000
)

// facts are what a report is made from, at one moment.
type facts struct {
	Sources
	// init is sandbar-init's report, nil when it cannot be had; then initError says why.
	init      *initapi.Report
	initError error
	// volume is the path of the volume, and disk its space.
	volume    string
	disk      *syscall.Statfs_t
	diskError error
	// memory is what the node has of its memory, nil when that cannot be read; then memoryError says why.
	memory      *memory.Usage
	memoryError error
	// now is when they were gathered.
	now time.Time
}

// report makes the contract's report.
func (f facts) report() contract.Status {
	status := contract.Status{
		SchemaVersion: contract.SchemaVersion, ContractVersion: contract.Version,
		Node: f.Node, Network: f.Network,
		Components: []contract.Component{}, Phases: []contract.Phase{}, Warnings: []contract.Warning{},
		Ingress: contract.Ingress{Domains: orEmpty(f.IngressDomains), Hosts: []string{}},
		Storage: contract.Storage{Path: f.volume},
	}
	status.Network.ClusterNetwork = orEmpty(status.Network.ClusterNetwork)
	status.Network.ServiceNetwork = orEmpty(status.Network.ServiceNetwork)
	restarts := 0
	if f.init != nil {
		status.Node.Started = f.init.Started
		status.Components = Children(f.init)
		status.Phases = childPhases(f.init)
		if node, known := f.init.Child(initapi.ChildNode); known {
			restarts = node.Restarts
		}
		for _, warning := range f.init.Warnings {
			status.Warnings = append(status.Warnings, contract.Warning(warning))
		}
	} else {
		status.Warnings = append(status.Warnings, contract.Warning{
			Code: contract.WarningInitUnreachable, Message: fmt.Sprintf("sandbar-init does not answer: %v", f.initError),
		})
	}
	if f.Supervisor != nil {
		for _, inner := range f.Supervisor.Status() {
			status.Components = append(status.Components, componentReport(inner, restarts))
		}
		status.Phases = append(status.Phases, phaseReports(f.Supervisor.Phases(), status.Node.Started)...)
	}
	if f.IngressHosts != nil {
		status.Ingress.Hosts = orEmpty(f.IngressHosts())
	}
	status.Warnings = append(status.Warnings, f.Warnings...)
	status.Storage, status.Warnings = f.storage(status.Storage, status.Warnings)
	if f.memory != nil {
		status.Memory = &contract.Memory{UsedBytes: f.memory.UsedBytes, LimitBytes: f.memory.LimitBytes}
	}
	for _, more := range [][]contract.Warning{f.memoryWarnings(), f.namesWarnings(), f.certificateWarnings()} {
		status.Warnings = append(status.Warnings, more...)
	}
	status.Healthy = f.Supervisor != nil && healthy(status)
	return status
}

// healthy says whether every component is ready and no warning speaks against it.
func healthy(status contract.Status) bool {
	for _, part := range status.Components {
		if part.State != component.StateReady {
			return false
		}
	}
	unhealthy := contract.UnhealthyCodes()
	return !slices.ContainsFunc(status.Warnings, func(warning contract.Warning) bool {
		return slices.Contains(unhealthy, warning.Code)
	})
}

// storage adds the volume's space and what there is to say of it.
func (f facts) storage(storage contract.Storage, warnings []contract.Warning) (contract.Storage, []contract.Warning) {
	if f.disk == nil {
		return storage, append(warnings, contract.Warning{
			Code: contract.WarningDiskUnknown, Message: fmt.Sprintf("the space of %s cannot be read: %v", f.volume, f.diskError),
		})
	}
	block := uint64(f.disk.Bsize) // a block size is positive
	storage.CapacityBytes, storage.AvailableBytes = f.disk.Blocks*block, f.disk.Bavail*block
	const hint = "free space where the engine keeps its volumes, or remove images and volumes in the cluster"
	warn := func(code, message string) {
		warnings = append(warnings, contract.Warning{Code: code, Message: message, Hint: hint})
	}
	switch {
	case storage.AvailableBytes < diskFullBytes:
		warn(contract.WarningDiskFull, fmt.Sprintf("the volume is full: %d MiB of %d MiB are free",
			storage.AvailableBytes>>20, storage.CapacityBytes>>20))
	case f.disk.Files > 0 && f.disk.Ffree < inodesLow:
		warn(contract.WarningDiskFull, fmt.Sprintf("the volume is full: %d of %d inodes are free", f.disk.Ffree, f.disk.Files))
	case storage.AvailableBytes < min(diskLowBytes, storage.CapacityBytes/10):
		warn(contract.WarningDiskLow, fmt.Sprintf("the volume is nearly full: %d MiB of %d MiB are free",
			storage.AvailableBytes>>20, storage.CapacityBytes>>20))
	}
	return storage, warnings
}

// componentReport words a component of sandbar-node. Each was started as often as sandbar-node was.
func componentReport(inner component.Status, restarts int) contract.Component {
	return contract.Component{
		Name: inner.Name, State: inner.State, Since: inner.Since, WaitingFor: orEmpty(inner.WaitingFor),
		Reason: inner.Reason, LastError: inner.LastError, Restarts: restarts,
	}
}

// Children are sandbar-init and its children as components. A running sandbar-node is left out, since its own components
// stand for it.
func Children(report *initapi.Report) []contract.Component {
	self := contract.Component{Name: "init", State: component.StateReady, Since: report.Started, WaitingFor: []string{}}
	if report.Stopping {
		self.State, self.Reason = component.StateStopped, "the node is being stopped"
	}
	parts := []contract.Component{self}
	for _, child := range report.Children {
		part := childReport(child)
		if child.Name != initapi.ChildNode {
			parts = append(parts, part)
			continue
		}
		if part.LastError != "" {
			parts[0].LastError = "sandbar-node: " + part.LastError
		}
		if child.State != initapi.StateReady && child.State != initapi.StateStarting {
			parts = append(parts, part)
		}
	}
	return parts
}

// childReport words a child of sandbar-init.
func childReport(child initapi.Child) contract.Component {
	part := contract.Component{
		Name: child.Name, Since: child.Since, WaitingFor: []string{}, Reason: child.Reason, Restarts: child.Restarts,
	}
	if child.LastExit != nil {
		part.LastError = fmt.Sprintf("ended at %s with %s", child.LastExit.At.UTC().Format(time.RFC3339), child.LastExit)
	}
	switch child.State {
	case initapi.StateReady:
		part.State = component.StateReady
	case initapi.StateStarting:
		part.State = component.StateStarting
	case initapi.StateStopped:
		part.State = component.StateStopped
	default:
		part.State = component.StateFailed
		part.LastLines = child.LastLines
		if part.Reason == "" {
			part.Reason = part.LastError
		}
	}
	return part
}

// childPhases are the starts of sandbar-init's children.
func childPhases(report *initapi.Report) []contract.Phase {
	phases := []contract.Phase{}
	for _, child := range report.Children {
		if !child.FirstStarted.IsZero() {
			phases = append(phases, phaseReport(child.Name, child.FirstStarted, child.FirstReady, report.Started))
		}
	}
	return phases
}

// phaseReports are the phases of components that have begun, in the order in which they did.
func phaseReports(inner []component.Phase, origin time.Time) []contract.Phase {
	var phases []contract.Phase
	for _, phase := range inner {
		if !phase.Start.IsZero() {
			phases = append(phases, phaseReport(phase.Name, phase.Start, phase.Ready, origin))
		}
	}
	slices.SortStableFunc(phases, func(a, b contract.Phase) int { return int(a.StartMillis - b.StartMillis) })
	return phases
}

func phaseReport(name string, start, ready, origin time.Time) contract.Phase {
	if origin.IsZero() {
		origin = start
	}
	phase := contract.Phase{Name: name, StartMillis: max(0, start.Sub(origin).Milliseconds())}
	if !ready.IsZero() {
		millis := max(0, ready.Sub(origin).Milliseconds())
		phase.ReadyMillis = &millis
	}
	return phase
}

// orEmpty makes a nil list an empty one, which JSON shows as [].
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Package machine is what sandbar-init does in a machine of its own, where no engine has made anything for it: it loads
// modules, puts the root together, hears from its host what it is to be, and makes that so. What comes then is the same in
// a container and in a machine, and not here. contract/machine.md is what it and its host promise each other.
// Nothing here may import k8s.io: it has to start in milliseconds, also under emulation.
package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/paths"
)

const (
	// portLimit is how long the control port may take to appear.
	portLimit = 30 * time.Second
	// bootLimit is how long the host may take to say what the machine is to be.
	bootLimit = 10 * time.Minute
	// flushLimit is how long the last words may take.
	flushLimit = 2 * time.Second
)

// ErrStopped says that the host asked for the end before the machine was anything.
var ErrStopped = errors.New("the host stopped the machine before it told it what to be")

// Machine is a machine that runs.
type Machine struct {
	// Boot is what the host said.
	Boot control.Boot
	// Warnings are what was found on the way.
	Warnings []initapi.Warning
	// Started is when the kernel's clock began.
	Started time.Time
	// Environment is that of the node's processes.
	Environment []string
	// Emulated are architectures whose programs run here, beside the machine's own.
	Emulated []string

	link  *control.Link
	logf  func(format string, args ...any)
	boots chan control.HostMessage
	stops chan *time.Duration
	// identities has the host's word for a machine that is parked; parked says that it may come.
	identities chan control.HostMessage
	parked     atomic.Bool
	// shrink makes the machine's memory small.
	shrink func() error
	// booted says that the host has said what the machine is to be; only who reads its messages touches it.
	booted bool
}

// Bare tells whether this is a machine's first process and nobody has done anything for it: an engine mounts /proc before
// it starts a container.
func Bare() bool {
	_, err := os.Stat("/proc/self")
	return os.Getpid() == 1 && errors.Is(err, os.ErrNotExist)
}

// New is a machine that nothing has been done for. version is the image's; logf takes a line for each thing worth one.
func New(version string, logf func(format string, args ...any)) *Machine {
	m := &Machine{
		link: control.NewLink(logf), logf: logf,
		boots: make(chan control.HostMessage, 1), stops: make(chan *time.Duration, 1),
		identities: make(chan control.HostMessage, 1), shrink: shrink,
	}
	m.link.Send(control.GuestMessage{Type: control.TypeHello, Version: control.Version, Sandbar: version})
	return m
}

// Start makes the machine what the host says, but for its identity where it is to be parked. It returns once the node's processes can be started as in a container, or
// [ErrStopped].
func (m *Machine) Start() error {
	// Ctrl-Alt-Del is a signal to this process from now on.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		return fmt.Errorf("take Ctrl-Alt-Del from the kernel: %w", err)
	}
	if err := mountKernel(); err != nil {
		return err
	}
	// Where the kernel is made for more than machines, the port needs them too. What fails is told through it if it can be.
	unloaded := loadModules(earlyModules, loadList, loadModule)
	if err := m.listen(); err != nil {
		return errors.Join(unloaded, err)
	}
	if unloaded != nil {
		return unloaded
	}
	m.Phase(control.PhaseModules)
	keepSmall(m.logf)
	if err := mountSystem(); err != nil {
		return err
	}
	if err := m.hear(); err != nil {
		return err
	}
	if err := m.mountData(); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	m.Phase(control.PhaseDisks)
	if err := configureNetwork(m.Boot.Network); err != nil {
		return err
	}
	if err := m.takeIdentity(); err != nil {
		return err
	}
	if m.Boot.EmulateBinaries {
		var err error
		if m.Emulated, err = emulateBinaries(); err != nil {
			return err
		}
	}
	m.Phase(control.PhaseNetwork)
	m.Environment = environment(m.Boot.Environment)
	return nil
}

// takeIdentity makes the machine's name and files what the boot has, which is little in a machine that is to be parked.
func (m *Machine) takeIdentity() error {
	if err := nameFiles(&m.Boot); err != nil {
		return err
	}
	if err := putFiles(m.Boot.Files); err != nil {
		return err
	}
	// They are megabytes, perhaps.
	m.Boot.Files = nil
	return nil
}

// Park tells the host that this machine does nothing any more, and waits for as long as it takes until the host makes it,
// or a copy of it, somebody's. Then the random numbers are new, the clock is right, and the name and the files are there.
func (m *Machine) Park() error {
	// The host copies the disk along with the memory, and a copy should not need more of either than that.
	unix.Sync()
	if err := m.shrink(); err != nil {
		m.logf("the state of this machine is larger than it could be: %v", err)
	}
	m.parked.Store(true)
	m.link.Send(control.GuestMessage{Type: control.TypeParked, Millis: sinceBoot().Milliseconds()})
	message := <-m.identities
	if err := renew(message.Time, message.Entropy); err != nil {
		return err
	}
	m.Boot.Identity = message.Identity
	return m.takeIdentity()
}

// listen opens the control port and reads what the host says from now on.
func (m *Machine) listen() error {
	device, err := waitForPort(control.PortName, portLimit)
	if err != nil {
		return err
	}
	port, err := openPort(device, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open the control port: %w", err)
	}
	m.link.Connect(port)
	go func() {
		if err := m.link.ReadHost(port, m.handle); err != nil {
			m.logf("the host is no longer heard: %v", err)
		}
	}()
	return nil
}

// handle does what a message asks for. It is called by one goroutine.
func (m *Machine) handle(message control.HostMessage) {
	switch message.Type {
	case control.TypeBoot:
		if m.booted {
			m.link.Refuse(message.Type, errors.New("the machine knows what it is already"))
			return
		}
		m.booted = true
		m.boots <- message
	case control.TypeIdentity:
		if !m.parked.CompareAndSwap(true, false) {
			m.link.Refuse(message.Type, errors.New("the machine is not parked"))
			return
		}
		m.identities <- message
	case control.TypeClock:
		if err := renew(message.Time, message.Entropy); err != nil {
			m.link.Refuse(message.Type, err)
			return
		}
		m.link.Send(control.GuestMessage{Type: control.TypeClockSet})
	case control.TypeShrink:
		// Then the state is larger.
		if err := m.shrink(); err != nil {
			m.link.Refuse(message.Type, err)
			return
		}
		m.link.Send(control.GuestMessage{Type: control.TypeShrunk})
	case control.TypeStop:
		var grace *time.Duration
		if message.GraceMillis != nil {
			duration := min(time.Duration(*message.GraceMillis)*time.Millisecond, initapi.MaxStopGrace)
			grace = &duration
		}
		select {
		case m.stops <- grace:
		default:
			// It stops already.
		}
	}
}

// hear waits for the host's word and sets the clock by it.
func (m *Machine) hear() error {
	select {
	case message := <-m.boots:
		if err := renew(message.Time, message.Entropy); err != nil {
			return err
		}
		m.Started = time.Now().Add(-sinceBoot())
		m.Boot = message.Boot
		return nil
	case <-m.stops:
		return ErrStopped
	case <-time.After(bootLimit):
		return fmt.Errorf("the host did not say within %s what the machine is to be", bootLimit)
	}
}

func (m *Machine) mountData() error {
	device, err := findDisk(blockDevices, serialData)
	if err != nil {
		return err
	}
	point := rootPoint + paths.Data
	if err := os.MkdirAll(point, 0o755); err != nil {
		return err
	}
	failed, err := mountData(device, point)
	if failed {
		m.Warnings = append(m.Warnings, initapi.Warning{
			Code: "DiskErrors", Message: "the kernel has found errors in the file system of the cluster's disk",
			Hint: "save what matters, and make the cluster anew",
		})
	}
	return err
}

// LoadModules loads what a node is going to need. Whatever is asked for earlier or besides, the kernel loads by itself.
func (m *Machine) LoadModules() error {
	folder, err := modulesFolder()
	if err != nil {
		return err
	}
	return loadModules(folder, loadList, loadModule)
}

// Log is where the machine's log goes: a port of its own where the host has given one, else the console.
func (m *Machine) Log() io.Writer {
	device, err := findPort(portsFolder, control.LogPortName)
	if err == nil && device != "" {
		var port *port
		if port, err = openPort(device, os.O_WRONLY); err == nil {
			return port
		}
	}
	if err != nil {
		m.logf("the log goes to the console: %v", err)
	}
	return os.Stdout
}

// Stops brings the host's wish for the end, with the grace for pods or nil.
func (m *Machine) Stops() <-chan *time.Duration { return m.stops }

// Phase tells the host that a part of the start is done.
func (m *Machine) Phase(name string) {
	m.link.Send(control.GuestMessage{Type: control.TypePhase, Name: name, Millis: sinceBoot().Milliseconds()})
}

// Ready tells the host that the machine is one.
func (m *Machine) Ready() { m.link.Send(control.GuestMessage{Type: control.TypeReady}) }

// SwitchOff ends the machine and does not return: what the cluster's disk has is written and its file system unmounted, the
// host is told how it ended, and the power goes. A nil reason is the orderly end.
func (m *Machine) SwitchOff(reason error) {
	unix.Sync()
	// Before the disk was mounted it is none (EINVAL), or there is no such folder.
	if err := unix.Unmount(paths.Data, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		m.logf("unmount %s: %v; it is made read-only", paths.Data, err)
		if err := unix.Mount("", paths.Data, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			m.logf("make %s read-only: %v", paths.Data, err)
		}
	}
	message := control.GuestMessage{Type: control.TypeStopped}
	if reason != nil {
		message = control.GuestMessage{Type: control.TypeFailed, Reason: reason.Error()}
	}
	m.link.Send(message)
	if err := m.link.Flush(flushLimit); err != nil {
		m.logf("%v", err)
	}
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// Not reached, but where the kernel refuses: then the machine must not go on as if nothing were.
	panic(fmt.Sprintf("switch the machine off: %v", err))
}

// Package control is what a machine and its host tell each other through the virtio-serial port dev.sandbar.control: JSON
// values, one a line. contract/machine.md has the words. Nothing here may import k8s.io.
package control

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"
)

// Version is the protocol's version. Version 2 has [Boot.Park], [TypeParked] and [TypeIdentity]; a machine of version 1
// would start as usual. Version 3 has [TypeShrink] and [TypeShrunk]; an older machine would not answer.
const Version = 3

// Names of virtio-serial ports.
const (
	// PortName is the port that this package speaks on.
	PortName = "dev.sandbar.control"
	// LogPortName is a port that takes the machine's log, one way. It need not be there: the console takes the log then.
	LogPortName = "dev.sandbar.log"
)

// Types of a [GuestMessage].
const (
	// TypeHello is the first sign of life, with Version and Sandbar.
	TypeHello = "hello"
	// TypePhase says that a part of the start is done: Name, and Millis since the kernel's clock began.
	TypePhase = "phase"
	// TypeParked says that a machine that was booted with Park has done all that needs no identity, and does nothing until
	// [TypeIdentity]: Millis since the kernel's clock began. Its disk is as it would be after a power cut now.
	TypeParked = "parked"
	// TypeReady says that SSH answers and the node's processes are started.
	TypeReady = "ready"
	// TypeFailed says that the machine cannot go on and powers off: Reason.
	TypeFailed = "failed"
	// TypeRefused answers a message of the host, of type Name, that is not carried out: Reason. The machine goes on.
	TypeRefused = "refused"
	// TypeClockSet answers [TypeClock] once the random numbers are new and the clock is right.
	TypeClockSet = "clockSet"
	// TypeShrunk answers [TypeShrink] once memory that nobody needs is zeroes.
	TypeShrunk = "shrunk"
	// TypeStopped is said right before the machine is switched off.
	TypeStopped = "stopped"
)

// Types of a [HostMessage].
const (
	// TypeBoot is everything that makes the machine the cluster's. It waits for it before it touches the cluster's disk.
	TypeBoot = "boot"
	// TypeIdentity makes a machine that is parked, or a copy of it, the cluster's: Time, Entropy and [Identity].
	TypeIdentity = "identity"
	// TypeClock brings the time and fresh entropy after the machine slept: Time, Entropy.
	TypeClock = "clock"
	// TypeShrink comes right before the host writes the machine's memory to a file.
	TypeShrink = "shrink"
	// TypeStop asks for an orderly end: GraceMillis.
	TypeStop = "stop"
)

// Phases of a start, in the order in which they normally end.
const (
	// PhaseModules is over when the kernel can see the disks.
	PhaseModules = "modules"
	// PhaseDisks is over when the root and the cluster's disk are mounted.
	PhaseDisks = "disks"
	// PhaseNetwork is over when the machine has its address, name and files.
	PhaseNetwork = "network"
	// PhaseSSH is over when the SSH server listens.
	PhaseSSH = "ssh"
	// PhaseNode is over when the node's processes are started.
	PhaseNode = "node"
)

// GuestMessage is a line from the machine to its host.
type GuestMessage struct {
	// Type says which of the other fields count.
	Type string `json:"type"`
	// Version is the protocol's, Sandbar the image's own.
	Version int    `json:"version,omitempty"`
	Sandbar string `json:"sandbar,omitempty"`
	// Name is a phase's, or the type of the refused message.
	Name string `json:"name,omitempty"`
	// Millis are milliseconds since the kernel's clock began, shortly after power-on.
	Millis int64 `json:"millis,omitempty"`
	// Reason is a line for people.
	Reason string `json:"reason,omitempty"`
}

// HostMessage is a line from the host to the machine.
type HostMessage struct {
	// Type says which of the other fields count.
	Type string `json:"type"`
	// Time is the host's clock when the line was written, Entropy at least [MinEntropy] random bytes.
	Time    time.Time `json:"time"`
	Entropy []byte    `json:"entropy"`
	// GraceMillis is what pods get at most at a stop; nil leaves it as it was set.
	GraceMillis *int64 `json:"graceMillis"`
	Boot
}

// Identity is what makes a machine another than its copies. [TypeBoot] has it without Park, [TypeIdentity] after that.
type Identity struct {
	// Hostname is the machine's name.
	Hostname string `json:"hostname"`
	// Files are written into the root, which is new at each start, or below /var/lib/sandbar, where they stay.
	Files []File `json:"files"`
	// SSH is who may come in and how the machine proves itself.
	SSH SSH `json:"ssh"`
}

// Boot is what belongs to [TypeBoot] alone, but for the identity.
type Boot struct {
	Identity
	// Park has the machine start as far as that goes without an identity, say [TypeParked] and wait for [TypeIdentity].
	Park bool `json:"park,omitempty"`
	// Environment is that of the node's processes (proxies, SANDBAR_STOP_GRACE).
	Environment map[string]string `json:"environment"`
	// Network is the machine's address.
	Network Network `json:"network"`
	// EmulateBinaries lets programs of another architecture run, through an emulator.
	EmulateBinaries bool `json:"emulateBinaries,omitempty"`
	// Model is the board that the machine stands for, such as "Raspberry Pi 4 Model B"; may be empty.
	Model string `json:"model"`
	// Command is what runs in place of the node's processes. This image has nothing else to run: it must be empty.
	Command []string `json:"command"`
}

// File is a file that the host puts into the machine.
type File struct {
	// Path is absolute; folders that are missing are made, mode 0755.
	Path string `json:"path"`
	// Mode are the permission bits; 0 means 0600.
	Mode uint32 `json:"mode"`
	// Content is base64 in JSON.
	Content []byte `json:"content"`
}

// SSH are keys.
type SSH struct {
	// HostKey is a private key in OpenSSH's PEM form, ed25519.
	HostKey string `json:"hostKey"`
	// AuthorizedKeys are public keys, each as a line of authorized_keys(5).
	AuthorizedKeys []string `json:"authorizedKeys"`
}

// Network is an address of IPv4 with what leads on from it.
type Network struct {
	// Address is one with the length of the network, such as 10.0.2.15/24.
	Address netip.Prefix `json:"address"`
	// Gateway and DNS are addresses; DNS may be missing.
	Gateway netip.Addr `json:"gateway"`
	DNS     netip.Addr `json:"dns"`
	// Link is what leads to the outside; nil is one as good as the host's.
	Link *NetworkLink `json:"link,omitempty"`
}

// NetworkLink is how good a machine's way to the outside is. Zero values change nothing.
type NetworkLink struct {
	// DownloadKbit and UploadKbit are what goes through in a second, in 1000 bits.
	DownloadKbit int64 `json:"downloadKbit,omitempty"`
	UploadKbit   int64 `json:"uploadKbit,omitempty"`
	// LatencyMillis is what a round trip takes longer, half of it each way.
	LatencyMillis int64 `json:"latencyMillis,omitempty"`
	// LossPercent is how many of a hundred packets are lost, each way.
	LossPercent float64 `json:"lossPercent,omitempty"`
}

// Limits of a [NetworkLink]. Below the first a machine is not reached in the time that anybody waits for it.
const (
	MinKbit, MaxKbit = 8, 10_000_000
	MaxLatencyMillis = 60_000
	MaxLossPercent   = 90
)

// MinEntropy is how many random bytes a message must bring at least.
const MinEntropy = 32

// Check says what is wrong with a message, all at once; unknown types are not its business.
func (m *HostMessage) Check() error {
	switch m.Type {
	case TypeBoot:
		return errors.Join(append(m.checkMoment(), m.Boot.check()...)...)
	case TypeIdentity:
		return errors.Join(append(m.checkMoment(), m.Identity.check()...)...)
	case TypeClock:
		return errors.Join(m.checkMoment()...)
	case TypeStop:
		if m.GraceMillis != nil && *m.GraceMillis < 0 {
			return fmt.Errorf("graceMillis is %d", *m.GraceMillis)
		}
	}
	return nil
}

// earliest is before every clock that is right.
var earliest = time.Unix(1700000000, 0)

func (m *HostMessage) checkMoment() []error {
	var problems []error
	if m.Time.Before(earliest) {
		problems = append(problems, fmt.Errorf("time is %s", m.Time.Format(time.RFC3339)))
	}
	if len(m.Entropy) < MinEntropy {
		problems = append(problems, fmt.Errorf("entropy has %d bytes, %d are needed", len(m.Entropy), MinEntropy))
	}
	return problems
}

// longestName is the kernel's __NEW_UTS_LEN, in bytes.
const longestName = 64

func (i *Identity) check() []error {
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if i.Hostname == "" || len(i.Hostname) > longestName || strings.ContainsAny(i.Hostname, " \t\n/") {
		say("hostname is %q", i.Hostname)
	}
	for _, file := range i.Files {
		if !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || file.Path == "/" {
			say("the file %q has no absolute, clean path", file.Path)
		}
		for _, kernels := range []string{"/proc", "/sys", "/dev"} {
			if file.Path == kernels || strings.HasPrefix(file.Path, kernels+"/") {
				say("the file %q is the kernel's", file.Path)
			}
		}
		if file.Mode&^0o777 != 0 {
			say("the file %q has mode %o", file.Path, file.Mode)
		}
	}
	if i.SSH.HostKey == "" || len(i.SSH.AuthorizedKeys) == 0 {
		say("ssh lacks the host key or a key that is let in")
	}
	return problems
}

// checkNone says what a machine is told of its identity that is to be parked.
func (i *Identity) checkNone() []error {
	var problems []error
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"hostname", i.Hostname != ""},
		{"ssh", i.SSH.HostKey != "" || len(i.SSH.AuthorizedKeys) > 0},
		{"files", len(i.Files) > 0},
	} {
		if field.given {
			problems = append(problems, fmt.Errorf("a machine that is to be parked gets no %s: that comes with %s", field.name, TypeIdentity))
		}
	}
	return problems
}

func (b *Boot) check() []error {
	problems := b.Identity.check
	if b.Park {
		problems = b.checkNone
	}
	return append(problems(), b.checkMachine()...)
}

// checkMachine says what is wrong apart from the identity.
func (b *Boot) checkMachine() []error {
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for name := range b.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			say("%q is no name of a variable", name)
		}
	}
	if n := b.Network; !n.Address.IsValid() || !n.Address.Addr().Is4() || !n.Gateway.Is4() || (n.DNS.IsValid() && !n.DNS.Is4()) {
		say("network %s by %s, DNS %s, is not one of IPv4", n.Address, n.Gateway, n.DNS)
	}
	if link := b.Network.Link; link != nil {
		problems = append(problems, link.check()...)
	}
	if len(b.Command) > 0 {
		say("there is no other command to run than the node (%q)", b.Command)
	}
	return problems
}

func (l *NetworkLink) check() []error {
	var problems []error
	say := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("network.link."+format, args...))
	}
	for _, rate := range []struct {
		name string
		kbit int64
	}{{"downloadKbit", l.DownloadKbit}, {"uploadKbit", l.UploadKbit}} {
		if rate.kbit != 0 && (rate.kbit < MinKbit || rate.kbit > MaxKbit) {
			say("%s is %d: it may be %d to %d, and 0 for no limit", rate.name, rate.kbit, MinKbit, MaxKbit)
		}
	}
	if l.LatencyMillis < 0 || l.LatencyMillis > MaxLatencyMillis {
		say("latencyMillis is %d: it may be 0 to %d", l.LatencyMillis, MaxLatencyMillis)
	}
	if l.LossPercent < 0 || l.LossPercent > MaxLossPercent {
		say("lossPercent is %v: it may be 0 to %d", l.LossPercent, MaxLossPercent)
	}
	return problems
}

package initd

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/initapi"
)

// Gate holds back a process in [initapi.AwaitIdentity] until it is opened, and lets every later one of the same child
// through. It is a pair of sockets, of which the process inherits one end: a byte says that it waits, the end of file lets
// it go on.
type Gate struct{ inner, outer *os.File }

// NewGate makes a gate that is closed.
func NewGate() (*Gate, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a gate: %w", err)
	}
	// The process sets its own end as it needs it; of this one a read must end when it is closed.
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, fmt.Errorf("make a gate: %w", err)
	}
	return &Gate{os.NewFile(uintptr(pair[0]), "gate"), os.NewFile(uintptr(pair[1]), "gate of a child")}, nil
}

// Hold puts a process behind the gate, whenever it is started.
func (g *Gate) Hold(spec *Spec) {
	variable := initapi.ParkFDVariable + "=" + strconv.Itoa(3+len(spec.Files))
	spec.Files = append(spec.Files[:len(spec.Files):len(spec.Files)], g.outer)
	spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], variable)
}

// Wait returns when a process waits. One that ends before does not end it, since another one is started.
func (g *Gate) Wait() error {
	if _, err := g.inner.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait at a gate: %w", err)
	}
	return nil
}

// Open lets everybody through from now on. The other end stays, for later processes.
func (g *Gate) Open() error { return g.inner.Close() }

package initapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParkFDVariable is the environment variable with the number of the descriptor on which a child of a machine that starts
// without an identity waits for one: it writes a byte once it waits, and goes on at the end of file. Later starts of the
// child find the end of file there at once. Without the variable nobody waits.
const ParkFDVariable = "SANDBAR_PARK_FD"

// HasToAwaitIdentity says whether [AwaitIdentity] would wait: whether the machine that this process runs in is nobody's yet.
func HasToAwaitIdentity() (bool, error) {
	text, inherited := os.LookupEnv(ParkFDVariable)
	if !inherited {
		return false, nil
	}
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return false, fmt.Errorf("%s: %w", ParkFDVariable, err)
	}
	// Nothing ever comes but the end.
	gate := []unix.PollFd{{Fd: int32(number), Events: unix.POLLIN}}
	ended, err := unix.Poll(gate, 0)
	if err != nil {
		return false, fmt.Errorf("%s is %d: %w", ParkFDVariable, number, err)
	}
	return ended == 0, nil
}

// AwaitIdentity returns when the machine that this process runs in is somebody's, which is at once where it is from the
// start, or with the cause of ctx. It must come before anything is read, or made by chance, that two clusters do not share.
// Programs that this one starts see neither the variable nor the descriptor.
func AwaitIdentity(ctx context.Context) error {
	text, inherited := os.LookupEnv(ParkFDVariable)
	if !inherited {
		return nil
	}
	if err := os.Unsetenv(ParkFDVariable); err != nil {
		return err
	}
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("%s: %w", ParkFDVariable, err)
	}
	syscall.CloseOnExec(int(number))
	// So that closing it ends a read.
	if err := syscall.SetNonblock(int(number), true); err != nil {
		return fmt.Errorf("%s is %d: %w", ParkFDVariable, number, err)
	}
	gate := os.NewFile(uintptr(number), "identity")
	defer func() { _ = gate.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = gate.Close() })
	defer stop()
	_, err = gate.Write([]byte{'\n'})
	if err == nil {
		_, err = io.Copy(io.Discard, gate)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	// The other end is gone, which is what counts: nobody takes the byte any more, or nobody took that of a process before.
	case err == nil, errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return nil
	default:
		return fmt.Errorf("wait for the machine's identity: %w", err)
	}
}

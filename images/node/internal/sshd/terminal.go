package sshd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a pseudoterminal, pty(7).
type terminal struct {
	// master is the server's side, program that of whatever runs in it.
	master, program *os.File
}

func openTerminal(columns, rows uint32) (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	raw, err := master.SyscallConn()
	if err != nil {
		_ = master.Close()
		return nil, err
	}
	number := 0
	var failure error
	// Not by master.Fd(), which would make its reads block a thread each.
	err = raw.Control(func(fd uintptr) {
		if failure = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failure == nil {
			number, failure = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		_ = master.Close()
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		_ = master.Close()
		return nil, err
	}
	t := &terminal{master, program}
	if err := t.resize(columns, rows); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *terminal) resize(columns, rows uint32) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	size := unix.Winsize{Row: uint16(rows), Col: uint16(columns)}
	if err := raw.Control(func(fd uintptr) { failure = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) }); err != nil {
		return err
	}
	return failure
}

func (t *terminal) close() {
	_ = t.master.Close()
	_ = t.program.Close()
}

package initd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/initapi"
)

// errNotReady means that the process closed its end without saying that it is ready.
var errNotReady = errors.New("it ended before it was ready")

// ReadyPipe is readiness by a byte on an inherited pipe, whose number is in SANDBAR_READY_FD.
type ReadyPipe struct{}

// Arm makes the pipe.
func (ReadyPipe) Arm(fd int) (Armed, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return Armed{}, fmt.Errorf("make the readiness pipe: %w", err)
	}
	return Armed{
		File:   writer,
		Env:    []string{initapi.ReadyFDVariable + "=" + strconv.Itoa(fd)},
		Closer: reader,
		Wait: func(done <-chan struct{}) error {
			stop := closeOn(done, reader)
			defer stop()
			if n, err := reader.Read(make([]byte, 1)); n == 0 {
				if errors.Is(err, io.EOF) {
					return errNotReady
				}
				return err
			}
			return nil
		},
	}, nil
}

// ReadySocket is readiness by a UNIX socket that accepts a connection.
type ReadySocket struct {
	// Path is the socket; a stale one is removed before each start.
	Path string
}

// Arm watches the socket's folder before the process starts, so that nothing is missed.
func (r ReadySocket) Arm(int) (Armed, error) {
	directory := filepath.Dir(r.Path)
	if err := os.MkdirAll(directory, 0o711); err != nil {
		return Armed{}, fmt.Errorf("make the socket's folder: %w", err)
	}
	if err := os.Remove(r.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Armed{}, fmt.Errorf("remove the stale socket: %w", err)
	}
	number, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return Armed{}, fmt.Errorf("watch %s: %w", directory, err)
	}
	watch := os.NewFile(uintptr(number), "inotify")
	// Attributes too: a server may listen only after it has changed the mode of what it bound.
	if _, err := unix.InotifyAddWatch(number, directory, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB); err != nil {
		_ = watch.Close()
		return Armed{}, fmt.Errorf("watch %s: %w", directory, err)
	}
	return Armed{Closer: watch, Wait: func(done <-chan struct{}) error {
		stop := closeOn(done, watch)
		defer stop()
		buffer := make([]byte, 4096)
		for {
			if connection, err := net.Dial("unix", r.Path); err == nil {
				return connection.Close()
			}
			if _, err := watch.Read(buffer); err != nil {
				return fmt.Errorf("watch %s: %w", directory, err)
			}
		}
	}}, nil
}

// ReadyNotify is readiness by the message READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3)). Not for a process that
// hands its environment to containers.
type ReadyNotify struct {
	// Path is the socket, made anew at each start.
	Path string
}

// Arm makes the socket.
func (r ReadyNotify) Arm(int) (Armed, error) {
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o711); err != nil {
		return Armed{}, fmt.Errorf("make the notification socket's folder: %w", err)
	}
	if err := os.Remove(r.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Armed{}, fmt.Errorf("remove the stale notification socket: %w", err)
	}
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.Path, Net: "unixgram"})
	if err != nil {
		return Armed{}, fmt.Errorf("make the notification socket: %w", err)
	}
	return Armed{
		Env:    []string{"NOTIFY_SOCKET=" + r.Path},
		Closer: connection,
		Wait: func(done <-chan struct{}) error {
			stop := closeOn(done, connection)
			defer stop()
			buffer := make([]byte, 4096)
			for {
				n, err := connection.Read(buffer)
				if err != nil {
					return fmt.Errorf("wait for READY=1: %w", err)
				}
				for line := range strings.Lines(string(buffer[:n])) {
					if strings.TrimSpace(line) == "READY=1" {
						return nil
					}
				}
			}
		},
	}, nil
}

// closeOn closes closer as soon as done is, which ends a blocked read, until stop is called.
func closeOn(done <-chan struct{}, closer io.Closer) (stop func()) {
	finished := make(chan struct{})
	go func() {
		select {
		case <-done:
			_ = closer.Close()
		case <-finished:
		}
	}()
	return func() { close(finished) }
}

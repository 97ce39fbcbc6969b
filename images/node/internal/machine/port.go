package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// portsFolder is where the kernel lists the ports of virtio-serial.
const portsFolder = "/sys/class/virtio-ports"

// findPort returns the device of the port with this name, or "" when it is not there (yet).
func findPort(folder, name string) (string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		given, err := os.ReadFile(filepath.Join(folder, entry.Name(), "name"))
		// Some have no name, and one may go while it is looked at.
		if err == nil && strings.TrimSpace(string(given)) == name {
			return filepath.Join("/dev", entry.Name()), nil
		}
	}
	return "", nil
}

// waitForPort returns the device of the port with this name. The host tells the kernel the names of ports after it told it
// of the ports, so a name may come later than this program.
func waitForPort(name string, limit time.Duration) (string, error) {
	// First the events, then the look, so that none is missed.
	events, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return "", fmt.Errorf("listen to the kernel's events: %w", err)
	}
	defer func() { _ = unix.Close(events) }()
	// Group 1 are the kernel's own events.
	if err := unix.Bind(events, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return "", fmt.Errorf("listen to the kernel's events: %w", err)
	}
	deadline := time.Now().Add(limit)
	buffer := make([]byte, 16<<10)
	for {
		device, err := findPort(portsFolder, name)
		if err != nil || device != "" {
			return device, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return "", fmt.Errorf("there is no virtio-serial port %s after %s: the machine has to be given one", name, limit)
		}
		timeout := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(events, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return "", fmt.Errorf("listen to the kernel's events: %w", err)
		}
		// Whatever the event was: that something happened is enough. ENOBUFS says that some were lost.
		if _, _, err := unix.Recvfrom(events, buffer, 0); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) &&
			!errors.Is(err, unix.ENOBUFS) {
			return "", fmt.Errorf("listen to the kernel's events: %w", err)
		}
	}
}

// port is an open virtio-serial port. While nobody is connected on the host's side, writing waits, and so does reading,
// although the kernel calls it the end of the file then.
type port struct {
	file *os.File
	raw  syscall.RawConn
}

func openPort(device string, flags int) (*port, error) {
	file, err := os.OpenFile(device, flags, 0)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &port{file, raw}, nil
}

// Write hands everything over to the host.
func (p *port) Write(data []byte) (int, error) { return p.file.Write(data) }

// Read waits for data.
func (p *port) Read(buffer []byte) (int, error) {
	var n int
	var failure error
	// The runtime polls edge-triggered: after an end of file it waits until something changes.
	err := p.raw.Read(func(fd uintptr) bool {
		n, failure = unix.Read(int(fd), buffer)
		for errors.Is(failure, unix.EINTR) {
			n, failure = unix.Read(int(fd), buffer)
		}
		return n > 0 || failure != nil && !errors.Is(failure, unix.EAGAIN)
	})
	if err := errors.Join(err, failure); err != nil {
		return 0, err
	}
	return n, nil
}

var _ io.ReadWriter = (*port)(nil)

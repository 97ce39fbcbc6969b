package machine

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// renew makes the kernel's random numbers new and sets its clock, in this order: whoever sees the new time gets numbers
// that no copy of this machine gets.
func renew(now time.Time, entropy []byte) error {
	if err := addEntropy(entropy); err != nil {
		return fmt.Errorf("add entropy: %w", err)
	}
	moment := unix.NsecToTimespec(now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &moment); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// addEntropy mixes random bytes into the kernel's pool, credits them (random(4), RNDADDENTROPY), and has the generator
// seeded from it at once.
func addEntropy(entropy []byte) error {
	device, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	// struct rand_pool_info of linux/random.h: the credit in bits, the size in bytes, the bytes.
	request := make([]byte, 8+len(entropy))
	*(*int32)(unsafe.Pointer(&request[0])) = int32(len(entropy) * 8)
	*(*int32)(unsafe.Pointer(&request[4])) = int32(len(entropy))
	copy(request[8:], entropy)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&request[0])))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return unix.IoctlSetInt(int(device.Fd()), unix.RNDRESEEDCRNG, 0)
}

// sinceBoot is how long the kernel's clock has run.
func sinceBoot() time.Duration {
	var now unix.Timespec
	// It fails only for clocks that the kernel does not know.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return time.Duration(now.Nano())
}

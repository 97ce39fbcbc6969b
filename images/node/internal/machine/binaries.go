package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// binaryFormats is where the kernel's binfmt_misc is mounted, and told of formats (Documentation/admin-guide/binfmt-misc.rst).
	binaryFormats = "/proc/sys/fs/binfmt_misc"
	// emulators has Debian's qemu-user of the machine's own architecture, for others.
	emulators = "/usr/libexec/sandbar"
)

// binaryFormat is how the kernel knows programs of an architecture, and what runs them.
type binaryFormat struct {
	// architecture is Go's name, emulator the program's.
	architecture, emulator string
	// machine is the ELF header's e_machine.
	machine uint16
}

// formats are those that an image may have an emulator for.
var formats = []binaryFormat{
	{architecture: "amd64", emulator: "qemu-x86_64", machine: 62},
	{architecture: "arm64", emulator: "qemu-aarch64", machine: 183},
}

// registration is a line for the kernel. It is for ELF files of 64 bits and the lower byte first that are programs or shared
// objects, of any ABI. Flags: P, the emulator learns argument 0; O and C, setuid counts for the program and not for the
// emulator; F, the emulator is opened now, so that it is found from within containers.
func (f binaryFormat) registration(folder string) string {
	magic := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00")
	mask := []byte("\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff")
	magic[18], magic[19] = byte(f.machine), byte(f.machine>>8)
	return fmt.Sprintf(":%s:M::%s:%s:%s:POCF", f.emulator, escaped(magic), escaped(mask), filepath.Join(folder, f.emulator))
}

// escaped are bytes as the kernel takes them in a line of text.
func escaped(raw []byte) string {
	var text strings.Builder
	for _, b := range raw {
		fmt.Fprintf(&text, "\\x%02x", b)
	}
	return text.String()
}

// emulateBinaries lets programs of other architectures run, as far as the image has emulators, and returns those
// architectures.
func emulateBinaries() ([]string, error) {
	if err := unix.Mount("binfmt_misc", binaryFormats, "binfmt_misc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", binaryFormats, err)
	}
	var architectures []string
	for _, format := range formats {
		if _, err := os.Stat(filepath.Join(emulators, format.emulator)); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.WriteFile(filepath.Join(binaryFormats, "register"), []byte(format.registration(emulators)), 0); err != nil {
			return nil, fmt.Errorf("tell the kernel of programs for %s: %w", format.architecture, err)
		}
		architectures = append(architectures, format.architecture)
	}
	if architectures == nil {
		return nil, fmt.Errorf("this image has no emulator for another architecture than %s", runtime.GOARCH)
	}
	return architectures, nil
}

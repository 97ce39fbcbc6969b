package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Serial numbers of the disks, by which they are told apart.
const (
	serialSystem = "system"
	serialData   = "data"
)

const (
	// blockDevices is where the kernel lists disks.
	blockDevices = "/sys/block"
	// memoryBuses is where it lists persistent memory.
	memoryBuses = "/sys/bus/nd/devices"
)

// findDisk returns the device of the disk with this serial number.
func findDisk(folder, serial string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	for _, entry := range entries {
		given, err := os.ReadFile(filepath.Join(folder, entry.Name(), "serial"))
		if err == nil && strings.TrimSpace(string(given)) == serial {
			return filepath.Join("/dev", entry.Name()), nil
		}
	}
	return "", fmt.Errorf("no disk has the serial number %q: the machine has to be given one", serial)
}

// systemDevice returns the device with the image's file system and the options to mount it with: memory that the host has
// of the image's file, which programs run in without a copy of the machine's own, or else a disk.
func systemDevice(disks, buses string) (device, options string, err error) {
	if err := awaitMemory(buses); err != nil {
		return "", "", err
	}
	memory, err := filepath.Glob(filepath.Join(disks, "pmem*"))
	if err != nil {
		return "", "", err
	}
	if len(memory) > 0 {
		return filepath.Join("/dev", filepath.Base(memory[0])), "dax=always", nil
	}
	device, err = findDisk(disks, serialSystem)
	return device, "", err
}

// awaitMemory waits until the kernel has looked at all persistent memory, which it does beside what loads its modules.
func awaitMemory(buses string) error {
	// Whoever reads them waits (drivers/nvdimm/bus.c of the kernel).
	waits, err := filepath.Glob(filepath.Join(buses, "ndbus*", "wait_probe"))
	if err != nil {
		return err
	}
	for _, wait := range waits {
		if _, err := os.ReadFile(wait); err != nil {
			return fmt.Errorf("wait for the image's memory: %w", err)
		}
	}
	return nil
}

// superblock is what counts here of a file system ext4, after the kernel's Documentation/filesystems/ext4/super.rst.
type superblock struct {
	blocks    uint64
	blockSize uint64
	// failed says that the kernel has found errors in the file system.
	failed bool
}

// errNotExt4 says that a disk has no file system of that kind.
var errNotExt4 = errors.New("it holds no ext4 file system")

// readSuperblock reads it from a device.
func readSuperblock(device io.ReaderAt) (superblock, error) {
	const offset, size = 1024, 1024
	raw := make([]byte, size)
	if _, err := device.ReadAt(raw, offset); err != nil {
		return superblock{}, err
	}
	if binary.LittleEndian.Uint16(raw[0x38:]) != 0xef53 {
		return superblock{}, errNotExt4
	}
	const incompat64 = 0x80
	s := superblock{
		blocks:    uint64(binary.LittleEndian.Uint32(raw[0x4:])),
		blockSize: 1024 << (binary.LittleEndian.Uint32(raw[0x18:]) & 31),
		failed:    binary.LittleEndian.Uint16(raw[0x3a:])&2 != 0,
	}
	if binary.LittleEndian.Uint32(raw[0x60:])&incompat64 != 0 {
		s.blocks |= uint64(binary.LittleEndian.Uint32(raw[0x150:])) << 32
	}
	return s, nil
}

// grown is how many blocks the file system has once it fills a disk of this size in bytes; 0 if it does already.
func (s superblock) grown(size uint64) uint64 {
	if blocks := size / s.blockSize; blocks > s.blocks {
		return blocks
	}
	return 0
}

// resize is EXT4_IOC_RESIZE_FS of the kernel's fs/ext4/ext4.h, _IOW('f', 16, __u64).
const resize = 0x40086610

// mountData mounts the cluster's disk and lets its file system grow to the disk's size. It says whether the kernel found
// errors in it before.
func mountData(device, point string) (failed bool, err error) {
	file, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	super, err := readSuperblock(file)
	if err != nil {
		return false, fmt.Errorf("look at the cluster's disk %s: %w", device, err)
	}
	// The inode tables of what is added are read as zeroes, since nobody ever wrote there: none need be written.
	if err := unix.Mount(device, point, "ext4", unix.MS_NOATIME, "noinit_itable"); err != nil {
		return false, fmt.Errorf("mount the cluster's disk %s: %w", device, err)
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return false, fmt.Errorf("measure the cluster's disk %s: %w", device, err)
	}
	blocks := super.grown(uint64(size))
	if blocks == 0 {
		return super.failed, nil
	}
	folder, err := os.Open(point)
	if err != nil {
		return false, err
	}
	defer func() { _ = folder.Close() }()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, folder.Fd(), resize, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return false, fmt.Errorf("let the file system of %s grow from %d to %d blocks: %w", device, super.blocks, blocks, errno)
	}
	return super.failed, nil
}

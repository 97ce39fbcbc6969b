package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	dropCaches = "/proc/sys/vm/drop_caches"
	buddyInfo  = "/proc/buddyinfo"
	// hugePageHoles is how many of its pages may be missing where the kernel makes a huge page of pages: nearly all, so that
	// an idle node grows.
	hugePageHoles = "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none"
	// reportingOrder is from which size on the kernel gives free blocks back to the host.
	reportingOrder = "/sys/module/page_reporting/parameters/page_reporting_order"
	// idleOrder are blocks of four pages. What the page cache leaves is in blocks that small. The kernel's own, a huge page,
	// spares the start to take memory again that it has just given back.
	idleOrder = 2
)

// keepSmall has the kernel make huge pages of what is there alone.
func keepSmall(logf func(format string, args ...any)) {
	if err := set(hugePageHoles, 0); err != nil {
		logf("huge pages may be larger than what is in them: %v", err)
	}
}

// GiveBack gives the host back what only the start needed: the page cache of files that no program has mapped, which the
// host has in its own, too. From now on free memory goes back in smaller pieces.
func GiveBack() error {
	if err := set(reportingOrder, idleOrder); err != nil {
		return fmt.Errorf("give free memory back in small pieces: %w", err)
	}
	return dropCache()
}

// dropCache drops what the kernel keeps of files that no program has mapped.
func dropCache() error {
	if err := set(dropCaches, 1); err != nil {
		return fmt.Errorf("drop the page cache: %w", err)
	}
	return nil
}

// set writes a setting of the kernel. One that it does not have has nothing to be set.
func set(path string, value int) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.Itoa(value))
	return errors.Join(err, file.Close())
}

// shrink leaves as little in memory as it can at once: a state that the host writes now leaves out pages of zeroes. What the
// kernel frees keeps its content, so it is zeroed where the host was not given it back.
func shrink() error {
	before, err := readFreeMemory(buddyInfo)
	if err != nil {
		return err
	}
	if err := dropCache(); err != nil {
		return err
	}
	after, err := readFreeMemory(buddyInfo)
	if err != nil {
		return err
	}
	return zero(dirty(before, after) * uint64(os.Getpagesize()))
}

// zero zeroes so many bytes of free memory, by taking them and giving them back: the kernel gives programs the smallest
// free blocks first, and zeroed.
func zero(bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	memory, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("take free memory: %w", err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	// A huge page is what the host has back already. Kernels without them do not know the word.
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	if err := unix.Madvise(memory, unix.MADV_POPULATE_WRITE); err != nil {
		return fmt.Errorf("take free memory: %w", err)
	}
	return nil
}

// zone is what is free in one of the kernel's zones, in pages.
type zone struct {
	name string
	// small are in blocks that the host is not given back, all with those that it is.
	small, all uint64
}

// dirty is how many free pages have a content still: those in small blocks, and those that became free between two looks,
// which is too short for the host to be told of them. The kernel takes from the last zone for as long as it has enough there,
// so what is in one before is not reached. It is never more than half of what is free, so that nobody has to wait for memory.
func dirty(before, after []zone) uint64 {
	var pages, free uint64
	for i := len(after) - 1; i >= 0; i-- {
		z, fresh := after[i], uint64(0)
		if i < len(before) && before[i].name == z.name {
			fresh = z.all - min(before[i].all, z.all)
			z.small = before[i].small
		}
		reached := min(z.small+fresh, z.all)
		pages += reached
		free += z.all
		if z.all > reached {
			break
		}
	}
	return min(pages, free/2)
}

// readFreeMemory reads a file as /proc/buddyinfo is.
func readFreeMemory(path string) ([]zone, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var zones []zone
	for line := range strings.Lines(string(text)) {
		// "Node 0, zone   Normal" and how many blocks of 1, 2, 4… pages are free.
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[2] != "zone" {
			return nil, fmt.Errorf("%s has the line %q", path, line)
		}
		z := zone{name: fields[1] + fields[3]}
		for order, field := range fields[4:] {
			blocks, err := strconv.ParseUint(field, 10, 40)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			z.all += blocks << order
			if order < idleOrder {
				z.small += blocks << order
			}
		}
		zones = append(zones, z)
	}
	return zones, nil
}

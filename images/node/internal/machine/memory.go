package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

const (
	dropCaches = "/proc/sys/vm/drop_caches"
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

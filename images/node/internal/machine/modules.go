package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Files beside modules that name those to load, one a line and each after all that it needs.
const (
	loadList = "load"
	// linkList is of those that make a [control.NetworkLink].
	linkList = "load-link"
)

// parseLoadList returns the files that a list names.
func parseLoadList(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name := strings.TrimSpace(line); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// loadModules loads what a list in folder names, which are paths relative to it. All are tried; what could not be loaded
// is the error. load is [loadModule] but in tests.
func loadModules(folder, name string, load func(path string) error) error {
	list, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return fmt.Errorf("read which modules to load: %w", err)
	}
	var failures []error
	for _, name := range parseLoadList(string(list)) {
		if err := load(filepath.Join(folder, name)); err != nil {
			failures = append(failures, fmt.Errorf("load %s: %w", filepath.Base(name), err))
		}
	}
	return errors.Join(failures...)
}

// moduleParameters are of modules that do by themselves what nobody needs.
var moduleParameters = map[string]string{
	// Two interfaces.
	"ifb.ko": "numifbs=0",
}

// loadModule loads one that is not loaded yet.
func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := unix.FinitModule(int(file.Fd()), moduleParameters[filepath.Base(path)], 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// modulesFolder is where the root has the modules of the kernel that runs.
func modulesFolder() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	return filepath.Join("/usr/lib/modules", unix.ByteSliceToString(name.Release[:])), nil
}

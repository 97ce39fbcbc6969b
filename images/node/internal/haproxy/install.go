package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Configuration is a complete configuration: the main file, and what it refers to.
type Configuration struct {
	// Description is the one that Main was given with Preamble; the running worker reports it.
	Description string
	// Main is the text of the configuration file.
	Main []byte
	// Files are maps and certificates by their plain name in the folder that FilesFolder names, to which Main refers.
	Files map[string][]byte
	// FilesFolder is the plain name of a folder below the HAProxy's own. It must change with the contents of Files, so that
	// an old configuration finds its own files until the new one has been accepted.
	FilesFolder string
}

// filesPrefix starts the names of all files' folders, which is how old ones are recognised.
const filesPrefix = "files-"

// FilesFolder is the name of the files' folder for a configuration with the given description.
func FilesFolder(description string) string { return filesPrefix + Word(description) }

// Installer puts configurations in force. One at a time: it is not for concurrent use.
type Installer struct {
	// Folder is the HAProxy's.
	Folder Folder
	// Binary is the program to check configurations with, the same that runs them.
	Binary string
}

// Install checks the configuration, makes it the one that HAProxy starts with, and reloads. A *RefusedError means that
// the one before is still in force, on disk and in the running worker. After any other error, such as an Unreachable
// HAProxy, the new configuration is on disk, and whoever starts HAProxy starts it with that.
func (i Installer) Install(ctx context.Context, c Configuration) error {
	if err := i.writeFiles(c); err != nil {
		return err
	}
	candidate := i.Folder.Config() + ".new"
	if err := os.WriteFile(candidate, c.Main, 0o600); err != nil {
		return fmt.Errorf("write HAProxy's configuration: %w", err)
	}
	if err := Check(ctx, i.Binary, candidate); err != nil {
		_ = os.Remove(candidate)
		i.removeFiles(c.FilesFolder)
		return err
	}
	before, err := os.ReadFile(i.Folder.Config())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read HAProxy's configuration: %w", err)
	}
	if err := os.Rename(candidate, i.Folder.Config()); err != nil {
		return fmt.Errorf("replace HAProxy's configuration: %w", err)
	}
	if err := i.reload(ctx, c.Description); err != nil {
		var refused *RefusedError
		if errors.As(err, &refused) && before != nil {
			err = errors.Join(err, i.write(before))
		}
		return err
	}
	i.removeFilesExcept(c.FilesFolder)
	return nil
}

// Save makes the configuration the one that HAProxy starts with, without telling the one that runs: its servers have been
// or will be changed through the runtime API. The files must be those of the configuration before.
func (i Installer) Save(c Configuration) error { return i.write(c.Main) }

// reload reloads and makes sure that the configuration with this description runs then.
func (i Installer) reload(ctx context.Context, description string) error {
	if err := (Master{Socket: i.Folder.MasterSocket()}).Reload(ctx); err != nil {
		return err
	}
	info, err := Runtime{Socket: i.Folder.WorkerSocket()}.Info(ctx)
	if err != nil {
		return fmt.Errorf("after a reload: %w", err)
	}
	if info.Description != description {
		return fmt.Errorf("after a reload HAProxy runs %q instead of %q", info.Description, description)
	}
	return nil
}

func (i Installer) write(main []byte) error {
	path := i.Folder.Config()
	if current, err := os.ReadFile(path); err == nil && bytes.Equal(current, main) {
		return nil
	}
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, main, 0o600); err != nil {
		return fmt.Errorf("write HAProxy's configuration: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("replace HAProxy's configuration: %w", err)
	}
	return nil
}

// writeFiles makes the files' folder in one step, unless a folder of that name, and so with that content, is there.
func (i Installer) writeFiles(c Configuration) error {
	if !strings.HasPrefix(c.FilesFolder, filesPrefix) || filepath.Base(c.FilesFolder) != c.FilesFolder {
		return fmt.Errorf("%q is no name for a folder of HAProxy's files", c.FilesFolder)
	}
	final := filepath.Join(string(i.Folder), c.FilesFolder)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	temporary, err := os.MkdirTemp(string(i.Folder), filesPrefix+"*.tmp")
	if err != nil {
		return fmt.Errorf("write HAProxy's files: %w", err)
	}
	for name, content := range c.Files {
		if filepath.Base(name) != name {
			err = fmt.Errorf("%q is no plain file name", name)
		} else {
			err = os.WriteFile(filepath.Join(temporary, name), content, 0o600)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("write HAProxy's files: %w", err), os.RemoveAll(temporary))
		}
	}
	if err := os.Rename(temporary, final); err != nil {
		return errors.Join(fmt.Errorf("write HAProxy's files: %w", err), os.RemoveAll(temporary))
	}
	return nil
}

// removeFiles forgets the files of a configuration that was not accepted, unless the one in force has the same.
func (i Installer) removeFiles(folder string) {
	current, err := os.ReadFile(i.Folder.Config())
	if err == nil && !bytes.Contains(current, []byte("/"+folder+"/")) {
		_ = os.RemoveAll(filepath.Join(string(i.Folder), folder))
	}
}

// removeFilesExcept clears files of earlier configurations and of crashes. Old workers have read theirs long ago.
func (i Installer) removeFilesExcept(folder string) {
	entries, err := os.ReadDir(string(i.Folder))
	if err != nil {
		return // nothing depends on it, and the next installation tries again
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filesPrefix) && entry.Name() != folder {
			_ = os.RemoveAll(filepath.Join(string(i.Folder), entry.Name()))
		}
	}
}

// Check asks the program whether it would accept the configuration file. If not, the error is a *RefusedError with its
// reasons. The listening sockets are stood in for: HAProxy only looks whether the descriptors are sockets.
func Check(ctx context.Context, binary, path string) error {
	command := exec.CommandContext(ctx, binary, "-c", "-f", path)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	for range HTTPSDescriptor - HTTPDescriptor + 1 {
		descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("check HAProxy's configuration: socket: %w", err)
		}
		file := os.NewFile(uintptr(descriptor), "socket")
		defer func() { _ = file.Close() }()
		command.ExtraFiles = append(command.ExtraFiles, file) // the first of them becomes descriptor 3
	}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && errors.As(err, &exit) && exit.Exited():
		return &RefusedError{Messages: complaints(string(output))}
	default:
		return fmt.Errorf("check HAProxy's configuration: %w", err)
	}
}

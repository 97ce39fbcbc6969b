package pool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	volumesDir = "volumes"
	trashDir   = "trash"
	dataDir    = "data"
	recordFile = "volume.json"
	// prefix of a volume that is being made; no valid ID starts with a dot
	unfinishedPrefix = ".new-"
	maxIDLength      = 128
)

// Directory is a pool whose volumes are folders of one file system:
//
//	<root>/volumes/<id>/data          what pods see
//	<root>/volumes/<id>/volume.json   the record
//	<root>/trash/                     volumes that are being removed
//
// A volume appears and disappears by a rename, so a crash leaves whole volumes and leftovers that OpenDirectory removes.
// Its volumes share the file system's space: a volume's size is checked when it is made and is no quota.
type Directory struct {
	name string
	root string
	// writes are few; one lock keeps two requests for one name apart
	mu sync.Mutex
}

var _ Pool = (*Directory)(nil)

// OpenDirectory opens the pool in root, which it makes when it is missing, and clears away what a crash left.
func OpenDirectory(name, root string) (*Directory, error) {
	for _, dir := range []string{root, filepath.Join(root, volumesDir), filepath.Join(root, trashDir)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
	}
	d := &Directory{name: name, root: root}
	entries, err := os.ReadDir(filepath.Join(root, volumesDir))
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinishedPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, volumesDir, entry.Name())); err != nil {
			return nil, fmt.Errorf("pool %s: unfinished volume: %w", name, err)
		}
	}
	if err := d.emptyTrash(); err != nil {
		return nil, err
	}
	return d, nil
}

// Name implements Pool.
func (d *Directory) Name() string { return d.name }

// Create implements Pool.
func (d *Directory) Create(_ context.Context, name string, bytes int64) (Volume, error) {
	if name == "" {
		return Volume{}, fmt.Errorf("%w: the name is empty", ErrInvalidID)
	}
	d.mu.Lock()
	defer d.mu.Unlock()

	id := idFor(name)
	existing, err := d.read(id)
	switch {
	case err == nil && existing.Name == name && existing.Bytes == bytes:
		return existing, nil
	case err == nil:
		return Volume{}, fmt.Errorf("%w: %s has %d bytes, asked for %d", ErrSizeDiffers, id, existing.Bytes, bytes)
	case !errors.Is(err, ErrNotFound):
		return Volume{}, err
	}

	usage, err := statfs(d.root)
	if err != nil {
		return Volume{}, err
	}
	if bytes > usage.AvailableBytes {
		return Volume{}, &NoSpaceError{Pool: d.name, Requested: bytes, Available: usage.AvailableBytes}
	}
	volume := Volume{ID: id, Name: name, Bytes: bytes, Created: time.Now().UTC().Truncate(time.Second)}
	if err := d.make(volume); err != nil {
		return Volume{}, fmt.Errorf("pool %s: volume %s: %w", d.name, id, err)
	}
	return volume, nil
}

// make builds the volume aside and renames it into place, the record being the last file that is written.
func (d *Directory) make(volume Volume) error {
	final := filepath.Join(d.root, volumesDir, volume.ID)
	unfinished := filepath.Join(d.root, volumesDir, unfinishedPrefix+volume.ID)
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	data := filepath.Join(unfinished, dataDir)
	if err := os.MkdirAll(data, 0o711); err != nil {
		return err
	}
	// Any user of a pod that mounts the volume may write, as with the other local provisioners; the folders above
	// cannot be listed. chmod, because the umask would take bits away from mkdir.
	if err := os.Chmod(data, 0o777); err != nil {
		return err
	}
	record, err := json.MarshalIndent(volume, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(unfinished, recordFile), append(record, '\n')); err != nil {
		return err
	}
	if err := syncDir(unfinished); err != nil {
		return err
	}
	if err := os.Rename(unfinished, final); err != nil {
		return err
	}
	return syncDir(filepath.Join(d.root, volumesDir))
}

// Get implements Pool.
func (d *Directory) Get(_ context.Context, id string) (Volume, error) {
	return d.read(id)
}

func (d *Directory) read(id string) (Volume, error) {
	if err := checkID(id); err != nil {
		return Volume{}, err
	}
	content, err := os.ReadFile(filepath.Join(d.root, volumesDir, id, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Volume{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return Volume{}, fmt.Errorf("pool %s: %w", d.name, err)
	}
	var volume Volume
	if err := json.Unmarshal(content, &volume); err != nil {
		return Volume{}, fmt.Errorf("pool %s: record of volume %s: %w", d.name, id, err)
	}
	return volume, nil
}

// Delete implements Pool.
func (d *Directory) Delete(_ context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	trash, err := os.MkdirTemp(filepath.Join(d.root, trashDir), id+"-")
	if err != nil {
		return fmt.Errorf("pool %s: %w", d.name, err)
	}
	err = os.Rename(filepath.Join(d.root, volumesDir, id), filepath.Join(trash, "volume"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("pool %s: %w", d.name, err), os.Remove(trash))
	}
	if err := syncDir(filepath.Join(d.root, volumesDir)); err != nil {
		return err
	}
	return d.emptyTrash()
}

func (d *Directory) emptyTrash() error {
	entries, err := os.ReadDir(filepath.Join(d.root, trashDir))
	if err != nil {
		return fmt.Errorf("pool %s: %w", d.name, err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(d.root, trashDir, entry.Name())); err != nil {
			return fmt.Errorf("pool %s: %w", d.name, err)
		}
	}
	return nil
}

// List implements Pool.
func (d *Directory) List(_ context.Context) ([]Volume, error) {
	entries, err := os.ReadDir(filepath.Join(d.root, volumesDir))
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", d.name, err)
	}
	volumes := make([]Volume, 0, len(entries))
	for _, entry := range entries {
		if checkID(entry.Name()) != nil {
			continue
		}
		volume, err := d.read(entry.Name())
		if errors.Is(err, ErrNotFound) {
			continue // removed since the folder was read
		}
		if err != nil {
			return nil, err
		}
		volumes = append(volumes, volume)
	}
	sort.Slice(volumes, func(i, j int) bool { return volumes[i].ID < volumes[j].ID })
	return volumes, nil
}

// Path implements Pool.
func (d *Directory) Path(id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	return filepath.Join(d.root, volumesDir, id, dataDir), nil
}

// Usage implements Pool.
func (d *Directory) Usage(_ context.Context) (Usage, error) { return statfs(d.root) }

// idFor keeps names that are safe in a path (Kubernetes' pvc-UID are) and hashes the others.
func idFor(name string) string {
	if checkID(name) == nil && !strings.HasPrefix(name, "h-") {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "h-" + hex.EncodeToString(sum[:20])
}

// checkID lets only lower-case letters, digits, dots and hyphens through, a letter or digit first: an ID becomes a path.
func checkID(id string) error {
	if id == "" || len(id) > maxIDLength {
		return fmt.Errorf("%w: %d characters", ErrInvalidID, len(id))
	}
	for i, c := range []byte(id) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '-' && c != '.') {
			return fmt.Errorf("%w: %q", ErrInvalidID, id)
		}
	}
	return nil
}

// StatPath is how full the file system at path is.
func StatPath(path string) (Usage, error) { return statfs(path) }

func statfs(path string) (Usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Usage{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	block := int64(s.Bsize)
	return Usage{
		CapacityBytes:  int64(s.Blocks) * block,
		UsedBytes:      int64(s.Blocks-s.Bfree) * block,
		AvailableBytes: int64(s.Bavail) * block,
		Inodes:         int64(s.Files),
		UsedInodes:     int64(s.Files - s.Ffree),
		FreeInodes:     int64(s.Ffree),
	}, nil
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil {
		return errors.Join(err, dir.Close())
	}
	return dir.Close()
}

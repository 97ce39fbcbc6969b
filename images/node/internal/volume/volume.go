// Package volume looks after the node's durable folder as a whole: which version of the node wrote it, whether this one
// may, and the cluster's identity. The parts of the folder belong to their own packages.
package volume

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sandbar.dev/node/internal/durable"
	"sandbar.dev/node/internal/paths"
)

// dataFormat is the version of the volume's layout that this node writes and reads.
const dataFormat = 1

// VersionError says that this node must not touch the volume. It is a matter for the user, not for another attempt.
type VersionError struct{ Reason string }

// Error is the reason.
func (e *VersionError) Error() string { return e.Reason }

// Version is the content of the file data-version.
type Version struct {
	// Data is the layout's version.
	Data int `json:"data"`
	// Kubernetes is the minor version that last wrote the data, such as "1.37".
	Kubernetes string `json:"kubernetes"`
}

// Prepared is what a node needs to know of its volume.
type Prepared struct {
	// ClusterID is the cluster's UUID.
	ClusterID string
	// Previous is who wrote the volume before; nil at the first start.
	Previous *Version
	// Backup is the folder of the copy that was made because Kubernetes is newer than the data; empty if there was none.
	Backup string

	layout  paths.Layout
	current Version
}

// Prepare checks that the node with this Kubernetes version (such as "v1.37.2") may use the volume. Data one minor version
// older is copied first. It returns a *VersionError for data that is newer, or older by more than one minor version.
func Prepare(layout paths.Layout, kubernetes string) (*Prepared, error) {
	minor, err := minorOf(kubernetes)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(layout.Data, 0o755); err != nil {
		return nil, err
	}
	p := &Prepared{layout: layout, current: Version{Data: dataFormat, Kubernetes: minor.String()}}
	if p.Previous, err = readVersion(layout.DataVersion()); err != nil {
		return nil, err
	}
	if p.Previous != nil {
		if err := p.checkPrevious(minor); err != nil {
			return nil, err
		}
	}
	if p.ClusterID, err = clusterID(layout.ClusterID()); err != nil {
		return nil, err
	}
	return p, nil
}

// Commit records that this node has written the volume. Call it when the node's parts have accepted the data.
func (p *Prepared) Commit() error {
	if p.Previous != nil && *p.Previous == p.current {
		return nil
	}
	data, err := json.Marshal(p.current)
	if err != nil {
		return err
	}
	return durable.WriteFile(p.layout.DataVersion(), append(data, '\n'), 0o644)
}

func (p *Prepared) checkPrevious(minor minorVersion) error {
	if p.Previous.Data != dataFormat {
		return &VersionError{fmt.Sprintf("%s says data format %d, this node knows %d: use the node image that wrote it",
			p.layout.DataVersion(), p.Previous.Data, dataFormat)}
	}
	previous, err := minorOf(p.Previous.Kubernetes)
	if err != nil {
		return fmt.Errorf("%s: %w", p.layout.DataVersion(), err)
	}
	switch step := minor.number - previous.number; {
	case previous.major != minor.major || step < 0:
		return &VersionError{fmt.Sprintf("the volume was written by Kubernetes %s, this node has %s: a downgrade would lose"+
			" data; use a node image with Kubernetes %s or newer", previous, minor, previous)}
	case step > 1:
		return &VersionError{fmt.Sprintf("the volume was written by Kubernetes %s, this node has %s: only one minor version at"+
			" a time; start it with a node image with Kubernetes %d.%d first", previous, minor, previous.major, previous.number+1)}
	case step == 1:
		p.Backup, err = backUp(p.layout, previous)
	}
	return err
}

// backUp copies what a newer Kubernetes changes, the datastore, unless a copy from that version is there already.
func backUp(layout paths.Layout, from minorVersion) (string, error) {
	target := filepath.Join(layout.Backups(), "before-"+from.next().String())
	if _, err := os.Stat(target); err == nil {
		return target, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	unfinished := target + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(unfinished, "etcd"), os.DirFS(layout.Etcd())); err != nil {
		return "", fmt.Errorf("copy the datastore before Kubernetes %s changes it: %w", from.next(), err)
	}
	if err := durable.SyncTree(unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, target); err != nil {
		return "", err
	}
	return target, durable.Sync(layout.Backups())
}

type minorVersion struct{ major, number int }

func (v minorVersion) String() string { return fmt.Sprintf("%d.%d", v.major, v.number) }

func (v minorVersion) next() minorVersion { return minorVersion{v.major, v.number + 1} }

// minorOf reads "v1.37.2" or "1.37".
func minorOf(version string) (minorVersion, error) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) >= 2 {
		major, err := strconv.Atoi(parts[0])
		number, err2 := strconv.Atoi(parts[1])
		if err == nil && err2 == nil {
			return minorVersion{major, number}, nil
		}
	}
	return minorVersion{}, fmt.Errorf("%q is not a version of Kubernetes", version)
}

func readVersion(path string) (*Version, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no version is the normal answer of an empty volume
	} else if err != nil {
		return nil, err
	}
	var version Version
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, &VersionError{fmt.Sprintf("%s is damaged (%v): restore the volume", path, err)}
	}
	return &version, nil
}

// clusterID reads the cluster's UUID or makes one.
func clusterID(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		if id := strings.TrimSpace(string(data)); len(id) == 36 {
			return id, nil
		}
		return "", &VersionError{path + " does not hold a UUID: restore the volume"}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id, err := newUUID()
	if err != nil {
		return "", err
	}
	return id, durable.WriteFile(path, []byte(id+"\n"), 0o644)
}

// newUUID is a random UUID, version 4 of RFC 9562.
func newUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]), nil
}

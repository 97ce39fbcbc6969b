// Package pool keeps volumes. It knows nothing of CSI or Kubernetes.
//
// A Pool is where volumes live: today a folder of the node's volume ([Directory]); a finite pool on a file-system image,
// with snapshots and clones, is another implementation of the same interface.
package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers decide on.
var (
	// ErrNotFound says that the pool has no volume of that ID.
	ErrNotFound = errors.New("no such volume")
	// ErrSizeDiffers says that the volume exists with another size than the one asked for.
	ErrSizeDiffers = errors.New("the volume exists with another size")
	// ErrInvalidID says that an ID could not have come from this pool.
	ErrInvalidID = errors.New("not a volume ID")
)

// NoSpaceError says that a pool cannot hold what was asked for.
type NoSpaceError struct {
	// Pool is the pool's name.
	Pool string
	// Requested and Available are in bytes.
	Requested, Available int64
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("not enough space in pool %s: %d bytes requested, %d bytes available", e.Pool, e.Requested, e.Available)
}

// Volume is what a pool records of a volume.
type Volume struct {
	// ID names the volume in its pool and for ever.
	ID string `json:"id"`
	// Name is what the volume was asked for by; the same name always yields the same volume.
	Name string `json:"name"`
	// Bytes is the size that was asked for, 0 when none was.
	Bytes int64 `json:"bytes"`
	// Created is when it was made.
	Created time.Time `json:"created"`
}

// Usage is how full a file system is.
type Usage struct {
	// CapacityBytes, UsedBytes and AvailableBytes are in bytes; available is what an ordinary user may still write.
	CapacityBytes, UsedBytes, AvailableBytes int64
	// Inodes, UsedInodes and FreeInodes count files.
	Inodes, UsedInodes, FreeInodes int64
}

// Pool holds volumes. All methods may be called at the same time, and each is safe to call again after a crash in its middle.
type Pool interface {
	// Name is the pool's name, a DNS label.
	Name() string
	// Create makes the volume that is called name, or returns the one there is. A volume of another size is ErrSizeDiffers,
	// a pool that is too full a NoSpaceError. Bytes may be 0.
	Create(ctx context.Context, name string, bytes int64) (Volume, error)
	// Get returns a volume, or ErrNotFound.
	Get(ctx context.Context, id string) (Volume, error)
	// Delete removes a volume and its data; one that is not there is no error.
	Delete(ctx context.Context, id string) error
	// List returns all volumes ordered by ID.
	List(ctx context.Context) ([]Volume, error)
	// Path is the folder that holds a volume's data, to be mounted into pods.
	Path(id string) (string, error)
	// Usage is how full the pool is.
	Usage(ctx context.Context) (Usage, error)
}

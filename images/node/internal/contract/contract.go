// Package contract has the types of the node contract: what sandbar-node answers, what sandbarctl prints, and what the
// laptop's CLI reads. The JSON Schemas in contract/ describe the same; a test holds one against the other.
//
// It imports nothing large, since sandbarctl starts in a few milliseconds.
package contract

import (
	"time"

	"sandbar.dev/node/internal/component"
)

const (
	// Version is the integer of the contract that this node speaks.
	Version = 1
	// SchemaVersion is the version of the layout of the reports.
	SchemaVersion = 1
)

// VersionReport is the answer of `sandbarctl version --output json`.
type VersionReport struct {
	// ContractVersion is [Version].
	ContractVersion int `json:"contractVersion"`
	// Version is Sandbar's own, such as "0.1.0".
	Version string `json:"version"`
	// KubernetesVersion is such as "v1.37.2".
	KubernetesVersion string `json:"kubernetesVersion"`
	// Architecture is Go's word for the node's, such as "amd64".
	Architecture string `json:"architecture"`
	// Emulated are architectures whose programs run there through an emulator; it has images for these, too.
	Emulated []string `json:"emulated,omitempty"`
}

// Status is the report of a node's state.
type Status struct {
	SchemaVersion   int         `json:"schemaVersion"`
	ContractVersion int         `json:"contractVersion"`
	Healthy         bool        `json:"healthy"`
	Node            Node        `json:"node"`
	Components      []Component `json:"components"`
	Phases          []Phase     `json:"phases"`
	Network         Network     `json:"network"`
	Ingress         Ingress     `json:"ingress"`
	Storage         Storage     `json:"storage"`
	// Memory is nil where it cannot be read.
	Memory   *Memory   `json:"memory,omitempty"`
	Warnings []Warning `json:"warnings"`
}

// Node says which node it is. Fields that are not known yet are empty.
type Node struct {
	// Name is the name of the Node object.
	Name string `json:"name"`
	// ClusterID is a UUID, the same for the life of the volume.
	ClusterID string `json:"clusterId"`
	// ClusterName is what the laptop calls the cluster.
	ClusterName string `json:"clusterName"`
	// Version is Sandbar's own.
	Version string `json:"version"`
	// KubernetesVersion is such as "v1.37.2".
	KubernetesVersion string `json:"kubernetesVersion"`
	// Architecture is such as "amd64".
	Architecture string `json:"architecture"`
	// Started is when sandbar-init started (RFC 3339).
	Started time.Time `json:"started"`
	// Address is the node's address in the engine's network.
	Address string `json:"address"`
}

// Component is one part of the node and what it does.
type Component struct {
	Name  string          `json:"name"`
	State component.State `json:"state"`
	Since time.Time       `json:"since"`
	// WaitingFor names the components that must be ready first, in state waiting.
	WaitingFor []string `json:"waitingFor"`
	// Reason says in words why the state is not ready.
	Reason string `json:"reason"`
	// LastError is the last failure, also after it healed.
	LastError string `json:"lastError"`
	// Restarts counts how often it was started again since sandbar-init started.
	Restarts int `json:"restarts"`
	// LastLines are the last lines of the log of a child of sandbar-init that is not running.
	LastLines []string `json:"lastLines,omitempty"`
}

// Phase is a part of the start.
type Phase struct {
	Name string `json:"name"`
	// StartMillis is when it began, in milliseconds since sandbar-init started.
	StartMillis int64 `json:"startMillis"`
	// ReadyMillis is when it was over; nil while it is not.
	ReadyMillis *int64 `json:"readyMillis,omitempty"`
}

// Network says which addresses the cluster uses.
type Network struct {
	// ClusterNetwork are the CIDRs of pods.
	ClusterNetwork []string `json:"clusterNetwork"`
	// ServiceNetwork are the CIDRs of Services.
	ServiceNetwork []string `json:"serviceNetwork"`
	// DNS is the address of the cluster's DNS server.
	DNS string `json:"dns"`
	// BaseDomain is the domain of names inside the cluster, such as "default.sandbar.internal".
	BaseDomain string `json:"baseDomain"`
}

// Ingress says which names the ingress serves.
type Ingress struct {
	// Domains are those below which any name leads to the ingress.
	Domains []string `json:"domains"`
	// Hosts are the names that rules exist for.
	Hosts []string `json:"hosts"`
}

// Storage is the space of the volume.
type Storage struct {
	Path           string `json:"path"`
	CapacityBytes  uint64 `json:"capacityBytes"`
	AvailableBytes uint64 `json:"availableBytes"`
}

// Memory is what the node's processes and pods have.
type Memory struct {
	// UsedBytes is without what the kernel would give back at once.
	UsedBytes uint64 `json:"usedBytes"`
	// LimitBytes is 0 where there is no limit.
	LimitBytes uint64 `json:"limitBytes"`
}

// Image is one image in the node's store.
type Image struct {
	// Names are its references, such as "localhost/hello:1".
	Names []string `json:"names"`
	// ID is the digest of its configuration, as engines call images.
	ID string `json:"id"`
	// Digest is the digest of its manifest.
	Digest string `json:"digest"`
	// SizeBytes is the size of its blobs as stored.
	SizeBytes int64 `json:"sizeBytes"`
	// DiffIDs are the digests of its uncompressed layers, first to last.
	DiffIDs []string `json:"diffIds"`
	// Pinned images are never collected.
	Pinned bool `json:"pinned"`
}

// ImageList is the answer of `image ls`.
type ImageList struct {
	Images []Image `json:"images"`
}

// ImportedImage says what an import did for one name.
type ImportedImage struct {
	// Name is its full reference.
	Name string `json:"name"`
	// ID is the digest of its configuration.
	ID string `json:"id"`
	// LayersMoved counts the layers that were in the archive and new here.
	LayersMoved int `json:"layersMoved"`
	// LayersPresent counts the layers that the node had.
	LayersPresent int `json:"layersPresent"`
	// BytesMoved is the size of the moved layers as they were in the archive.
	BytesMoved int64 `json:"bytesMoved"`
}

// ImportReport is the answer of `image import` and `image tag`.
type ImportReport struct {
	Images []ImportedImage `json:"images"`
}

// HostReport is the answer of `host-check`: what a node would find where it runs.
type HostReport struct {
	SchemaVersion   int `json:"schemaVersion"`
	ContractVersion int `json:"contractVersion"`
	// Time is the clock's when the report was made.
	Time time.Time `json:"time"`
	// Checks are what was tried, each once.
	Checks []HostCheck `json:"checks"`
	// Memory is what a node could use.
	Memory HostMemory `json:"memory"`
	// Storage is the space of the volume.
	Storage Storage `json:"storage"`
}

// HostMemory is the memory that a node could use.
type HostMemory struct {
	// AvailableBytes can be had without anything being swapped out.
	AvailableBytes uint64 `json:"availableBytes"`
}

// Result is what became of a check.
type Result string

// Results.
const (
	// ResultPassed means that a node finds what it needs.
	ResultPassed Result = "passed"
	// ResultWarning means that a node works, and not as well as it could.
	ResultWarning Result = "warning"
	// ResultFailed means that a node does not work.
	ResultFailed Result = "failed"
)

// HostCheck is one thing that was tried.
type HostCheck struct {
	// Code is its stable name, such as "overlay".
	Code string `json:"code"`
	// Result is what became of it.
	Result Result `json:"result"`
	// Message says what was found, in a line.
	Message string `json:"message"`
}

// Failure is what sandbar-node's API answers when it could not do something.
type Failure struct {
	// Error says what happened, as sandbarctl prints it.
	Error string `json:"error"`
	// Code is the exit code for sandbarctl; 0 means 1.
	Code int `json:"code,omitempty"`
}

package api

import (
	"context"
	"io"
	"time"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
)

// Supervisor tells what the components of sandbar-node do. *component.Supervisor is one.
type Supervisor interface {
	// Status lists the components.
	Status() []component.Status
	// Phases lists when they started and were ready.
	Phases() []component.Phase
	// Changes is closed at the next change of either.
	Changes() <-chan struct{}
}

// Init tells what sandbar-init knows. *initapi.Client is one.
type Init interface {
	// Report is the present report.
	Report(ctx context.Context) (*initapi.Report, error)
	// Next waits for a report newer than the revision.
	Next(ctx context.Context, after uint64) (*initapi.Report, error)
}

// Images is the node's image store. *images.Store is one.
type Images interface {
	// List lists the images that have names.
	List(ctx context.Context) ([]contract.Image, error)
	// Missing returns those of the digests (of blobs, or of uncompressed layers) that the node does not hold.
	Missing(ctx context.Context, digests []string) ([]string, error)
	// Tag gives names to the image whose configuration has the digest.
	Tag(ctx context.Context, id string, names []string) ([]contract.ImportedImage, error)
	// Import reads an archive; with names, they replace those in the archive.
	Import(ctx context.Context, archive io.Reader, names []string) ([]contract.ImportedImage, error)
	// Remove takes names away.
	Remove(ctx context.Context, names []string) error
}

// Sources are what reports are made from. All of them may be missing while the node starts: set them with
// [Server.Update] as they become known.
type Sources struct {
	// Node says who the node is. Started is filled in from sandbar-init.
	Node contract.Node
	// Network says which addresses are in use.
	Network contract.Network
	// IngressDomains are those below which every name leads to the ingress.
	IngressDomains []string
	// Warnings are those that stay, such as the configuration's.
	Warnings []contract.Warning
	// Supervisor has the components. Until it is set, the node is not healthy.
	Supervisor Supervisor
	// IngressHosts lists the names that rules exist for; nil means none. Call [Server.Changed] when the list changes.
	IngressHosts func() []string
	// Kubeconfig makes the administrator's kubeconfig for a server's URL, with the given name of cluster, user and
	// context. Requests wait until it is set.
	Kubeconfig func(ctx context.Context, server, name string) ([]byte, error)
	// Images is the image store. Requests wait until it is set.
	Images Images
	// NamesOutside says why names outside the cluster are not found at present; nil where they are. It must not wait.
	NamesOutside func() error
	// AuthoritiesEnd is until when the cluster's certificate authorities are valid; zero while that is not known.
	AuthoritiesEnd time.Time
}

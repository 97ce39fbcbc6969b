// Package version says which Sandbar this is.
package version

import (
	"runtime"

	"sandbar.dev/node/internal/contract"
)

// Kubernetes is the version of Kubernetes in this node; a test holds it against go.mod. It stands here since programs that
// link nothing of Kubernetes report it too.
const Kubernetes = "v1.37.2"

// Sandbar is Sandbar's own version; builds set it with -ldflags "-X sandbar.dev/node/internal/version.Sandbar=…".
var Sandbar = "0.1.0"

// Report is the answer of `sandbarctl version`.
func Report() contract.VersionReport {
	return contract.VersionReport{
		ContractVersion: contract.Version, Version: Sandbar, KubernetesVersion: Kubernetes, Architecture: runtime.GOARCH,
	}
}

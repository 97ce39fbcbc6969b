// Package haproxy drives a HAProxy process that somebody else runs: it writes configurations, checks and swaps them, and
// speaks to the master process and to the current worker over their sockets. It knows nothing of Kubernetes and nothing
// of what is routed where. Versions 2.6 to 3.0 of HAProxy are supported; the differences are handled here.
package haproxy

import "path/filepath"

// File descriptors under which the process that starts HAProxy hands down the listening sockets.
const (
	// HTTPDescriptor is the listening socket of port 80.
	HTTPDescriptor = 3
	// HTTPSDescriptor is the listening socket of port 443.
	HTTPSDescriptor = 4
)

// HealthHost is the host name that HAProxy itself answers with 200, "ok" and the header HealthHeader.
const HealthHost = "healthz.sandbar.internal"

// HealthHeader carries the cluster's ID in the answer to a request for HealthHost.
const HealthHeader = "x-sandbar-cluster"

// Folder is the folder of one HAProxy: its configuration and its sockets. It must be absolute, and short enough for UNIX
// sockets below it.
type Folder string

// Config is the configuration file that HAProxy is started with and that reloads read again.
func (f Folder) Config() string { return filepath.Join(string(f), "haproxy.cfg") }

// MasterSocket is the master process's command line, given to HAProxy with -S.
func (f Folder) MasterSocket() string { return filepath.Join(string(f), "master.sock") }

// WorkerSocket is the runtime API of the current worker process.
func (f Folder) WorkerSocket() string { return filepath.Join(string(f), "worker.sock") }

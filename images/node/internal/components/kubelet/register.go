package kubelet

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	nodesPath    = "/api/v1/nodes"
	csiNodesPath = "/apis/storage.k8s.io/v1/csinodes/"
	// registerLimit is how long a registration is held back at most.
	registerLimit = 3 * time.Second
	// settle is what the kubelet needs to take note of an answer.
	settle = 5 * time.Millisecond
)

// registerLast holds the kubelet's registration back until it has looked at its CSINode.
//
// Until then the kubelet counts as not ready, and right after the registration it reports what it counts as. On a node
// that is known as Ready, the report would take that away, with all its pods' endpoints, and the next one comes after ten
// seconds. Both begin when the API server first answers, so that it is chance which is first. A new node registers at
// once: its CSINode cannot be made before, and it is not known as Ready.
type registerLast struct {
	http.RoundTripper
	once sync.Once
	free chan struct{}
	// served is closed at the first answer: before there is an API server, no limit runs.
	served   chan struct{}
	anything sync.Once
}

func newRegisterLast(base http.RoundTripper) *registerLast {
	return &registerLast{RoundTripper: base, free: make(chan struct{}), served: make(chan struct{})}
}

// RoundTrip implements [http.RoundTripper].
func (r *registerLast) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPost && request.URL.Path == nodesPath {
		r.hold(request.Context())
	}
	response, err := r.RoundTripper.RoundTrip(request)
	if err != nil {
		return response, err
	}
	r.anything.Do(func() { close(r.served) })
	if request.Method == http.MethodGet && strings.HasPrefix(request.URL.Path, csiNodesPath) {
		r.answered(request, response)
	}
	return response, nil
}

// hold returns when the kubelet may register.
func (r *registerLast) hold(ctx context.Context) {
	select {
	case <-r.free:
		return
	case <-r.served:
	case <-ctx.Done():
		return
	}
	limit := time.NewTimer(registerLimit)
	defer limit.Stop()
	select {
	case <-r.free:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// answered looks at what the kubelet learns of its CSINode. Its first request only asks whether there is an API server,
// and takes an answer of any age; the second is the look.
func (r *registerLast) answered(request *http.Request, response *http.Response) {
	switch {
	case response.StatusCode == http.StatusNotFound:
		r.release()
	case response.StatusCode == http.StatusOK && request.URL.Query().Get("resourceVersion") == "":
		time.AfterFunc(settle, r.release)
	}
}

func (r *registerLast) release() { r.once.Do(func() { close(r.free) }) }

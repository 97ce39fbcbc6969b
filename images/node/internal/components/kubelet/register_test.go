package kubelet

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

type answerAll int

func (a answerAll) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

func TestRegisterLast(t *testing.T) {
	type request struct {
		method, path string
		status       int
	}
	known := request{http.MethodGet, csiNodesPath + "n?resourceVersion=0", http.StatusOK}
	unknown := request{http.MethodGet, csiNodesPath + "n?resourceVersion=0", http.StatusNotFound}
	busy := request{http.MethodGet, csiNodesPath + "n", http.StatusServiceUnavailable}
	look := request{http.MethodGet, csiNodesPath + "n", http.StatusOK}
	for name, test := range map[string]struct {
		before []request
		held   time.Duration
	}{
		"a node that was looked at":    {[]request{known, look}, settle},
		"only asked for an API server": {[]request{known}, registerLimit},
		"a new node":                   {[]request{unknown}, 0},
		"the API server is not ready":  {[]request{busy}, registerLimit},
		"other requests do not count":  {[]request{{http.MethodGet, nodesPath + "/n", http.StatusOK}}, registerLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := newRegisterLast(nil)
				send := func(method, path string, status int) {
					t.Helper()
					transport.RoundTripper = answerAll(status)
					request, err := http.NewRequestWithContext(t.Context(), method, "https://api"+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					response, err := transport.RoundTrip(request)
					if err != nil || response.StatusCode != status {
						t.Fatalf("%v %v", response, err)
					}
					_ = response.Body.Close()
				}
				for _, before := range test.before {
					send(before.method, before.path, before.status)
				}
				start := time.Now()
				send(http.MethodPost, nodesPath, http.StatusConflict)
				if held := time.Since(start); held != test.held {
					t.Errorf("it was held for %s, want %s", held, test.held)
				}
				start = time.Now()
				send(http.MethodPost, nodesPath+"/n/proxy", http.StatusOK)
				if held := time.Since(start); held != 0 {
					t.Errorf("another request was held for %s", held)
				}
			})
		})
	}
}

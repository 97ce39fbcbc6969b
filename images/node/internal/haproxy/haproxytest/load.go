package haproxytest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Load sends requests until it is stopped and remembers what went wrong.
type Load struct {
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex
	requests int
	bodies   map[string]int
	failures []string
	progress *sync.Cond
}

// StartLoad sends requests for host to an address with several clients at once: half of them open a connection for each
// request, half keep theirs. Anything but a 200 is a failure. No request is ever repeated.
func StartLoad(t testing.TB, address, host string, clients int) *Load {
	t.Helper()
	l := &Load{stop: make(chan struct{}), bodies: map[string]int{}}
	l.progress = sync.NewCond(&l.mu)
	for k := range clients {
		l.done.Go(func() { l.client(address, host, k%2 == 0) })
	}
	t.Cleanup(func() { l.Stop() })
	return l
}

func (l *Load) client(address, host string, keep bool) {
	transport := &http.Transport{
		DisableKeepAlives: !keep,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		body, err := once(client, address, host)
		l.mu.Lock()
		l.requests++
		if err != nil {
			l.failures = append(l.failures, err.Error())
		} else {
			l.bodies[body]++
		}
		l.progress.Broadcast()
		l.mu.Unlock()
	}
}

func once(client *http.Client, address, host string) (string, error) {
	// POST with a body that cannot be rewound: Go's client repeats nothing then.
	reader, writer := io.Pipe()
	go func() { _ = writer.Close() }()
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/", reader)
	if err != nil {
		return "", err
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s: %s", response.Status, body)
	}
	return string(body), nil
}

// Await waits until n more requests are through.
func (l *Load) Await(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for target := l.requests + n; l.requests < target; {
		l.progress.Wait()
	}
}

// Result is what a load has come to.
type Result struct {
	Requests int
	// Bodies counts the answers by their text.
	Bodies map[string]int
	// Failures are the errors, in their order.
	Failures []string
}

// Stop ends the load and tells its result. It may be called again.
func (l *Load) Stop() Result {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return Result{Requests: l.requests, Bodies: l.bodies, Failures: l.failures}
}

// Named is an HTTP server on loopback that answers with its name, and the address it listens on.
func Named(t testing.TB, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	})}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return listener.Addr().String()
}

// Get asks for / of a host at an address and returns the answer's text, whatever its status.
func Get(address, host string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	request.Host, request.Close = host, true
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

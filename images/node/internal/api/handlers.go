package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/memory"
)

// maximumLines bounds the digests that one request may ask for, and maximumLine the length of one, in bytes.
const (
	maximumLines = 10_000
	maximumLine  = 1024
)

// Handler answers the contract's requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, s.Status(r.Context())) })
	mux.HandleFunc("GET /v1/watch", s.watch)
	mux.HandleFunc("GET /v1/kubeconfig", s.kubeconfig)
	mux.HandleFunc("GET /v1/images", s.withImages(listImages))
	mux.HandleFunc("POST /v1/images/missing", s.withImages(missingImages))
	mux.HandleFunc("POST /v1/images/tag", s.withImages(tagImage))
	mux.HandleFunc("POST /v1/images/import", s.withImages(importImages))
	mux.HandleFunc("POST /v1/images/remove", s.withImages(removeImages))
	return mux
}

// Status is the report at this moment.
func (s *Server) Status(ctx context.Context) contract.Status {
	sources, _ := s.snapshot()
	limit, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	report, err := s.options.Init.Report(limit)
	return s.facts(sources, report, err).report()
}

// facts gathers what a report is made from.
func (s *Server) facts(sources Sources, report *initapi.Report, err error) facts {
	gathered := facts{
		Sources: sources, init: report, initError: err, volume: s.options.Volume, disk: &syscall.Statfs_t{}, now: time.Now().Round(0),
	}
	if err != nil {
		gathered.init = nil
	}
	if gathered.diskError = syscall.Statfs(s.options.Volume, gathered.disk); gathered.diskError != nil {
		gathered.disk = nil
	}
	usage, err := memory.Read(s.options.ControlGroups)
	if gathered.memoryError = err; err == nil {
		gathered.memory = &usage
	}
	return gathered
}

// watch writes a report as a line of JSON, now and at each change, until the client goes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	news := s.followInit(ctx)
	ticker := time.NewTicker(volumeInterval)
	defer ticker.Stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	controller := http.NewResponseController(w)

	var first initNews
	select {
	case first = <-news:
	case <-ctx.Done():
		return
	}
	var last []byte
	for {
		// The channels are taken before the report is made, so that no change falls between.
		sources, changed := s.snapshot()
		var components <-chan struct{}
		if sources.Supervisor != nil {
			components = sources.Supervisor.Changes()
		}
		line, err := json.Marshal(s.facts(sources, first.report, first.err).report())
		if err != nil {
			return
		}
		// The free space changes all the time and is not worth a line of its own.
		if shape := withoutSpace(line); !bytes.Equal(shape, last) {
			last = shape
			if _, err := w.Write(append(line, '\n')); err != nil {
				return
			}
			if err := controller.Flush(); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case first = <-news:
		case <-changed:
		case <-components:
		case <-ticker.C:
		}
	}
}

// withoutSpace is a report without the volume's free bytes, to compare it with another.
func withoutSpace(line []byte) []byte {
	const key = `"availableBytes":`
	before, after, found := bytes.Cut(line, []byte(key))
	if !found {
		return line
	}
	_, rest, _ := bytes.Cut(after, []byte("}"))
	return append(append([]byte{}, before...), rest...)
}

// initNews is an answer of sandbar-init, or why there is none.
type initNews struct {
	report *initapi.Report
	err    error
}

// followInit sends sandbar-init's report now and whenever it is another, until ctx ends.
func (s *Server) followInit(ctx context.Context) <-chan initNews {
	news := make(chan initNews)
	send := func(item initNews) bool {
		select {
		case news <- item:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		limit, cancel := context.WithTimeout(ctx, initTimeout)
		report, err := s.options.Init.Report(limit)
		cancel()
		for send(initNews{report, err}) {
			if err != nil {
				select {
				case <-ctx.Done():
					return
				case <-time.After(reconnectInterval):
				}
				report, err = s.options.Init.Report(ctx)
				continue
			}
			report, err = s.options.Init.Next(ctx, report.Revision)
		}
	}()
	return news
}

// kubeconfig waits for the PKI and answers with the administrator's kubeconfig.
func (s *Server) kubeconfig(w http.ResponseWriter, r *http.Request) {
	server, name := r.FormValue("server"), r.FormValue("name")
	if !strings.HasPrefix(server, "https://") {
		fail(w, http.StatusBadRequest, 2, fmt.Errorf("the server's URL %q does not begin with https://", server))
		return
	}
	sources, err := s.await(r.Context(), func(sources Sources) bool { return sources.Kubeconfig != nil })
	if err != nil {
		fail(w, http.StatusServiceUnavailable, 4, errors.New("the node has no keys yet"))
		return
	}
	if name == "" {
		name = "sandbar-" + sources.Node.ClusterName
	}
	content, err := sources.Kubeconfig(r.Context(), server, name)
	if err != nil {
		fail(w, http.StatusInternalServerError, 1, fmt.Errorf("make the kubeconfig: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(content) // a client that went away needs no answer
}

// await returns the sources once they satisfy the condition.
func (s *Server) await(ctx context.Context, satisfied func(Sources) bool) (Sources, error) {
	for {
		sources, changed := s.snapshot()
		if satisfied(sources) {
			return sources, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return sources, context.Cause(ctx)
		}
	}
}

// withImages runs a handler once there is an image store, and answers with its result or its error.
func (s *Server) withImages(handle func(*http.Request, Images) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sources, err := s.await(r.Context(), func(sources Sources) bool { return sources.Images != nil })
		if err != nil {
			fail(w, http.StatusServiceUnavailable, 4, errors.New("the image store is not there yet"))
			return
		}
		result, err := handle(r, sources.Images)
		if usage := (*usageError)(nil); errors.As(err, &usage) {
			fail(w, http.StatusBadRequest, 2, err)
		} else if err != nil {
			fail(w, http.StatusUnprocessableEntity, 1, err)
		} else {
			writeJSON(w, result)
		}
	}
}

// usageError is a request that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func listImages(r *http.Request, store Images) (any, error) {
	list, err := store.List(r.Context())
	if list == nil {
		list = []contract.Image{}
	}
	return contract.ImageList{Images: list}, err
}

func missingImages(r *http.Request, store Images) (any, error) {
	digests, err := readLines(r.Body)
	if err != nil {
		return nil, err
	}
	missing, err := store.Missing(r.Context(), digests)
	return orEmpty(missing), err
}

func tagImage(r *http.Request, store Images) (any, error) {
	id, names := r.URL.Query().Get("id"), r.URL.Query()["name"]
	if id == "" || len(names) == 0 {
		return nil, &usageError{"an image's ID and at least one name are needed"}
	}
	images, err := store.Tag(r.Context(), id, names)
	return importReport(images), err
}

func importImages(r *http.Request, store Images) (any, error) {
	images, err := store.Import(r.Context(), r.Body, r.URL.Query()["name"])
	if err != nil {
		// A client that is still sending would take a closed connection for the failure and never see the reason.
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return importReport(images), err
}

func importReport(images []contract.ImportedImage) contract.ImportReport {
	if images == nil {
		images = []contract.ImportedImage{}
	}
	return contract.ImportReport{Images: images}
}

func removeImages(r *http.Request, store Images) (any, error) {
	names := r.URL.Query()["name"]
	if len(names) == 0 {
		return nil, &usageError{"at least one name is needed"}
	}
	return struct{}{}, store.Remove(r.Context(), names)
}

// readLines reads the lines that are not empty.
func readLines(reader io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(reader)
	scanner.Buffer(make([]byte, 0, maximumLine), maximumLine)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
		if len(lines) > maximumLines {
			return nil, &usageError{fmt.Sprintf("more than %d digests at once", maximumLines)}
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, &usageError{fmt.Sprintf("read the digests: %v", err)}
	}
	return lines, nil
}

// fail answers with an error and the exit code that sandbarctl is to have.
func fail(w http.ResponseWriter, status, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(contract.Failure{Error: err.Error(), Code: code}) // a client that went away needs no answer
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // a client that went away needs no answer
}

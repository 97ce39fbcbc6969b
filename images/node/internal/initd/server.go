package initd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"sandbar.dev/node/internal/initapi"
)

// Serve answers the protocol of package initapi on a socket at path that only root can open. It returns once the
// socket listens; close ends it.
func Serve(path string, s *Supervisor) (stop func(), err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// The folder lets root alone in already, so nobody can connect before this.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	server := &http.Server{Handler: handler(s), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Printf("the socket %s is lost: %v", path, err)
		}
	}()
	return func() { _ = server.Close() }, nil
}

func handler(s *Supervisor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/report", func(w http.ResponseWriter, r *http.Request) {
		after, wait := uint64(0), r.URL.Query().Has("after")
		if wait {
			var err error
			if after, err = strconv.ParseUint(r.URL.Query().Get("after"), 10, 64); err != nil {
				refuse(w, http.StatusBadRequest, "after is not a revision")
				return
			}
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		report, err := s.Report(ctx, wait, after)
		if err != nil {
			return
		}
		answer(w, http.StatusOK, report)
	})
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, r *http.Request) {
		request := initapi.StopRequest{}
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			refuse(w, http.StatusBadRequest, "the stop request is not understood: "+err.Error())
			return
		}
		if request.Grace != nil && (*request.Grace < 0 || *request.Grace > initapi.MaxStopGrace) {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("grace %s is not between 0s and %s", *request.Grace, initapi.MaxStopGrace))
			return
		}
		answer(w, http.StatusAccepted, struct{}{})
		s.options.Log.Printf("stop was asked for on the socket")
		s.Stop(request.Grace)
	})
	return mux
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, initapi.ErrorBody{Error: message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client is gone if this fails.
	_ = json.NewEncoder(w).Encode(body)
}

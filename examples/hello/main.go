// Hello answers over HTTP with a greeting, the name of its pod and what it keeps on a volume: how many visits there
// were and which pods have served here.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	app := hello{
		greeting: envOr("GREETING", "Hello!"),
		pod:      envOr("POD_NAME", "a program without a pod"),
		data:     envOr("DATA_DIR", "."),
	}
	if err := app.sign(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: app.routes(), ReadHeaderTimeout: 5 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ctx.Done()
		// Requests that are under way get their answer; Kubernetes' own grace is longer than this.
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(end); err != nil {
			log.Print(err)
		}
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

type hello struct {
	greeting, pod, data string
}

func (h hello) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /", h.visit)
	return mux
}

func (h hello) visit(w http.ResponseWriter, _ *http.Request) {
	visits, err := h.update("visits", func(content string) string {
		count, _ := strconv.Atoi(strings.TrimSpace(content)) // a new file is no visit yet
		return strconv.Itoa(count+1) + "\n"
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	pods, err := os.ReadFile(filepath.Join(h.data, "pods"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s\nThis is %s.\nVisits: %sPods that have served here:\n", h.greeting, h.pod, visits)
	for name := range strings.Lines(string(pods)) {
		fmt.Fprintf(w, "- %s", name)
	}
}

// sign adds this pod to the list on the volume.
func (h hello) sign() error {
	_, err := h.update("pods", func(content string) string {
		for name := range strings.Lines(content) {
			if strings.TrimSpace(name) == h.pod {
				return content
			}
		}
		return content + h.pod + "\n"
	})
	return err
}

// update changes a file of the volume under a lock, as both replicas write to it.
func (h hello) update(name string, change func(string) string) (string, error) {
	lock, err := os.OpenFile(filepath.Join(h.data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(h.data, name)
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	changed := change(string(content))
	if err := os.WriteFile(path+".new", []byte(changed), 0o600); err != nil {
		return "", err
	}
	return changed, os.Rename(path+".new", path)
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

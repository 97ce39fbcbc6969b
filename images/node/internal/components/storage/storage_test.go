package storage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"k8s.io/client-go/rest"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"sandbar.dev/node/internal/components/storage/driver"
)

// emptyAPI lists nothing and keeps every watch open, which is all that the informers need to be in step.
func emptyAPI(t *testing.T) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("watch") != "" {
			if r.URL.Query().Get("sendInitialEvents") == "true" {
				const refusal = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`
				http.Error(w, refusal, http.StatusUnprocessableEntity)
				return
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		kinds := map[string]string{
			"/api/v1/persistentvolumeclaims":         `{"kind":"PersistentVolumeClaimList","apiVersion":"v1"`,
			"/api/v1/persistentvolumes":              `{"kind":"PersistentVolumeList","apiVersion":"v1"`,
			"/apis/storage.k8s.io/v1/storageclasses": `{"kind":"StorageClassList","apiVersion":"storage.k8s.io/v1"`,
		}
		kind, known := kinds[r.URL.Path]
		if !known {
			t.Errorf("unexpected request for %s", r.URL.Path)
		}
		if _, err := w.Write([]byte(kind + `,"metadata":{"resourceVersion":"1"},"items":[]}`)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

// start runs the component and returns a client of its registration socket and its two outcomes.
func start(t *testing.T) (registration.RegistrationClient, <-chan struct{}, <-chan error) {
	t.Helper()
	dir := t.TempDir()
	component := New(Options{Client: emptyAPI(t), NodeName: "edge", Root: filepath.Join(dir, "s"), KubeletDir: dir})
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	ended := make(chan error, 1)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ended <- component.Run(ctx, func() { close(ready) })
	}()
	t.Cleanup(func() { cancel(); <-stopped })

	socket := filepath.Join(dir, "plugins_registry", driver.Name+"-reg.sock")
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return registration.NewRegistrationClient(connection), ready, ended
}

func TestReadyWhenKubeletHasRegisteredTheDriver(t *testing.T) {
	kubelet, ready, _ := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	info, err := kubelet.GetInfo(ctx, &registration.InfoRequest{}, grpc.WaitForReady(true))
	if err != nil || info.GetName() != driver.Name || info.GetType() != registration.CSIPlugin {
		t.Fatalf("%+v, %v", info, err)
	}
	select {
	case <-ready:
		t.Fatal("ready before kubelet registered the driver")
	default:
	}
	status := &registration.RegistrationStatus{PluginRegistered: true}
	if _, err := kubelet.NotifyRegistrationStatus(ctx, status); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatal("not ready although kubelet registered the driver")
	}
}

func TestARefusedRegistrationIsAFailure(t *testing.T) {
	kubelet, _, ended := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status := &registration.RegistrationStatus{Error: "no such node"}
	// The driver may be gone before its answer has arrived.
	_, err := kubelet.NotifyRegistrationStatus(ctx, status, grpc.WaitForReady(true))
	if err != nil && grpcstatus.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || err.Error() != "kubelet did not register storage.sandbar.dev: no such node" {
			t.Fatalf("got %v", err)
		}
	case <-ctx.Done():
		t.Fatal("it went on")
	}
}

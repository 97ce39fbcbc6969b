package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/transport"

	"sandbar.dev/node/internal/pki"
)

// TestCertificatesAreRenewedWhileTheyServe runs a control plane whose certificates are valid for six seconds, for three of
// their lives: the API server always shows one that is valid, clients are always let in, and nothing is started anew.
func TestCertificatesAreRenewedWhileTheyServe(t *testing.T) {
	const lifetime = 9 * time.Second
	// Clients look at their certificate's files each five minutes, which a year's life leaves time for.
	transport.CertCallbackRefreshDuration = 100 * time.Millisecond
	dir, err := os.MkdirTemp("", "rotation-") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	plane, err := StartTimed(t.Context(), dir, "", pki.Times{Leaf: lifetime, Look: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(plane.PKI.ClusterCA())
	address := strings.TrimPrefix(plane.Admin.Host, "https://")

	served := map[string]bool{}
	requests := 0
	for begin := time.Now(); time.Since(begin) < 3*lifetime; time.Sleep(20 * time.Millisecond) {
		if err := ask(t.Context(), client); err != nil {
			t.Fatalf("a client after %s: %v", time.Since(begin), err)
		}
		requests++
		connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatalf("the server after %s: %v", time.Since(begin), err)
		}
		leaf := connection.ConnectionState().PeerCertificates[0]
		served[leaf.SerialNumber.String()] = true
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d requests, %d certificates of the server", requests, len(served))
	if len(served) < 3 {
		t.Errorf("in %s the server had %d certificates", 3*lifetime, len(served))
	}
}

// ask makes a request that only a certificate lets in. A client that takes a new certificate closes its connections, so that
// what is under way is asked again.
func ask(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	if err != nil {
		_, err = client.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	}
	return err
}

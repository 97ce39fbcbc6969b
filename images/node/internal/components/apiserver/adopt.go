package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controlplane"
	"k8s.io/kubernetes/pkg/controlplane/controller/clusterauthenticationtrust"
	"k8s.io/kubernetes/pkg/controlplane/controller/legacytokentracking"
	"k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
)

// exchangeLimit is how long the server may take to show another certificate.
const exchangeLimit = 30 * time.Second

// clusterHooks are those of the library that write what is one cluster's alone: the namespace whose UID is the cluster's, the
// authorities that servers of extensions trust, and since when tokens are watched. They are replaced by [cluster.begin].
var clusterHooks = []string{
	"start-system-namespaces-controller", "start-cluster-authentication-info-controller", "start-legacy-token-tracking-controller",
}

// cluster is what Run leaves for the moment at which it is known whose server it is.
type cluster struct{ config *controlplane.Config }

// prepare makes what the library's other hooks build upon: the namespace of the API server's own Service. It is like in any other
// cluster, but for a UID that copies of a machine have in common.
func (c *cluster) prepare(ctx context.Context) error {
	plane := &c.config.ControlPlane
	client, err := kubernetes.NewForConfig(plane.Generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	informer := plane.VersionedInformers.Core().V1().Namespaces()
	go systemnamespaces.NewController([]string{metav1.NamespaceDefault}, client, informer).Run(ctx.Done())
	return nil
}

// begin does what clusterHooks would, until ctx ends.
func (c *cluster) begin(ctx context.Context) error {
	plane := &c.config.ControlPlane
	client, err := kubernetes.NewForConfig(plane.Generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	namespaces := systemnamespaces.NewController(plane.SystemNamespaces, client, plane.VersionedInformers.Core().V1().Namespaces())
	trust := clusterauthenticationtrust.NewClusterAuthenticationTrustController(plane.ClusterAuthenticationInfo, client)
	for _, authority := range []dynamiccertificates.CAContentProvider{
		plane.ClusterAuthenticationInfo.ClientCA, plane.ClusterAuthenticationInfo.RequestHeaderCA,
	} {
		authority.AddListener(trust)
		if err := reload(ctx, authority); err != nil {
			return err
		}
		if runner, ok := authority.(dynamiccertificates.ControllerRunner); ok {
			go runner.Run(ctx, 1)
		}
	}
	go namespaces.Run(ctx.Done())
	go trust.Run(ctx, 1)
	go legacytokentracking.NewController(client).RunWithContext(ctx)
	return nil
}

// exchange has the running server read its certificates and authorities anew.
func (c *cluster) exchange(ctx context.Context, authority string) error {
	serving := c.config.ControlPlane.Generic.SecureServing
	if err := errors.Join(reload(ctx, serving.ClientCA), reload(ctx, serving.Cert)); err != nil {
		return err
	}
	return exchangeKubeletClient(c.config.Extra.KubeletClientConfig, authority)
}

// exchangeKubeletClient has the client of kubelets trust another authority and show the certificate that is in its files now. By
// itself it would look at either each five minutes. The library keeps one transport for all that have the same settings, and this
// one has not been used yet: there is no node.
func exchangeKubeletClient(config kubeletclient.KubeletClientConfig, authority string) error {
	data, err := os.ReadFile(authority)
	if err != nil {
		return fmt.Errorf("client of kubelets: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return fmt.Errorf("client of kubelets: no certificate in %s", authority)
	}
	for _, transportOf := range []func(*kubeletclient.KubeletClientConfig) (http.RoundTripper, error){
		kubeletclient.MakeTransport, kubeletclient.MakeInsecureTransport,
	} {
		transport, err := transportOf(&config)
		if err != nil {
			return fmt.Errorf("client of kubelets: %w", err)
		}
		settings, err := net.TLSClientConfig(transport)
		if err != nil {
			return fmt.Errorf("client of kubelets: %w", err)
		}
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(config.TLSClientConfig.CertFile, config.TLSClientConfig.KeyFile)
			return &pair, err
		}
		if settings.RootCAs != nil {
			settings.RootCAs = roots
		}
	}
	return nil
}

// reload reads a certificate or an authority from its files again.
func reload(ctx context.Context, content dynamiccertificates.Notifier) error {
	runner, ok := content.(dynamiccertificates.ControllerRunner)
	if !ok {
		return fmt.Errorf("%T cannot be read again", content)
	}
	return runner.RunOnce(ctx)
}

// Adopt makes a provisional server that is ready the one of the cluster that options are of, and lets its clients in. It has to fit
// them: see Fits. What was known of it before, its keys and authorities, counts for nothing afterwards.
func (a *APIServer) Adopt(ctx context.Context, options Options) error {
	running := a.running.Load()
	if running == nil || !a.options.Provisional {
		return errors.New("there is no provisional API server")
	}
	if !a.Fits(options) {
		return errors.New("the API server that runs has other settings")
	}
	if !running.adopted.CompareAndSwap(false, true) {
		return errors.New("the API server is somebody's already")
	}
	f, err := writeFiles(options)
	if err != nil {
		return err
	}
	if err := a.keys.Exchange(options.PKI.ServiceAccountKeyFile(), f.encryption); err != nil {
		return err
	}
	if err := running.exchange(ctx, options.PKI.ClusterCAFile()); err != nil {
		return err
	}
	if err := running.begin(running.ctx); err != nil {
		return err
	}
	cert, err := firstCertificate(f.serving.Cert)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeoutCause(ctx, exchangeLimit, fmt.Errorf("not within %s", exchangeLimit))
	defer cancel()
	if err := a.gate.AwaitCertificate(limit, cert); err != nil {
		return fmt.Errorf("show the cluster's certificate: %w", err)
	}
	a.gate.Open()
	return nil
}

// Fits says whether a server with these options differs from a provisional one in nothing that Adopt does not change: who it is,
// and the names in its certificate.
func (a *APIServer) Fits(options Options) bool {
	return reflect.DeepEqual(settings(a.options), settings(options))
}

// settings are the options without those that Adopt changes.
func settings(o Options) Options {
	o.PKI, o.Listener, o.Provisional = nil, nil, false
	o.NodeName, o.NodeIPs, o.ExtraNames = "", nil, nil
	return o
}

// firstCertificate is the first one of a PEM file, in DER.
func firstCertificate(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return block.Bytes, nil
}

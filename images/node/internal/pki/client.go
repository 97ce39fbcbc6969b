package pki

import (
	"crypto/x509"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"sandbar.dev/node/internal/durable"
)

// LocalServer is the API server as seen from the node itself.
const LocalServer = "https://127.0.0.1:6443"

// RESTConfig is a client of the API server for one component of the node: its own user, protobuf for the built-in
// types, no client-side rate limit (priority and fairness in the API server is enough). The certificate's files are
// re-read when they are renewed.
func (p *PKI) RESTConfig(user string, groups ...string) (*rest.Config, error) {
	files, err := p.Client(user, groups...)
	if err != nil {
		return nil, err
	}
	return restConfig(user, rest.TLSClientConfig{CAData: p.ClusterCA(), CertFile: files.Cert, KeyFile: files.Key}), nil
}

// BriefRESTConfig is RESTConfig with a certificate that is in no file, is valid for lifetime, and is not renewed.
func (p *PKI) BriefRESTConfig(lifetime time.Duration, user string, groups ...string) (*rest.Config, error) {
	pair, err := p.cluster.issue(Request{
		CommonName: user, Organizations: groups, usage: x509.ExtKeyUsageClientAuth, lifetime: lifetime,
	}, p.times.Now())
	if err != nil {
		return nil, err
	}
	return restConfig(user, rest.TLSClientConfig{CAData: p.ClusterCA(), CertData: pair.Cert, KeyData: pair.Key}), nil
}

func restConfig(user string, tls rest.TLSClientConfig) *rest.Config {
	return &rest.Config{
		Host:      LocalServer,
		UserAgent: "sandbar-node/" + user,
		ContentConfig: rest.ContentConfig{
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
			ContentType:        runtime.ContentTypeProtobuf,
		},
		TLSClientConfig: tls,
		QPS:             -1,
	}
}

// Kubeconfig is a kubeconfig with the certificates in it. server is the API server's URL, name the name of its cluster,
// user and context; user and groups are what the client certificate says, which is valid for LeafLifetime.
func (p *PKI) Kubeconfig(server, name, user string, groups ...string) ([]byte, error) {
	pair, err := p.ClientPair(user, groups...)
	if err != nil {
		return nil, err
	}
	config := kubeconfig(server, name, p.ClusterCA())
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	return encode(config)
}

// KubeconfigFile writes a kubeconfig for a program on the node, which names the certificate's files so that renewed ones
// are found. path should be on a tmpfs.
func (p *PKI) KubeconfigFile(path, user string, groups ...string) error {
	files, err := p.Client(user, groups...)
	if err != nil {
		return err
	}
	config := kubeconfig(LocalServer, "sandbar", p.ClusterCA())
	config.AuthInfos["sandbar"] = &clientcmdapi.AuthInfo{ClientCertificate: files.Cert, ClientKey: files.Key}
	data, err := encode(config)
	if err != nil {
		return err
	}
	return durable.WriteVolatile(path, data, 0o600)
}

func kubeconfig(server, name string, ca []byte) *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return config
}

func encode(config *clientcmdapi.Config) ([]byte, error) {
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode a kubeconfig: %w", err)
	}
	return data, nil
}

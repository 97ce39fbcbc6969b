package controlplane_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/controlplane"
	"sandbar.dev/node/internal/node"
	"sandbar.dev/node/internal/pki"
	"sandbar.dev/node/internal/seed"
)

// TestNothingOfAProvisionalIdentityCounts has a control plane become somebody's while it runs: what was known of it before, its
// authorities and its keys, which are the same in every copy of the machine, lets nobody in and verifies nothing.
func TestNothingOfAProvisionalIdentityCounts(t *testing.T) {
	dir, err := os.MkdirTemp("", "adopt-") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	objects, err := node.SeedObjects()
	if err != nil {
		t.Fatal(err)
	}
	if err := seed.Write(t.Context(), filepath.Join(dir, "seed"), objects); err != nil {
		t.Fatal(err)
	}
	plane, err := controlplane.StartProvisional(t.Context(), filepath.Join(dir, "plane"), filepath.Join(dir, "seed", seed.FileName))
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

	// Whoever comes early waits, and sees only the certificate of afterwards.
	address := strings.TrimPrefix(plane.Admin.Host, "https://")
	early, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/registry/namespaces/kube-system", "/registry/configmaps/", "/registry/secrets/"} {
		if stored := stored(t, plane, key); len(stored) != 0 {
			t.Errorf("%s was written before the cluster was anybody's", key)
		}
	}
	before := plane.PKI
	token := forge(t, before)
	frontProxy, err := before.FrontProxyClient("front-proxy-client")
	if err != nil {
		t.Fatal(err)
	}
	frontProxyPair := readPair(t, frontProxy)
	admin, err := before.ClientPair("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}

	if err := plane.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := plane.Adopt(t.Context()); err == nil {
		t.Error("it became somebody else's afterwards")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(plane.PKI.ClusterCA())
	earlyTLS := tls.Client(early, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err := earlyTLS.HandshakeContext(t.Context()); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
	if err := earlyTLS.Close(); err != nil {
		t.Error(err)
	}

	anybody := rest.Config{Host: plane.Admin.Host, TLSClientConfig: rest.TLSClientConfig{CAData: plane.PKI.ClusterCA()}}
	for who, change := range map[string]func(*rest.Config){
		"an administrator": func(c *rest.Config) { c.CertData, c.KeyData = admin.Cert, admin.Key },
		"a token":          func(c *rest.Config) { c.BearerToken = token },
		"a front proxy": func(c *rest.Config) {
			c.CertData, c.KeyData = frontProxyPair.Cert, frontProxyPair.Key
			c.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return roundTripper(func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.Header.Set("X-Remote-User", "admin")
					r.Header.Set("X-Remote-Group", "system:masters")
					return next.RoundTrip(r)
				})
			})
		},
	} {
		config := anybody
		change(&config)
		_, err := kubernetes.NewForConfigOrDie(&config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("%s of before: %v", who, err)
		}
	}

	client := kubernetes.NewForConfigOrDie(plane.Admin)
	eventually(t, "the cluster's namespace", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
	eventually(t, "the authorities for servers of extensions", func(ctx context.Context) (bool, error) {
		trust, err := client.CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		frontProxyCA, err := os.ReadFile(plane.PKI.FrontProxyCAFile())
		if err != nil {
			return false, err
		}
		if got := trust.Data["client-ca-file"]; !samePEM(got, string(plane.PKI.ClusterCA())) {
			t.Errorf("servers of extensions trust\n%s", got)
		}
		if got := trust.Data["requestheader-client-ca-file"]; !samePEM(got, string(frontProxyCA)) {
			t.Errorf("servers of extensions trust as front proxy\n%s", got)
		}
		return true, nil
	})
	eventually(t, "since when tokens are watched", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ConfigMaps("kube-system").Get(ctx, "kube-apiserver-legacy-service-account-token-tracking", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
	checkTokens(t, client, anybody)
	checkSecrets(t, plane, client, before)
	checkKubelet(t, plane, client)
}

// checkTokens has a token of now let its service account in.
func checkTokens(t *testing.T, client kubernetes.Interface, anybody rest.Config) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "one", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	anybody.BearerToken = made.Status.Token
	review, err := kubernetes.NewForConfigOrDie(&anybody).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || review.Status.UserInfo.Username != "system:serviceaccount:default:one" {
		t.Errorf("a token of now is of %v: %v", review, err)
	}
	keys, err := client.CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").SetHeader("Accept", "application/jwk-set+json").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(made.Status.Token)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(keys), parsed.Headers[0].KeyID) || strings.Count(string(keys), `"kid"`) != 1 {
		t.Errorf("tokens are said to be verified by %s", keys)
	}
}

// checkSecrets has one stored that the key of before does not open.
func checkSecrets(t *testing.T, plane *controlplane.Plane, client kubernetes.Interface, before *pki.PKI) {
	t.Helper()
	if bytes.Equal(before.EncryptionKey(), plane.PKI.EncryptionKey()) {
		t.Error("the key of Secrets is the one of before")
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "one"}, StringData: map[string]string{"a": "b"}}
	if _, err := client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	value := stored(t, plane, "/registry/secrets/default/one")
	if len(value) != 1 {
		t.Fatal("the Secret is not there")
	}
	if _, err := decrypt(before.EncryptionKey(), "/registry/secrets/default/one", value[0]); err == nil {
		t.Error("the key of before opens it")
	}
	if _, err := decrypt(plane.PKI.EncryptionKey(), "/registry/secrets/default/one", value[0]); err != nil {
		t.Errorf("the key of now does not open it: %v", err)
	}
}

// checkKubelet has the API server speak with a kubelet of the cluster of now.
func checkKubelet(t *testing.T, plane *controlplane.Plane, client kubernetes.Interface) {
	t.Helper()
	files, err := plane.PKI.Server("kubelet", []string{"edge"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(plane.PKI.ClusterCA())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	kubelet := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
		}),
	}
	go func() { _ = kubelet.Serve(listener) }() // it ends with the test
	defer func() { _ = kubelet.Close() }()

	node, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "edge"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(listener.Addr().(*net.TCPAddr).Port)
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec: corev1.PodSpec{
			NodeName: "edge", ServiceAccountName: "one", AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "one", Image: "one"}},
		},
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, unverified := range []bool{false, true} {
		who, err := client.CoreV1().Pods("default").
			GetLogs("one", &corev1.PodLogOptions{InsecureSkipTLSVerifyBackend: unverified}).DoRaw(t.Context())
		if err != nil || string(who) != apiserver.KubeletUser {
			t.Errorf("the API server is %q for kubelets: %v", who, err)
		}
	}
}

// decrypt opens a stored value: after its prefix comes what AES-GCM made of it, with its key in the datastore as further data.
func decrypt(key []byte, name string, value []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sealed := bytes.TrimPrefix(value, []byte("k8s:enc:aesgcm:v1:1:"))
	return gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(name))
}

// forge makes a token that the provisional key verifies.
func forge(t *testing.T, identity *pki.PKI) string {
	t.Helper()
	data, err := os.ReadFile(identity.ServiceAccountKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := serviceaccount.JWTTokenGenerator(apiserver.ServiceAccountIssuer, key)
	if err != nil {
		t.Fatal(err)
	}
	account := core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: "default"}}
	public, private, err := serviceaccount.Claims(account, nil, nil, nil, nil, nil, 3600, 0, []string{apiserver.ServiceAccountIssuer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.GenerateToken(t.Context(), public, private)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func readPair(t *testing.T, files pki.Files) pki.Pair {
	t.Helper()
	cert, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Pair{Cert: cert, Key: key}
}

// stored are the values in the datastore whose keys begin with prefix.
func stored(t *testing.T, plane *controlplane.Plane, prefix string) [][]byte {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + plane.EtcdSocket()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // only read from
	response, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var values [][]byte
	for _, pair := range response.Kvs {
		values = append(values, pair.Value)
	}
	return values
}

func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// samePEM says whether two texts hold the same certificate and nothing else.
func samePEM(a, b string) bool {
	first, rest := pem.Decode([]byte(a))
	second, _ := pem.Decode([]byte(b))
	return first != nil && second != nil && len(bytes.TrimSpace(rest)) == 0 && bytes.Equal(first.Bytes, second.Bytes)
}

// roundTripper is a function that is one.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

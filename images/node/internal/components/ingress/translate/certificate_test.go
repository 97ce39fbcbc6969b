package translate

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

func certificateFor(t testing.TB, names ...string) model.Certificate {
	t.Helper()
	cert, key := haproxytest.Certificate(t, names...)
	return model.Certificate{Names: names, PEM: append(cert, key...)}
}

func secretOf(name string, cert, key []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Data:       map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key},
	}
}

func TestCertificate(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, goodKey := haproxytest.Certificate(t, "a.test")
	edCert, edKey := haproxytest.CertificateWithKey(t, ed, "a.test")
	_, otherKey := haproxytest.Certificate(t, "a.test")
	extra := pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Headers: map[string]string{"X": "y"}, Bytes: []byte("z")})
	for _, test := range []struct {
		name, err string
		cert, key []byte
	}{
		{"ECDSA", "", good, goodKey},
		{"Ed25519", "", edCert, edKey},
		{"chain with other blocks between", "", bytes.Join([][]byte{good, extra, good}, []byte("text\n")), goodKey},
		{"another's key", "does not match", good, otherKey},
		{"no certificate", "failed to find any PEM data", nil, goodKey},
		{"no key", "failed to find any PEM data", good, nil},
		{"garbage", "malformed", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), goodKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			chain, leaf, err := certificate(secretOf("s", test.cert, test.key))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || leaf.DNSNames[0] != "a.test" {
				t.Fatalf("got %v, %v", leaf, err)
			}
			if bytes.Contains(chain, []byte("DH PARAMETERS")) || bytes.Contains(chain, []byte("text")) {
				t.Errorf("more than certificates and a key:\n%s", chain)
			}
		})
	}
}

func TestStrength(t *testing.T) {
	rsaOf := func(bits uint) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	issuer, subject := []byte("issuer"), []byte("subject")
	sha1 := x509.SHA1WithRSA
	for _, test := range []struct {
		name string
		cert x509.Certificate
		ok   bool
	}{
		{"RSA 2048", x509.Certificate{PublicKey: rsaOf(2048), SignatureAlgorithm: x509.SHA256WithRSA}, true},
		{"RSA 1024", x509.Certificate{PublicKey: rsaOf(1024), SignatureAlgorithm: x509.SHA256WithRSA}, false},
		{"SHA-1 of an issuer", x509.Certificate{RawIssuer: issuer, RawSubject: subject, SignatureAlgorithm: sha1}, false},
		{"SHA-1 of its own", x509.Certificate{RawIssuer: issuer, RawSubject: issuer, SignatureAlgorithm: sha1}, true},
	} {
		if err := strength(&test.cert); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestNamesOfCertificates(t *testing.T) {
	own, ownKey := haproxytest.Certificate(t, "own.test", "*.own.test")
	wide, wideKey := haproxytest.Certificate(t, "x.default.localhost", "*.apps.default.sandbar.internal")
	ingress := func(name string, age int, hosts []string, entry networkingv1.IngressTLS) *networkingv1.Ingress {
		class := ClassName
		i := &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.Unix(int64(age), 0)},
			Spec:       networkingv1.IngressSpec{IngressClassName: &class, TLS: []networkingv1.IngressTLS{entry}},
		}
		for _, host := range hosts {
			i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: host})
		}
		return i
	}
	for _, test := range []struct {
		name      string
		ingresses []*networkingv1.Ingress
		want      map[string][]string
		problems  []string
	}{
		{"the entry's hosts", []*networkingv1.Ingress{
			ingress("a", 1, []string{"r.test"}, networkingv1.IngressTLS{SecretName: "own", Hosts: []string{"T.test", "bad host"}}),
		}, map[string][]string{"own": {"t.test"}}, []string{"InvalidHost"}},
		{"the rules' hosts", []*networkingv1.Ingress{
			ingress("a", 1, []string{"r.test", "*.s.test"}, networkingv1.IngressTLS{SecretName: "own"}),
		}, map[string][]string{"own": {"*.s.test", "r.test"}}, nil},
		{"its own names", []*networkingv1.Ingress{
			ingress("a", 1, []string{""}, networkingv1.IngressTLS{SecretName: "own"}),
		}, map[string][]string{"own": {"*.own.test", "own.test"}}, nil},
		{"second names that it is valid for", []*networkingv1.Ingress{
			ingress("a", 1, []string{"x.default.localhost", "y.default.localhost"}, networkingv1.IngressTLS{SecretName: "wide"}),
			ingress("b", 2, []string{"z.default.localhost"}, networkingv1.IngressTLS{SecretName: "own"}),
		}, map[string][]string{
			"own": {"z.default.localhost"},
			"wide": {
				"x.apps.default.sandbar.internal", "x.default.localhost", "y.apps.default.sandbar.internal", "y.default.localhost",
			},
		}, nil},
		{"the older Ingress wins", []*networkingv1.Ingress{
			ingress("young", 2, []string{"r.test", "s.test"}, networkingv1.IngressTLS{SecretName: "wide"}),
			ingress("old", 1, []string{"r.test"}, networkingv1.IngressTLS{SecretName: "own"}),
		}, map[string][]string{"own": {"r.test"}, "wide": {"s.test"}}, nil},
		{"no or a missing secret", []*networkingv1.Ingress{
			ingress("a", 1, []string{"r.test"}, networkingv1.IngressTLS{}),
			ingress("b", 1, []string{"r.test"}, networkingv1.IngressTLS{SecretName: "missing"}),
		}, map[string][]string{}, []string{"SecretNotFound"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newObjects()
			o.ingresses = test.ingresses
			o.secrets["ns/own"], o.secrets["ns/wide"] = secretOf("own", own, ownKey), secretOf("wide", wide, wideKey)
			result := Ingresses(o, domains)
			got := map[string][]string{}
			for _, certificate := range result.Model.Certificates {
				got[certificate.Owner.Name] = certificate.Names
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			var problems []string
			for _, p := range result.Problems {
				problems = append(problems, p.Reason)
			}
			if !reflect.DeepEqual(problems, test.problems) {
				t.Errorf("problems are %v, want %v", problems, test.problems)
			}
		})
	}
}

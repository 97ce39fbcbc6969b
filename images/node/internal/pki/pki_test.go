package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func open(t *testing.T, durable string) *PKI {
	t.Helper()
	p, err := Open(durable, filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t *testing.T, files Files) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestIdentityOutlivesAStart(t *testing.T) {
	durable := filepath.Join(t.TempDir(), "pki")
	first, second := open(t, durable), open(t, durable)
	if !bytes.Equal(first.ClusterCA(), second.ClusterCA()) || !bytes.Equal(first.EncryptionKey(), second.EncryptionKey()) {
		t.Error("the second start has another identity")
	}
	if other := open(t, filepath.Join(t.TempDir(), "pki")); bytes.Equal(first.ClusterCA(), other.ClusterCA()) ||
		bytes.Equal(first.EncryptionKey(), other.EncryptionKey()) {
		t.Error("two clusters share an identity")
	}
	err := filepath.WalkDir(durable, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestInterruptedCreationIsRepeated(t *testing.T) {
	durable := filepath.Join(t.TempDir(), "pki")
	open(t, durable)
	for _, name := range []string{"version", "secrets-encryption.key", "cluster-ca.key"} {
		if err := os.Remove(filepath.Join(durable, name)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, durable)
}

func TestDamageIsAnError(t *testing.T) {
	for name, test := range map[string]struct {
		file, content, want string
	}{
		"a missing authority":   {"cluster-ca.crt", "", "cluster-ca.crt"},
		"a missing key":         {"service-account.key", "", "service-account.key"},
		"a short key":           {"secrets-encryption.key", "short", "has 5 bytes instead of 32"},
		"no certificate":        {"front-proxy-ca.crt", "text", "holds no certificate"},
		"another version":       {"version", `{"pki":9}`, "says version 9, this node knows 1"},
		"a version that is cut": {"version", `{"pk`, "PKI version"},
	} {
		t.Run(name, func(t *testing.T) {
			durable := filepath.Join(t.TempDir(), "pki")
			open(t, durable)
			path := filepath.Join(durable, test.file)
			var err error
			if test.content == "" {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, []byte(test.content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(durable, filepath.Join(t.TempDir(), "run"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAKeyOfAnotherAuthorityIsRefused(t *testing.T) {
	durable := filepath.Join(t.TempDir(), "pki")
	open(t, durable)
	key, err := os.ReadFile(filepath.Join(durable, "front-proxy-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(durable, "cluster-ca.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(durable, t.TempDir()); err == nil || !strings.Contains(err.Error(), "does not belong to") {
		t.Errorf("got %v", err)
	}
}

func TestCertificates(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "pki"))
	names, ips := APIServerNames("edge", "cluster.local",
		[]net.IP{net.IPv4(10, 43, 0, 1)}, []string{"API.example.org", "10.0.0.9", "localhost"})
	server, err := p.Server("kube-apiserver", names, ips)
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, server)
	roots := x509.NewCertPool()
	roots.AddCert(p.cluster.cert)
	for _, name := range []string{
		"localhost", "edge", "kubernetes.default.svc.cluster.local", "api.example.org", "10.43.0.1", "127.0.0.1", "10.0.0.9",
	} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(slices.DeleteFunc(slices.Clone(cert.DNSNames), func(n string) bool { return n != "localhost" })) != 1 {
		t.Errorf("names: %v", cert.DNSNames)
	}

	client, err := p.Client("system:node:edge", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(client.Cert) != "system-node-edge.crt" {
		t.Errorf("file: %s", client.Cert)
	}
	cert = parse(t, client)
	if cert.Subject.CommonName != "system:node:edge" || !slices.Equal(cert.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("subject: %v", cert.Subject)
	}
	asClient := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(asClient); err != nil {
		t.Error(err)
	}
	proxy, err := p.FrontProxyClient("front-proxy-client")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, proxy).Verify(asClient); err == nil {
		t.Error("the aggregator's certificate would be a client of the cluster")
	}
}

func TestRenewal(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "pki"))
	files, err := p.Client("someone")
	if err != nil {
		t.Fatal(err)
	}
	first := parse(t, files)
	for _, step := range []struct {
		after   time.Duration
		renewed bool
	}{{LeafLifetime / 2, false}, {LeafLifetime * 3 / 4, true}, {-LeafLifetime, true}} {
		p.times.Now = func() time.Time { return time.Now().Add(step.after) }
		if problems := p.renew(); problems != nil {
			t.Fatal(problems)
		}
		now := parse(t, files)
		if renewed := !now.Equal(first); renewed != step.renewed {
			t.Errorf("after %s: renewed %v, want %v", step.after, renewed, step.renewed)
		}
		first = now
	}
}

// A difference of two times with a monotonic reading does not see a clock that was set; in a time's text it is called m.
func TestTheClockIsTheWallClock(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "pki"))
	if now := p.times.Now().String(); strings.Contains(now, " m=") {
		t.Errorf("the time is %s", now)
	}
	if _, err := p.Client("someone"); err != nil {
		t.Fatal(err)
	}
	for name, l := range p.leaves {
		if end := l.notAfter.String(); strings.Contains(end, " m=") {
			t.Errorf("%s ends at %s", name, end)
		}
	}
}

// A clock that jumps by an hour, or by those of a time zone, finds every certificate valid.
func TestCertificatesOutliveAJumpOfTheClock(t *testing.T) {
	start := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	clock := start
	times := Times{Now: func() time.Time { return clock }}
	p, err := OpenTimed(filepath.Join(t.TempDir(), "pki"), filepath.Join(t.TempDir(), "run"), times)
	if err != nil {
		t.Fatal(err)
	}
	server, err := p.Server("kube-apiserver", []string{"localhost"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	user, err := p.Client("someone")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.cluster.cert)
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 14 * time.Hour, -14 * time.Hour, 0} {
		clock = start.Add(jump)
		// Certificates of before the jump, and those that are made after it.
		for _, when := range []string{"before", "after"} {
			for _, files := range []Files{server, user} {
				options := x509.VerifyOptions{
					Roots: roots, CurrentTime: clock, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
				}
				if _, err := parse(t, files).Verify(options); err != nil {
					t.Errorf("%s of %s the jump by %s: %v", filepath.Base(files.Cert), when, jump, err)
				}
			}
			if problems := p.renew(); problems != nil {
				t.Fatal(problems)
			}
		}
	}
}

func TestTheEndOfTheAuthoritiesIsKnown(t *testing.T) {
	durable, now := filepath.Join(t.TempDir(), "pki"), time.Now()
	p, err := OpenTimed(durable, t.TempDir(), Times{Now: func() time.Time { return now.Add(30*24*time.Hour - authorityLifetime) }})
	if err != nil {
		t.Fatal(err)
	}
	if left := p.Ends().Sub(now); left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("they end in %s", left)
	}
}

func TestKubeconfigs(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "pki"))
	data, err := p.Kubeconfig("https://127.0.0.1:16443", "sandbar-a", AdminUser, AdminGroup)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:16443" || !bytes.Equal(config.CAData, p.ClusterCA()) {
		t.Errorf("kubeconfig: %+v", config)
	}
	if _, err := tls.X509KeyPair(config.CertData, config.KeyData); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := p.KubeconfigFile(path, AdminUser, AdminGroup); err != nil {
		t.Fatal(err)
	}
	if _, err := clientcmd.BuildConfigFromFlags("", path); err != nil {
		t.Error(err)
	}
	rest, err := p.RESTConfig("system:sandbar:test")
	if err != nil {
		t.Fatal(err)
	}
	if rest.Host != LocalServer || rest.CertFile == "" {
		t.Errorf("client: %+v", rest)
	}
}

func TestABriefCertificateIsInNoFileAndSoonWorthless(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "pki"))
	config, err := p.BriefRESTConfig(time.Minute, "user", "group")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(pair.Leaf.NotAfter); left > time.Minute || left < 0 {
		t.Errorf("it is valid for %s", left)
	}
	if got := pair.Leaf.Subject; got.CommonName != "user" || !slices.Equal(got.Organization, []string{"group"}) {
		t.Errorf("it says %s", got)
	}
	if files, err := os.ReadDir(p.run); err != nil || len(files) != 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

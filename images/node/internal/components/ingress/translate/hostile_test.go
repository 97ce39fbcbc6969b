package translate

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sandbar.dev/node/internal/components/ingress/render"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

// hostileStrings are pieces of what somebody would write into an object to get a directive into a configuration.
var hostileStrings = []string{
	"", "/", "a", "*.", "*", ".", "..", "\n", "\r\n", "\x00", " ", "\t", "#", "'", `"`, `\`,
	"%[env(PATH)]", "$HOME", "${HOME}",
	"\nbackend evil\n  server e 10.0.0.1:80", "' string 'x", "a.example", "*.a.example", "healthz.sandbar.internal",
	"/a\nb evil", "/a b", "/a evil\n", "://", "é", "\u2028", "[::1]", "a:b", "{", "}", "if { always_true }",
	"nowhere", "../../etc/passwd", "/proc/self/environ", "-f", "|", ";", "@1",
	strings.Repeat("x", 300), strings.Repeat("/y", 9000),
}

// hostile makes a cluster of one Ingress with the given strings wherever a string can be.
func hostile(namespace, host, path, service, port, secret, annotation string, number int32) *objects {
	o := newObjects()
	exact := networkingv1.PathTypeExact
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: service, Port: networkingv1.ServiceBackendPort{Name: port, Number: number},
	}}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: host, Annotations: map[string]string{annotation: path, path: annotation},
		},
		Spec: networkingv1.IngressSpec{
			IngressClassName: new(string),
			DefaultBackend:   &backend,
			TLS:              []networkingv1.IngressTLS{{SecretName: secret, Hosts: []string{host, path, service}}},
			Rules: []networkingv1.IngressRule{{
				Host: host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{
						{Path: path, Backend: backend}, {Path: path, PathType: &exact, Backend: backend},
					},
				}},
			}, {
				Host: path,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{Path: host, Backend: backend}},
				}},
			}},
		},
	}
	*ingress.Spec.IngressClassName = ClassName
	o.ingresses = append(o.ingresses, ingress)
	o.services[namespace+"/"+service] = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: port, Port: number, AppProtocol: &annotation}}},
	}
	o.slices[namespace+"/"+service] = []*discoveryv1.EndpointSlice{{
		Ports: []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{host}}, {Addresses: []string{"10.1.2.3"}}, {Addresses: []string{"fe80::1%" + path}},
		},
	}}
	o.secrets[namespace+"/"+secret] = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret},
		Data:       map[string][]byte{corev1.TLSCertKey: []byte(path), corev1.TLSPrivateKeyKey: []byte(host)},
	}
	return o
}

// fixedLines are all lines of a configuration that do not depend on the objects.
func fixedLines(settings render.Settings) map[string]bool {
	o := hostile("ns", "*.fixed.example", "/p", "svc", "http", "s", "a", 80)
	o.ingresses = append(o.ingresses, hostile("ns", "", "/p", "svc", "http", "s", "a", 80).ingresses...)
	lines := map[string]bool{}
	output := render.Render(Ingresses(o, domains).Model, settings, nil)
	for line := range strings.Lines(withoutDescription(output)) {
		lines[strings.TrimSuffix(line, "\n")] = true
	}
	return lines
}

func withoutDescription(output render.Output) string {
	return strings.ReplaceAll(string(output.Configuration.Main), output.Configuration.Description, "DESCRIPTION")
}

var hostileSettings = render.Settings{Folder: "/run/haproxy", ClusterID: "id", DefaultCertificate: []byte("default")}

// expectInnocent fails unless all that depends on objects has the form that it should.
func expectInnocent(t *testing.T, output render.Output) {
	t.Helper()
	id := `[a-z0-9.-]{1,253}:[a-z0-9.-]{1,253}:[a-z0-9.-]{1,253}`
	variable := regexp.MustCompile(`^(backend ` + id + `|  balance roundrobin|` +
		`  server s[0-9]+ (\[[0-9a-f:.]+\]|[0-9.]+):[0-9]+ weight [0-9]+( disabled)?( proto h2)?)$`)
	fixed := fixedLines(hostileSettings)
	for line := range strings.Lines(withoutDescription(output)) {
		line = strings.TrimSuffix(line, "\n")
		if !fixed[line] && !variable.MatchString(line) {
			t.Errorf("a line of the configuration is %q", line)
		}
	}
	entry := regexp.MustCompile(`^(\.?[a-z0-9][a-z0-9.-]*)?/` +
		`[!$%&()*+,\-./0-9:;<=>?@A-Z\[\]^_` + "`" + `a-z{|}~]* ` + id + "\n$")
	for _, name := range []string{"exact.map", "prefix.map"} {
		for line := range strings.Lines(string(output.Configuration.Files[name])) {
			if !entry.MatchString(line) || len(line) > 8192 {
				t.Errorf("a line of %s is %q", name, line)
			}
		}
	}
	listed := regexp.MustCompile(`^/run/haproxy/files-[0-9a-f]+/tls-[0-9a-f]+\.pem( (\*\.)?[a-z0-9][a-z0-9.-]*)+` + "\n$")
	for line := range strings.Lines(string(output.Configuration.Files["certificates.list"])) {
		if !listed.MatchString(line) {
			t.Errorf("a line of the certificates is %q", line)
		}
	}
	for name := range output.Configuration.Files {
		if filepath.Base(name) != name {
			t.Errorf("a file's name is %q", name)
		}
	}
}

func FuzzNoObjectInjectsADirective(f *testing.F) {
	for i, s := range hostileStrings {
		next := hostileStrings[(i+1)%len(hostileStrings)]
		f.Add("ns", s, next, "svc", "http", "secret", "a", int32(80))
		f.Add(s, "a.example", s, s, next, s, next, int32(i*4000-1))
		f.Add("ns", next, "/"+s, s, s, s, s, int32(80))
	}
	f.Fuzz(func(t *testing.T, namespace, host, path, service, port, secret, annotation string, number int32) {
		result := Ingresses(hostile(namespace, host, path, service, port, secret, annotation, number), domains)
		expectInnocent(t, render.Render(result.Model, hostileSettings, nil))
	})
}

// TestHAProxyTakesWhateverObjectsSay puts many hostile Ingresses into one configuration that the real HAProxy must accept.
func TestHAProxyTakesWhateverObjectsSay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func() string {
		var b strings.Builder
		for range 1 + random.IntN(3) {
			b.WriteString(hostileStrings[random.IntN(len(hostileStrings))])
		}
		return b.String()
	}
	all := newObjects()
	for range 800 {
		host := []string{pick(), "x" + strconv.Itoa(random.IntN(50)) + ".example"}[random.IntN(2)]
		service := []string{pick(), "svc"}[random.IntN(2)]
		o := hostile("ns", host, "/"+pick(), service, []string{pick(), ""}[random.IntN(2)], pick(), pick(), random.Int32N(70000))
		all.ingresses = append(all.ingresses, o.ingresses...)
		for key, service := range o.services {
			all.services[key] = service
		}
		for key, slice := range o.slices {
			all.slices[key] = slice
		}
	}
	result := Ingresses(all, domains)
	if len(result.Model.Routes) < 200 {
		t.Fatalf("only %d routes: the test has lost its point", len(result.Model.Routes))
	}
	haproxytest.Each(t, func(t *testing.T, binary string) {
		folder, err := os.MkdirTemp("", "sandbar-hostile-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		settings := render.Settings{
			Folder: haproxy.Folder(folder), ClusterID: "x' \n bind :1", DefaultCertificate: certificateFor(t, "*.x").PEM,
		}
		output := render.Render(result.Model, settings, nil)
		write := func(path string, content []byte) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range output.Configuration.Files {
			write(filepath.Join(folder, output.Configuration.FilesFolder, name), content)
		}
		write(settings.Folder.Config(), output.Configuration.Main)
		if err := haproxy.Check(context.Background(), binary, settings.Folder.Config()); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestHostileStringsAreMostlyRefusedByName(t *testing.T) {
	result := Ingresses(hostile("ns", "a b", "relative", "svc", "http", "secret", "a", 80), domains)
	var reasons []string
	for _, p := range result.Problems {
		reasons = append(reasons, p.Reason)
	}
	slices.Sort(reasons)
	if got := strings.Join(slices.Compact(reasons), " "); got != "InvalidCertificate InvalidHost InvalidPath" {
		t.Errorf("problems are %s: %+v", got, result.Problems)
	}
}

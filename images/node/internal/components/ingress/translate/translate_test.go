package translate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/components/ingress/render"
)

const updateVariable = "SANDBAR_UPDATE_GOLDEN"

var domains = Domains{Laptop: "default.localhost", Apps: "apps.default.sandbar.internal"}

// TestGolden holds each file of objects in testdata against what becomes of it: model, problems, and HAProxy's maps and
// configuration. SANDBAR_UPDATE_GOLDEN=1 writes the expectations anew.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o := parse(t, content)
			got := describeResult(Ingresses(o, domains))
			slices.Reverse(o.ingresses)
			if again := describeResult(Ingresses(o, domains)); again != got {
				t.Errorf("the order of the objects matters:\n%s\n%s", got, again)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if os.Getenv(updateVariable) != "" {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s says otherwise (%s=1 writes it anew):\n%s", golden, updateVariable, got)
			}
		})
	}
}

func describeResult(result Result) string {
	var b strings.Builder
	b.WriteString("# Problems\n")
	for _, p := range result.Problems {
		fmt.Fprintf(&b, "%s/%s %s passing=%t: %s\n", p.Object.Namespace, p.Object.Name, p.Reason, p.Passing, p.Message)
	}
	b.WriteString("\n# Routes\n")
	for _, r := range result.Model.Routes {
		match, alias := "prefix", ""
		if r.Match == model.Exact {
			match = "exact"
		}
		if r.Alias {
			alias = " alias"
		}
		fmt.Fprintf(&b, "%q %s %s -> %s of %s%s\n", r.Host, match, r.Path, r.Backend, r.Owner.Name, alias)
	}
	settings := render.Settings{Folder: "/run/haproxy", ClusterID: "id", DefaultCertificate: []byte("default")}
	output := render.Render(result.Model, settings, nil)
	for _, name := range []string{"exact.map", "prefix.map"} {
		fmt.Fprintf(&b, "\n# %s\n%s", name, output.Configuration.Files[name])
	}
	main := strings.ReplaceAll(string(output.Configuration.Main), output.Configuration.Description, "DESCRIPTION")
	fmt.Fprintf(&b, "\n# haproxy.cfg\n%s", main)
	return b.String()
}

func TestAlias(t *testing.T) {
	for host, want := range map[string]string{
		"hello.default.localhost":             "hello.apps.default.sandbar.internal",
		"a.b.default.localhost":               "a.b.apps.default.sandbar.internal",
		"*.default.localhost":                 "*.apps.default.sandbar.internal",
		"x.apps.default.sandbar.internal":     "x.default.localhost",
		"default.localhost":                   "",
		"hello.localhost":                     "",
		"hello.default.localhost.example.com": "",
		"":                                    "",
	} {
		if got := domains.Alias(host); got != want {
			t.Errorf("Alias(%q) = %q, want %q", host, got, want)
		}
	}
	if got := (Domains{}).Alias("x.y"); got != "" {
		t.Errorf("no domains, but alias %q", got)
	}
}

package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var testAddress = netip.MustParseAddr("10.43.0.10")

func TestBuildCorefile(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no resolver outside": {
			options: Options{Address: testAddress, ClusterDomain: "cluster.local"},
			want: `.:53 {
    bind 10.43.0.10
    errors
    sandbar_cluster cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    sandbar_unknown
    cache 30
    loadbalance
}
`,
		},
		"everything": {
			options: Options{
				Address: testAddress, ClusterDomain: "cluster.local", BaseDomain: "default.sandbar.internal",
				NodeIP: netip.MustParseAddr("10.88.0.2"), HostsFile: "/etc/my hosts",
				Upstreams: []string{"10.88.0.1", "1.1.1.1:5353"},
			},
			want: `.:53 {
    bind 10.43.0.10
    errors
    hosts "/etc/my hosts" {
        fallthrough
    }
    sandbar_wildcard apps.default.sandbar.internal 10.88.0.2
    sandbar_cluster cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    sandbar_outside
    forward . 10.88.0.1 1.1.1.1:5353
    cache 30
    loadbalance
}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := buildCorefile(test.options); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestUsableUpstreams(t *testing.T) {
	got := usableUpstreams([]string{
		"10.43.0.10", "10.43.0.10:53", "::ffff:10.43.0.10", "0.0.0.0", "resolver.example", "10.88.0.1", "10.88.0.1",
		"127.0.0.11", "[fd00::1]:53", "",
	}, testAddress)
	if want := []string{"10.88.0.1", "127.0.0.11", "[fd00::1]:53"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAdaptCorefile(t *testing.T) {
	adapted, err := adaptCorefile("Corefile", []byte(`
.:5353 {
    bufsize 1232
    errors
    log . {
        class error
    }
    health {
        lameduck 20s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus 127.0.0.1:9153
    forward . /etc/resolv.conf {
        policy sequential
    }
    hosts {
        10.0.0.1 "printer one"
        fallthrough
    }
    reload
    loop
    bind 0.0.0.0
}
example.org edge.lan:5353 {
    forward . 10.0.0.53
}
`), testAddress)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		".:53 {\n    bind 10.43.0.10\n", "sandbar_cluster cluster.local in-addr.arpa ip6.arpa {\n",
		"    pods insecure\n", "log . {\n    class error\n    }\n", "forward . /etc/resolv.conf {\n",
		"example.org:53 edge.lan:53 {\n    bind 10.43.0.10\n    forward . 10.0.0.53\n}\n",
		`10.0.0.1 "printer one"`,
	} {
		if !strings.Contains(adapted, line) {
			t.Errorf("%q is missing in\n%s", line, adapted)
		}
	}
	for _, word := range []string{"kubernetes ", "health", "lameduck", "prometheus", "reload", "loop", "0.0.0.0", "5353"} {
		if strings.Contains(adapted, word) {
			t.Errorf("%q is left in\n%s", word, adapted)
		}
	}
	// What was written is read again as it was meant.
	again, err := adaptCorefile("Corefile", []byte(adapted), testAddress)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(strings.Lines(again)), slices.Sorted(strings.Lines(adapted))) {
		t.Errorf("a second time it is\n%s\nnot\n%s", again, adapted)
	}
}

func TestAdaptCorefileErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, err string }{
		"nothing in it":   {"# only a comment\n", "Corefile has no server"},
		"a brace missing": {".:53 {\n  errors\n", "Corefile:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adaptCorefile("Corefile", []byte(test.text), testAddress)
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func FuzzAdaptCorefile(f *testing.F) {
	f.Add(".:5353 {\n errors\n kubernetes cluster.local {\n pods insecure\n }\n}\n")
	f.Add(`a "b c" { hosts { 1.2.3.4 "x\"y" } }`)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "import") { // reads files
			return
		}
		if adapted, err := adaptCorefile("Corefile", []byte(text), testAddress); err == nil && adapted == "" {
			t.Error("neither a Corefile nor an error")
		}
	})
}

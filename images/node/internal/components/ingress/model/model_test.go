package model

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"Hello.Example":                   "hello.example",
		"*.example.com":                   "*.example.com",
		"localhost":                       "localhost",
		"xn--bcher-kva.example":           "xn--bcher-kva.example",
		"10.0.0.1":                        "10.0.0.1",
		strings.Repeat("a", 63) + ".b":    strings.Repeat("a", 63) + ".b",
		strings.Repeat("a.", 126) + "a":   strings.Repeat("a.", 126) + "a",
		"*.*.example":                     "error",
		"*":                               "error",
		"*.":                              "error",
		"a.*.example":                     "error",
		"a..b":                            "error",
		"a.":                              "error",
		"-a.b":                            "error",
		"a-.b":                            "error",
		"a_b.c":                           "error",
		"a b":                             "error",
		"a/b":                             "error",
		"a:80":                            "error",
		"bücher.example":                  "error",
		strings.Repeat("a", 64) + ".b":    "error",
		strings.Repeat("a.", 126) + "abc": "error",
	} {
		got, err := Host(in)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("Host(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "/",
		"/":                                  "/",
		"/a/b;c=d/$x,(y)":                    "/a/b;c=d/$x,(y)",
		"/a%20b":                             "/a%20b",
		"/a b":                               "/a%20b",
		"/é":                                 "/%C3%A9",
		"/a\nb\x00\x7f\t":                    "/a%0Ab%00%7F%09",
		`/#"'\`:                              "/%23%22%27%5C",
		"a":                                  "error",
		"?":                                  "error",
		"/" + strings.Repeat("a", maxPath-1): "/" + strings.Repeat("a", maxPath-1),
		"/" + strings.Repeat("a", maxPath):   "error",
		"/" + strings.Repeat(" ", maxPath/2): "error",
	} {
		got, err := Path(in)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("Path(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestBuilder(t *testing.T) {
	first, second := Ref{Name: "first"}, Ref{Name: "second"}
	b := NewBuilder()
	route := Route{Host: "b", Path: "/", Backend: "n:s:2", Owner: first}
	if owner, ok := b.Route(route); !ok || owner != first {
		t.Errorf("got %v, %t", owner, ok)
	}
	route.Owner = second
	if owner, ok := b.Route(route); ok || owner != first {
		t.Errorf("a second route took the place of the first: %v, %t", owner, ok)
	}
	route.Match = Exact
	if _, ok := b.Route(route); !ok {
		t.Error("an exact route is another one")
	}
	b.Route(Route{Host: "a", Path: "/", Backend: "n:s:1", Owner: second})
	server := func(address string) Server { return Server{Address: netip.MustParseAddrPort(address), Weight: 1} }
	b.Backend(Backend{ID: "n:s:2", Servers: []Server{server("10.0.0.2:80"), server("10.0.0.1:80")}})
	b.Backend(Backend{ID: "n:s:1"})
	b.Certificate(Certificate{Names: []string{"b", "a"}, PEM: []byte("1"), Owner: first})
	b.Certificate(Certificate{Names: []string{"a"}, PEM: []byte("2"), Owner: second})
	b.Certificate(Certificate{Names: []string{"a", "c"}, PEM: []byte("1"), Owner: first})

	got := b.Model()
	want := Model{
		Routes: []Route{
			{Host: "a", Path: "/", Backend: "n:s:1", Owner: second},
			{Host: "b", Path: "/", Backend: "n:s:2", Owner: first},
			{Host: "b", Path: "/", Match: Exact, Backend: "n:s:2", Owner: second},
		},
		Backends: []Backend{
			{ID: "n:s:1"},
			{ID: "n:s:2", Servers: []Server{server("10.0.0.1:80"), server("10.0.0.2:80")}},
		},
		Certificates: []Certificate{{Names: []string{"a", "b", "c"}, PEM: []byte("1"), Owner: first}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

package haproxy

import (
	"bytes"
	"fmt"
	"strings"

	"sandbar.dev/node/internal/paths"
)

// Baseline is the configuration of a HAProxy that nobody has configured yet: port 80 answers the health host, and 503 for
// everything else, since what will be routed is not known. Port 443 is not served: without a certificate there is nothing
// to say, and connections wait in the listen queue until the first real configuration is there. clusterID goes into the
// health answer; what it holds beside letters, digits, '-', '_' and '.' is left out.
func Baseline(clusterID string) []byte {
	return BaselineIn(Folder(paths.Default().HAProxy()), clusterID)
}

// BaselineIn is Baseline for a HAProxy in another folder than a node's.
func BaselineIn(folder Folder, clusterID string) []byte {
	var b bytes.Buffer
	b.Write(Preamble(folder, "baseline"))
	fmt.Fprintf(&b, "\nfrontend http\n  bind fd@%d\n", HTTPDescriptor)
	// Before the very first start of a cluster has given it an ID, nothing can be told from another cluster's answer.
	if Word(clusterID) != "" {
		b.WriteString(HealthRule(clusterID))
	}
	b.WriteString("  http-request return status 503 content-type text/plain string \"starting\\n\"\n")
	return b.Bytes()
}

// Preamble is the global and defaults sections of every configuration. The description is what the running worker
// reports in Info, and tells configurations apart; it is held to the same characters as a cluster ID.
//
// The values suit a laptop: one thread (tens of thousands of requests a second, no idle wake-ups), small caches, and no
// log of its own. Old workers end when their connections do, at the latest after 15 minutes or 8 reloads.
func Preamble(folder Folder, description string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Written by sandbar-node; changes are lost.
global
  description %s
  nbthread 1
  maxconn 4000
  no strict-limits
  uid 65534
  gid 65534
  hard-stop-after 15m
  mworker-max-reloads 8
  stats socket %s mode 600 level admin
  stats maxconn 8
  tune.ssl.cachesize 1000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
  mode http
  option idle-close-on-response
  option http-keep-alive
  option redispatch 1
  retries 3
  timeout connect 5s
  timeout queue 5s
  timeout http-request 15s
  timeout http-keep-alive 60s
  timeout client 60s
  timeout client-fin 10s
  timeout server 60s
  timeout tunnel 1h
`, Word(description), Quote(folder.WorkerSocket()))
	return b.Bytes()
}

// HealthRule is the line, for an HTTP frontend, that answers the health host. It ends in a newline.
func HealthRule(clusterID string) string {
	return fmt.Sprintf("  http-request return status 200 content-type text/plain string ok hdr %s %s "+
		"if { req.hdr(host),host_only,lower %s }\n", HealthHeader, Quote(Word(clusterID)), HealthHost)
}

// Word is s without the characters that are not letters, digits, '-', '_' or '.', so that nothing in it can mean
// anything in a configuration.
func Word(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return -1
	}, s)
}

// Quote is s as one literal argument of a configuration line: in single quotes, where HAProxy interprets nothing.
// A single quote inside is written as an escaped one outside the quotes. Line breaks and NUL cannot be expressed in a
// configuration and are dropped.
func Quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return -1
		}
		return r
	}, s)
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

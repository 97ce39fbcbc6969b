package config

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
)

// labelProblem says why a name is not a DNS label (RFC 1123); empty when it is one.
func labelProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > 63:
		return "is longer than 63 characters"
	case strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}):
		return "may have lower-case letters, digits and hyphens only"
	case name[0] == '-' || name[len(name)-1] == '-':
		return "may not begin or end with a hyphen"
	}
	return ""
}

// hostnameProblem says why a name is not a host name (RFC 1123, lower case); empty when it is one.
func hostnameProblem(name string) string {
	if len(name) > 253 {
		return "is longer than 253 characters"
	}
	for part := range strings.SplitSeq(name, ".") {
		if reason := labelProblem(part); reason == "is empty" {
			return "is not a host name: a part of it is empty"
		} else if reason != "" {
			return reason
		}
	}
	return ""
}

// nodeLabelProblem says why kubelet could not put a label on its node; empty when it can.
func nodeLabelProblem(name, value string) string {
	prefix, local, prefixed := strings.Cut(name, "/")
	if !prefixed {
		prefix, local = "", name
	}
	if prefixed {
		if reason := hostnameProblem(prefix); reason != "" {
			return fmt.Sprintf("the part before the slash %s", reason)
		}
		if ownedByKubernetes(prefix) {
			return "kubelet may not set labels below " + prefix
		}
	}
	if reason := labelPartProblem(local); local == "" || reason != "" {
		return "a label's name has 1 to 63 letters, digits, hyphens, underscores and dots"
	}
	if reason := labelPartProblem(value); reason != "" {
		return fmt.Sprintf("its value %q %s", value, reason)
	}
	return ""
}

// ownedByKubernetes says whether NodeRestriction refuses a kubelet's own labels with the prefix.
func ownedByKubernetes(prefix string) bool {
	for _, allowed := range []string{"node.kubernetes.io", "kubelet.kubernetes.io"} {
		if prefix == allowed || strings.HasSuffix(prefix, "."+allowed) {
			return false
		}
	}
	for _, domain := range []string{"kubernetes.io", "k8s.io"} {
		if prefix == domain || strings.HasSuffix(prefix, "."+domain) {
			return true
		}
	}
	return false
}

// labelPartProblem says why a text is not the name or value of a Kubernetes label; empty when it is.
func labelPartProblem(text string) string {
	letterOrDigit := func(b byte) bool {
		return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
	}
	if len(text) > 63 {
		return "is longer than 63 characters"
	}
	for i := range len(text) {
		if !letterOrDigit(text[i]) && text[i] != '-' && text[i] != '_' && text[i] != '.' {
			return "may have letters, digits, hyphens, underscores and dots only"
		}
	}
	if text != "" && (!letterOrDigit(text[0]) || !letterOrDigit(text[len(text)-1])) {
		return "must begin and end with a letter or digit"
	}
	return ""
}

// serviceName says whether a name is one of the API's own Services.
func serviceName(name string) bool {
	for _, service := range []string{"kubernetes", "openshift"} {
		if name == service || strings.HasPrefix(name, service+".") {
			return true
		}
	}
	return false
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// defaultCipherSuites are Mozilla's intermediate list for TLS 1.2, the modern one for TLS 1.3, in IANA's names.
// https://wiki.mozilla.org/Security/Server_Side_TLS
func defaultCipherSuites(minVersion string) []string {
	modern := []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	if minVersion == "VersionTLS13" {
		return modern
	}
	return append(modern,
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	)
}

// knownCipherSuite says whether Go's TLS has a suite of that name, insecure ones included, as MicroShift allows them.
func knownCipherSuite(name string) bool {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.Name == name {
			return true
		}
	}
	return false
}

package model

import (
	"errors"
	"fmt"
	"strings"
)

// maxHost is the longest host name, in bytes, as DNS has it.
const maxHost = 253

// maxPath is the longest path, in bytes after escaping: well below the longest line that HAProxy reads from a map.
const maxPath = 4096

// Host is s as a model's host name: in lower case, and made of DNS labels only, the first of which may be "*". The empty
// string stays what it is.
func Host(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	host := strings.ToLower(s)
	if len(host) > maxHost {
		return "", fmt.Errorf("host name is longer than %d characters", maxHost)
	}
	rest, wild := strings.CutPrefix(host, "*.")
	for label := range strings.SplitSeq(rest, ".") {
		if !validLabel(label) {
			return "", fmt.Errorf("%q is not a host name", s)
		}
	}
	if wild && rest == "" {
		return "", fmt.Errorf("%q is not a host name", s)
	}
	return host, nil
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Path is s as a model's path: absolute, and with everything that cannot stand in a request line percent-encoded.
// The empty string is "/".
func Path(s string) (string, error) {
	if s == "" {
		return "/", nil
	}
	if s[0] != '/' {
		return "", errors.New("path does not begin with /")
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\' || c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if b.Len() > maxPath {
		return "", fmt.Errorf("path is longer than %d characters", maxPath)
	}
	return b.String(), nil
}

// Package model says what an ingress does, without a word about who asked for it or which program does it: host names and
// paths, the backends behind them, and certificates. Ingress objects are translated into it and OpenShift's Routes can be;
// package render makes HAProxy's configuration from it.
package model

import "net/netip"

// Ref names the object that a part of the model comes from.
type Ref struct {
	// Kind, Namespace, Name and UID are the object's own.
	Kind, Namespace, Name, UID string
}

// Model is all that the ingress serves. Its parts are in a fixed order, so that equal models are deeply equal.
type Model struct {
	// Routes have no two entries with the same host, path and match.
	Routes []Route
	// Backends are all those that routes name, sorted by ID.
	Backends []Backend
	// Certificates have no name in common; connections that ask for another name get the default certificate.
	Certificates []Certificate
}

// Match is how the path of a request is compared.
type Match int

const (
	// Prefix matches the path and everything below it, in whole segments: /a matches /a, /a/ and /a/b, not /ab.
	Prefix Match = iota
	// Exact matches this path only; it wins over Prefix.
	Exact
)

// Termination is where TLS ends for a route. Ingress knows only the first; the others are Routes'.
type Termination int

const (
	// Edge ends TLS at the ingress; the backend is spoken to in the clear.
	Edge Termination = iota
)

// Route leads requests to a backend.
type Route struct {
	// Host is a host name in lower case, "*." and a domain for all names one label below it, or "" for any. The more
	// special one wins.
	Host string
	// Path begins with "/" and is escaped as in a request line. The longest that matches wins.
	Path string
	// Match is how Path is compared.
	Match Match
	// Backend is the ID of the backend.
	Backend string
	// Termination is where TLS ends.
	Termination Termination
	// Owner is the object that asks for the route.
	Owner Ref
	// Alias marks a second name of a route that the same owner asked for under another host.
	Alias bool
}

// Protocol is what a backend's servers speak.
type Protocol int

const (
	// HTTP1 is HTTP/1.1 in the clear.
	HTTP1 Protocol = iota
	// H2C is HTTP/2 in the clear with prior knowledge.
	H2C
)

// Backend is a set of equal servers. Several routes may share it; a route with weights or settings of its own has a
// backend of its own.
type Backend struct {
	// ID is unique and consists of lower-case letters, digits, '-', '.' and ':'.
	ID string
	// Protocol is what the servers speak.
	Protocol Protocol
	// Servers are sorted by address.
	Servers []Server
}

// Server is one place that answers requests.
type Server struct {
	// Address is its IP address and TCP port.
	Address netip.AddrPort
	// Weight is its share of the traffic in relation to the others of the backend, 1 to 256.
	Weight int
	// Draining servers finish what they have and get nothing new.
	Draining bool
}

// Certificate is what TLS connections for some names are answered with.
type Certificate struct {
	// Names are host names or "*." and a domain, in lower case.
	Names []string
	// PEM is the chain, leaf first, followed by the private key.
	PEM []byte
	// Owner is the object that it comes from.
	Owner Ref
}

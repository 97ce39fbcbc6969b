package model

import (
	"cmp"
	"slices"
)

type routeKey struct {
	host, path string
	match      Match
}

// Builder collects a model's parts; whoever comes first gets what several ask for.
type Builder struct {
	routes   []Route
	taken    map[routeKey]Ref
	backends map[string]Backend
	names    map[string]Ref
	certs    []Certificate
}

// NewBuilder is a builder of an empty model.
func NewBuilder() *Builder {
	return &Builder{
		taken:    map[routeKey]Ref{},
		backends: map[string]Backend{},
		names:    map[string]Ref{},
	}
}

// Route adds a route, or returns the owner of the one that has its place already and false.
func (b *Builder) Route(route Route) (Ref, bool) {
	key := routeKey{host: route.Host, path: route.Path, match: route.Match}
	if owner, ok := b.taken[key]; ok {
		return owner, false
	}
	b.taken[key] = route.Owner
	b.routes = append(b.routes, route)
	return route.Owner, true
}

// Routes are those added so far, in that order.
func (b *Builder) Routes() []Route { return slices.Clone(b.routes) }

// HasBackend says whether there is a backend of that ID.
func (b *Builder) HasBackend(id string) bool {
	_, ok := b.backends[id]
	return ok
}

// Backend adds a backend, or replaces the one with its ID.
func (b *Builder) Backend(backend Backend) {
	backend.Servers = slices.Clone(backend.Servers)
	slices.SortFunc(backend.Servers, func(x, y Server) int { return x.Address.Compare(y.Address) })
	b.backends[backend.ID] = backend
}

// Certificate adds a certificate for those of its names that nobody has a certificate for.
func (b *Builder) Certificate(certificate Certificate) {
	var free []string
	for _, name := range certificate.Names {
		if _, ok := b.names[name]; !ok {
			b.names[name] = certificate.Owner
			free = append(free, name)
		}
	}
	if len(free) == 0 {
		return
	}
	for i := range b.certs {
		if b.certs[i].Owner == certificate.Owner {
			b.certs[i].Names = append(b.certs[i].Names, free...)
			return
		}
	}
	certificate.Names = free
	b.certs = append(b.certs, certificate)
}

// Model is what was collected, in an order that does not depend on that of the calls.
func (b *Builder) Model() Model {
	m := Model{Routes: slices.Clone(b.routes), Certificates: slices.Clone(b.certs)}
	slices.SortFunc(m.Routes, func(x, y Route) int {
		return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Match, y.Match))
	})
	for _, backend := range b.backends {
		m.Backends = append(m.Backends, backend)
	}
	slices.SortFunc(m.Backends, func(x, y Backend) int { return cmp.Compare(x.ID, y.ID) })
	for i := range m.Certificates {
		m.Certificates[i].Names = slices.Clone(m.Certificates[i].Names)
		slices.Sort(m.Certificates[i].Names)
	}
	slices.SortFunc(m.Certificates, func(x, y Certificate) int {
		return cmp.Or(cmp.Compare(x.Owner.Namespace, y.Owner.Namespace), cmp.Compare(x.Owner.Name, y.Owner.Name))
	})
	return m
}

package component

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// graph is the checked order of components: who needs whom.
type graph struct {
	needs map[string][]string
	// after is the order of the stop: a component stops after all of these.
	after map[string][]string
}

// newGraph returns every duplicate name, unknown need and cycle as one error.
func newGraph(components []Component) (*graph, error) {
	g := &graph{needs: map[string][]string{}, after: map[string][]string{}}
	var problems []error
	for _, c := range components {
		name := c.Name()
		if name == "" {
			problems = append(problems, fmt.Errorf("a component of type %T has no name", c))
			continue
		}
		if _, twice := g.needs[name]; twice {
			problems = append(problems, fmt.Errorf("component %q is listed twice", name))
			continue
		}
		needs := slices.Clone(c.Needs())
		slices.Sort(needs)
		g.needs[name] = slices.Compact(needs)
	}
	for _, c := range components {
		for _, name := range g.supports(c) {
			if _, known := g.needs[name]; !known {
				problems = append(problems, fmt.Errorf("component %q needs %q, which is not listed", c.Name(), name))
			}
			if !slices.Contains(g.after[name], c.Name()) {
				g.after[name] = append(g.after[name], c.Name())
			}
		}
	}
	if cycle := g.cycle(components); cycle != nil {
		problems = append(problems, fmt.Errorf("components need each other: %s", strings.Join(cycle, " -> ")))
	}
	return g, errors.Join(problems...)
}

// supports are the components that must run as long as c does: its needs, and those that it leans on.
func (g *graph) supports(c Component) []string {
	leaning, ok := c.(Leaning)
	if !ok {
		return g.needs[c.Name()]
	}
	return slices.Concat(g.needs[c.Name()], leaning.LeansOn())
}

// cycle returns the names along one cycle, the first repeated at the end, or nil.
func (g *graph) cycle(components []Component) []string {
	const visiting, done = 1, 2
	byName := map[string]Component{}
	for _, c := range components {
		byName[c.Name()] = c
	}
	marks := map[string]int{}
	var path, found []string
	var visit func(name string) bool
	visit = func(name string) bool {
		switch marks[name] {
		case done:
			return false
		case visiting:
			found = append(slices.Clone(path[slices.Index(path, name):]), name)
			return true
		}
		marks[name] = visiting
		path = append(path, name)
		if c, known := byName[name]; known && slices.ContainsFunc(g.supports(c), visit) {
			return true
		}
		path = path[:len(path)-1]
		marks[name] = done
		return false
	}
	for _, c := range components {
		if visit(c.Name()) {
			return found
		}
	}
	return nil
}

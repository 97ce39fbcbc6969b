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
	// neededBy is needs turned round.
	neededBy map[string][]string
}

// newGraph returns every duplicate name, unknown need and cycle as one error.
func newGraph(components []Component) (*graph, error) {
	g := &graph{needs: map[string][]string{}, neededBy: map[string][]string{}}
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
		for _, need := range g.needs[c.Name()] {
			if _, known := g.needs[need]; !known {
				problems = append(problems, fmt.Errorf("component %q needs %q, which is not listed", c.Name(), need))
			}
			if !slices.Contains(g.neededBy[need], c.Name()) {
				g.neededBy[need] = append(g.neededBy[need], c.Name())
			}
		}
	}
	if cycle := g.cycle(components); cycle != nil {
		problems = append(problems, fmt.Errorf("components need each other: %s", strings.Join(cycle, " -> ")))
	}
	return g, errors.Join(problems...)
}

// cycle returns the names along one cycle, the first repeated at the end, or nil.
func (g *graph) cycle(components []Component) []string {
	const visiting, done = 1, 2
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
		if slices.ContainsFunc(g.needs[name], visit) {
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

package config

import (
	"maps"
	"slices"
	"strings"
)

// branch is a place in the tree of keys: a group of keys, or a key with its shape.
type branch struct {
	// name is the part of the path as MicroShift writes it.
	name string
	// children are the keys below, by their names in lower case; nil for a key with a value.
	children map[string]*branch
	// list says that the place holds a list of mappings with these children.
	list bool
	// leaf is the line of the table, for a key with a value.
	leaf *key
}

// newTree builds the tree of keys out of the table.
func newTree(table []key) *branch {
	root := &branch{children: map[string]*branch{}}
	for i := range table {
		at := root
		for part := range strings.SplitSeq(table[i].path, ".") {
			name, list := strings.CutSuffix(part, "[]")
			if at.children == nil {
				at.children = map[string]*branch{}
			}
			next := at.children[strings.ToLower(name)]
			if next == nil {
				next = &branch{name: name, list: list}
				at.children[strings.ToLower(name)] = next
			}
			at = next
		}
		at.leaf = &table[i]
	}
	return root
}

// child finds the key below, whatever its capitals.
func (b *branch) child(name string) *branch { return b.children[strings.ToLower(name)] }

// ineffective says whether nothing at or below the place does anything here.
func (b *branch) ineffective() bool {
	if b.leaf != nil {
		return b.leaf.effect == without
	}
	for _, child := range b.children {
		if !child.ineffective() {
			return false
		}
	}
	return true
}

// names lists the keys right below, sorted.
func (b *branch) names() []string {
	var names []string
	for _, child := range b.children {
		names = append(names, child.name)
	}
	slices.Sort(names)
	return names
}

// paths lists the path of every place in the tree, sorted, without the list marks.
func (b *branch) paths() []string {
	var all []string
	var walk func(prefix string, at *branch)
	walk = func(prefix string, at *branch) {
		for _, name := range slices.Sorted(maps.Keys(at.children)) {
			child := at.children[name]
			path := prefix + child.name
			all = append(all, path)
			walk(path+".", child)
		}
	}
	walk("", b)
	return all
}

// nearest returns what was probably meant by an unknown name below the place: a sibling that is written alike, else the
// full path of a key of that name elsewhere, else nothing.
func (b *branch) nearest(root *branch, unknown string) string {
	if name := closest(unknown, b.names()); name != "" {
		return name
	}
	for _, path := range root.paths() {
		if strings.EqualFold(path[strings.LastIndexByte(path, '.')+1:], unknown) {
			return path
		}
	}
	return ""
}

// closest returns the candidate with the least edits from name, if they are few for its length.
func closest(name string, candidates []string) string {
	best, fewest := "", len(name)/3+1
	for _, candidate := range candidates {
		if edits := distance(strings.ToLower(name), strings.ToLower(candidate)); edits <= fewest && (best == "" || edits < fewest) {
			best, fewest = candidate, edits
		}
	}
	return best
}

// distance counts the edits (insertion, deletion, replacement, swap of neighbours) that turn a into b.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"sandbar.dev/node/internal/contract"
)

const (
	// maximumFileSize in bytes is far above any real configuration.
	maximumFileSize = 1 << 20
	// maximumNodes bounds what aliases may expand to.
	maximumNodes = 100_000
	// maximumDepth of mappings and lists in each other.
	maximumDepth = 100
)

// place is where a value was written.
type place struct {
	file string
	line int
}

// documents merges files into one tree of values and remembers where each value was written.
type documents struct {
	tree     *branch
	merged   *yaml.Node
	places   map[*yaml.Node]place
	problems []Problem
	warnings []contract.Warning
}

func newDocuments() *documents {
	return &documents{
		tree:   newTree(keyTable()),
		merged: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"},
		places: map[*yaml.Node]place{},
	}
}

// add merges a file's text over what is there, as RFC 7386 has it: mappings recurse, other values replace, null removes.
// Values that do not fit are reported and left out.
func (d *documents) add(file string, content []byte) {
	if len(content) > maximumFileSize {
		d.problem(Problem{File: file, Message: "is larger than 1 MiB"})
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		d.problem(syntaxProblem(file, err))
		return
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		d.problem(Problem{File: file, Line: second.Line, Message: "has a second YAML document; only one is read"})
		return
	} else if !errors.Is(err, io.EOF) {
		d.problem(syntaxProblem(file, err))
		return
	}
	if len(document.Content) == 0 || isNull(document.Content[0]) {
		return
	}
	reader := fileReader{documents: d, file: file, budget: maximumNodes}
	root := document.Content[0]
	if root.Kind == yaml.AliasNode {
		root = root.Alias
	}
	if root.Kind != yaml.MappingNode {
		d.problem(Problem{File: file, Line: root.Line, Message: "must be a mapping of keys, not " + describeNode(root)})
		return
	}
	d.merge(d.merged, reader.mapping("", d.tree, root))
}

func (d *documents) problem(problem Problem) { d.problems = append(d.problems, problem) }

// syntaxProblem takes the line out of the parser's message.
func syntaxProblem(file string, err error) Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	problem := Problem{File: file}
	if rest, found := strings.CutPrefix(message, "line "); found {
		if number, after, found := strings.Cut(rest, ": "); found {
			if line, err := strconv.Atoi(number); err == nil {
				problem.Line, message = line, after
			}
		}
	}
	problem.Message = "is not valid YAML: " + message
	return problem
}

// fileReader copies one file's values, with its aliases resolved and its keys written as MicroShift writes them.
type fileReader struct {
	*documents
	file   string
	budget int
	depth  int
}

// mapping copies a mapping whose keys stand in the tree at the branch.
func (r *fileReader) mapping(path string, at *branch, node *yaml.Node) *yaml.Node {
	result := r.record(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, node)
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		known := at.child(name.Value)
		if known == nil || name.Kind != yaml.ScalarNode {
			r.problem(Problem{File: r.file, Line: name.Line, Key: join(path, name.Value), Message: "unknown key",
				Nearest: at.nearest(r.tree, name.Value)})
			continue
		}
		full := join(path, known.name)
		if first, twice := seen[known.name]; twice {
			r.problem(Problem{File: r.file, Line: name.Line, Key: full,
				Message: fmt.Sprintf("is given twice (first on line %d)", first)})
			continue
		}
		seen[known.name] = name.Line
		if copied := r.value(full, known, value, name); copied != nil {
			r.places[copied] = place{r.file, name.Line}
			result.Content = append(result.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: known.name}, copied)
		}
	}
	return result
}

// value copies the value of a known key; nil when it does not fit.
func (r *fileReader) value(path string, known *branch, node, name *yaml.Node) *yaml.Node {
	if r.depth++; r.depth > maximumDepth {
		r.problem(Problem{File: r.file, Line: name.Line, Key: path, Message: "is nested too deeply"})
		return nil
	}
	defer func() { r.depth-- }()
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if isNull(node) {
		return r.copy(path, node)
	}
	switch {
	case known.leaf != nil:
		copied := r.copy(path, node)
		if copied == nil {
			return nil
		}
		fits := true
		known.leaf.shape.check(path, copied, func(at string, wrong *yaml.Node, message string) {
			fits = false
			r.problem(Problem{File: r.file, Line: r.places[wrong].line, Key: at, Message: message})
		})
		if !fits {
			return nil
		}
		return copied
	case known.list:
		if node.Kind != yaml.SequenceNode {
			r.problem(Problem{File: r.file, Line: node.Line, Key: path, Message: "must be a list, not " + describeNode(node)})
			return nil
		}
		result := r.record(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}, node)
		for i, item := range node.Content {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			element := fmt.Sprintf("%s[%d]", path, i)
			if item.Kind != yaml.MappingNode {
				r.problem(Problem{File: r.file, Line: item.Line, Key: element, Message: "must be a mapping, not " + describeNode(item)})
				continue
			}
			result.Content = append(result.Content, r.mapping(element, known, item))
		}
		return result
	case node.Kind != yaml.MappingNode:
		r.problem(Problem{File: r.file, Line: node.Line, Key: path, Message: "must be a mapping, not " + describeNode(node)})
		return nil
	default:
		return r.mapping(path, known, node)
	}
}

// copy copies a value with everything below it; nil (and a problem, once) when aliases make it endless.
func (r *fileReader) copy(path string, node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	r.budget--
	r.depth++
	defer func() { r.depth-- }()
	if r.budget < 0 || r.depth > maximumDepth {
		if r.budget >= -1 {
			r.problem(Problem{File: r.file, Line: node.Line, Key: path, Message: "is too large or nested too deeply"})
			r.budget = -1
		}
		return nil
	}
	result := r.record(&yaml.Node{Kind: node.Kind, Tag: node.ShortTag(), Value: node.Value, Style: node.Style &^ yaml.TaggedStyle}, node)
	seen := map[string]int{}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind != yaml.ScalarNode || child.ShortTag() != "!!str" {
				r.problem(Problem{File: r.file, Line: child.Line, Key: path, Message: "has a key that is not a string"})
				return nil
			}
			if first, twice := seen[child.Value]; twice {
				r.problem(Problem{File: r.file, Line: child.Line, Key: join(path, child.Value),
					Message: fmt.Sprintf("is given twice (first on line %d)", first)})
				return nil
			}
			seen[child.Value] = child.Line
		}
		copied := r.copy(path, child)
		if copied == nil {
			return nil
		}
		result.Content = append(result.Content, copied)
	}
	return result
}

// record remembers where a copied value was written.
func (r *fileReader) record(copied, original *yaml.Node) *yaml.Node {
	r.places[copied] = place{r.file, original.Line}
	return copied
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// merge puts the patch's values over the target's. Nulls remove; those inside new mappings are dropped too.
func (d *documents) merge(target, patch *yaml.Node) {
	for i := 0; i+1 < len(patch.Content); i += 2 {
		name, value := patch.Content[i], patch.Content[i+1]
		at := indexOf(target, name.Value)
		if isNull(value) {
			if at >= 0 {
				target.Content = slices.Delete(target.Content, at, at+2)
			}
			continue
		}
		if value.Kind == yaml.MappingNode {
			if at >= 0 && target.Content[at+1].Kind == yaml.MappingNode {
				d.merge(target.Content[at+1], value)
				continue
			}
			clean := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			d.places[clean] = d.places[value]
			d.merge(clean, value)
			value = clean
		}
		if at >= 0 {
			target.Content[at+1] = value
		} else {
			target.Content = append(target.Content, name, value)
		}
	}
}

// indexOf finds a key's place in a mapping's content, or -1.
func indexOf(mapping *yaml.Node, name string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return i
		}
	}
	return -1
}

// warnIneffective warns of every key below node that does nothing here, once for a group of which no key does anything.
func (d *documents) warnIneffective(path string, at *branch, node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		known, value := at.child(node.Content[i].Value), node.Content[i+1]
		full := join(path, known.name)
		if known.ineffective() {
			where := d.places[value]
			d.warnings = append(d.warnings, contract.Warning{
				Code:    contract.WarningKeyWithoutEffect,
				Message: fmt.Sprintf("%s:%d: %s has no effect in Sandbar", where.file, where.line, full),
				Hint:    "remove it, or keep it for the devices that run MicroShift",
			})
		} else if known.leaf == nil && !known.list {
			d.warnIneffective(full, known, value)
		}
	}
}

// find returns the place of the value at a path such as "network.clusterNetwork[1]", or of the nearest value above it.
func (d *documents) find(path string) place {
	at, where := d.merged, place{}
	for part := range strings.SplitSeq(path, ".") {
		name, rest, _ := strings.Cut(part, "[")
		i := indexOf(at, name)
		if at.Kind != yaml.MappingNode || i < 0 {
			break
		}
		at = at.Content[i+1]
		where = d.places[at]
		if number, found := strings.CutSuffix(rest, "]"); found {
			if index, err := strconv.Atoi(number); err == nil && at.Kind == yaml.SequenceNode && index < len(at.Content) {
				at = at.Content[index]
				where = d.places[at]
			}
		}
	}
	return where
}

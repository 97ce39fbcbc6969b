package config

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sort is the kind of value that a shape takes.
type sort int

const (
	sortText sort = iota
	sortInteger
	sortList
	sortMapping
	sortAnything
)

// shape is what a value must look like.
type shape struct {
	sort sort
	// element is the shape of a list's or mapping's values; nil means any.
	element *shape
	// values are the only ones allowed, unless empty.
	values []string
}

var (
	text       = shape{sort: sortText}
	integer    = shape{sort: sortInteger}
	anything   = shape{sort: sortAnything}
	anyMapping = shape{sort: sortMapping}
)

func listOf(element shape) shape         { return shape{sort: sortList, element: &element} }
func mapOf(element shape) shape          { return shape{sort: sortMapping, element: &element} }
func oneOf(values ...string) shape       { return shape{sort: sortText, values: values} }
func (s shape) String() string           { return s.describe() }
func isNull(node *yaml.Node) bool        { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }
func hasTag(n *yaml.Node, t string) bool { return n.Kind == yaml.ScalarNode && n.Tag == t }

// describe names the shape as an error does.
func (s shape) describe() string {
	switch s.sort {
	case sortText:
		return "a string"
	case sortInteger:
		return "a whole number"
	case sortList:
		if s.element != nil && s.element.sort == sortText {
			return "a list of strings"
		}
		return "a list"
	case sortMapping:
		if s.element != nil && s.element.sort == sortText {
			return "a mapping of strings"
		}
		return "a mapping"
	default:
		return "a value"
	}
}

// describeNode names what a value is, as an error does.
func describeNode(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the truth value " + node.Value
	case "!!int", "!!float":
		return "the number " + node.Value
	default:
		return strconv.Quote(node.Value)
	}
}

// check calls report with each place below node (at path) whose value does not fit the shape. An empty string stands for
// "not set" everywhere, as in MicroShift, and fits every list of allowed strings.
func (s shape) check(path string, node *yaml.Node, report func(path string, node *yaml.Node, message string)) {
	wrong := func() {
		message := fmt.Sprintf("must be %s, not %s", s.describe(), describeNode(node))
		if s.sort == sortText && (hasTag(node, "!!int") || hasTag(node, "!!float") || hasTag(node, "!!bool")) {
			message += fmt.Sprintf(" (put it in quotes: %q)", node.Value)
		}
		report(path, node, message)
	}
	switch s.sort {
	case sortText:
		// Timestamps and binary are strings that look like something else to YAML only.
		if node.Kind != yaml.ScalarNode || hasTag(node, "!!int") || hasTag(node, "!!float") || hasTag(node, "!!bool") ||
			hasTag(node, "!!null") {
			wrong()
			return
		}
		if len(s.values) > 0 && node.Value != "" && !contains(s.values, node.Value) {
			report(path, node, fmt.Sprintf("must be one of %s, not %q", quotedList(s.values), node.Value))
		}
	case sortInteger:
		if !hasTag(node, "!!int") {
			wrong()
			return
		}
		var number int
		if err := node.Decode(&number); err != nil {
			report(path, node, fmt.Sprintf("%s is too large", node.Value))
		}
	case sortList:
		if node.Kind != yaml.SequenceNode {
			wrong()
			return
		}
		for i, item := range node.Content {
			if s.element != nil {
				s.element.check(fmt.Sprintf("%s[%d]", path, i), item, report)
			}
		}
	case sortMapping:
		if node.Kind != yaml.MappingNode {
			wrong()
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if s.element != nil {
				s.element.check(path+"."+node.Content[i].Value, node.Content[i+1], report)
			}
		}
	}
}

func contains(values []string, value string) bool {
	for _, candidate := range values {
		if candidate == value {
			return true
		}
	}
	return false
}

// quotedList words the allowed values, leaving out the empty one.
func quotedList(values []string) string {
	var quoted []string
	for _, value := range values {
		if value != "" {
			quoted = append(quoted, value)
		}
	}
	return strings.Join(quoted, ", ")
}

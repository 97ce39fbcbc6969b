package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// File is the file's path; empty when the value comes from no file.
	File string
	// Line counts from 1; 0 when no line can be named.
	Line int
	// Key is the full path of the key, such as "apiServer.tls.minVersion"; empty when it is about the file.
	Key string
	// Message says what is wrong.
	Message string
	// Nearest is the valid key that was probably meant, for an unknown one.
	Nearest string
}

// String is the problem in one line: file:line: key: message (did you mean …?).
func (p Problem) String() string {
	var text strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&text, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		fmt.Fprintf(&text, "%s: ", p.File)
	}
	if p.Key != "" {
		text.WriteString(p.Key + ": ")
	}
	text.WriteString(p.Message)
	if p.Nearest != "" {
		fmt.Fprintf(&text, " (did you mean %s?)", p.Nearest)
	}
	return text.String()
}

// Error is all that is wrong with the configuration, in the order of the files.
type Error struct {
	// Problems has at least one element.
	Problems []Problem
}

// Error is all problems in one line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return "invalid configuration: " + strings.Join(lines, "; ")
}

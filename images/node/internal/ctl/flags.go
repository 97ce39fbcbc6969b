package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// errHelp says that the user asked what a command does.
var errHelp = errors.New("")

// flags parses a command's arguments: flags and others in any order, "--" ends the flags.
type flags struct {
	set *flag.FlagSet
}

func newFlags() *flags {
	set := flag.NewFlagSet("sandbarctl", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return &flags{set: set}
}

// output adds --output, which is table or json, with its default.
func (f *flags) output(format outputFormat) *outputFormat {
	f.set.Var(&format, "output", "")
	f.set.Var(&format, "o", "")
	return &format
}

// timeout adds --timeout; 0 means none.
func (f *flags) timeout() *time.Duration { return f.set.Duration("timeout", 0, "") }

// untilEOF adds --until-eof: a command that would go on for ever ends with its standard input. Engines do not end a program
// whose client went away, but they close its input.
func (f *flags) untilEOF() *bool { return f.set.Bool("until-eof", false, "") }

// untilEOF returns a context that ends with the input, if wanted.
func untilEOF(ctx context.Context, wanted bool, input io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if wanted {
		go func() {
			// An input that cannot be read has ended as well.
			_, _ = io.Copy(io.Discard, input)
			cancel()
		}()
	}
	return ctx, cancel
}

// parse returns the arguments that are no flags, of which there must be least to most (-1: any number).
func (f *flags) parse(arguments []string, least, most int) ([]string, error) {
	var others []string
	for len(arguments) > 0 {
		if err := f.set.Parse(arguments); errors.Is(err, flag.ErrHelp) {
			return nil, errHelp
		} else if err != nil {
			return nil, &usageError{strings.Replace(err.Error(), "but not defined: -", "but not defined: --", 1)}
		}
		rest := f.set.Args()
		if consumed := len(arguments) - len(rest); consumed > 0 && arguments[consumed-1] == "--" {
			others = append(others, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		others, arguments = append(others, rest[0]), rest[1:]
	}
	switch {
	case len(others) < least:
		return nil, &usageError{"an argument is missing; see `sandbarctl help`"}
	case most >= 0 && len(others) > most:
		return nil, &usageError{fmt.Sprintf("the argument %q is one too many", others[most])}
	}
	return others, nil
}

// outputFormat is table or json.
type outputFormat string

const (
	table  outputFormat = "table"
	asJSON outputFormat = "json"
)

// String is the format's name.
func (o *outputFormat) String() string { return string(*o) }

// Set accepts the two formats.
func (o *outputFormat) Set(value string) error {
	*o = outputFormat(value)
	if *o != table && *o != asJSON {
		return errors.New("it must be table or json")
	}
	return nil
}

func (o *outputFormat) json() bool { return *o == asJSON }

// list is a flag that may be given several times.
type list []string

// String joins the values.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds a value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// printJSON writes a value as one line.
func printJSON(to io.Writer, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return print(to, "%s\n", content)
}

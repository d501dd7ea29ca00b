package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Pos is a place in a file. Line and Column count from 1; a zero Line means
// that the place is not known.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String returns "FILE:LINE", or "FILE" when the line is not known.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Diagnostic is one problem of a file. Message is one sentence that never
// holds the value of an attribute.
type Diagnostic struct {
	Pos     Pos
	Message string
}

// Error returns "FILE:LINE: MESSAGE", or the message alone if it is about
// something that is in no file.
func (d Diagnostic) Error() string {
	if d.Pos == (Pos{}) {
		return d.Message
	}
	return d.Pos.String() + ": " + d.Message
}

// Diagnostics are all problems of one file, and the error of this package.
type Diagnostics []Diagnostic

// Error returns the problems, one per line.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// add appends a problem at a range of the file.
func (ds *Diagnostics) add(r hcl.Range, format string, args ...any) {
	*ds = append(*ds, Diagnostic{Pos: pos(r), Message: fmt.Sprintf(format, args...)})
}

// addHCL appends what the HCL library found.
func (ds *Diagnostics) addHCL(found hcl.Diagnostics) {
	for _, d := range found {
		if d.Severity != hcl.DiagError {
			continue
		}
		var r hcl.Range
		if d.Subject != nil {
			r = *d.Subject
		}
		message := strings.TrimSuffix(d.Summary, ".")
		if d.Detail != "" {
			message += ": " + d.Detail
		}
		*ds = append(*ds, Diagnostic{Pos: pos(r), Message: oneLine(message)})
	}
}

// err returns nil without problems: a nil Diagnostics in an error interface
// would not equal nil.
func (ds Diagnostics) err() error {
	if len(ds) == 0 {
		return nil
	}
	return ds
}

func pos(r hcl.Range) Pos {
	return Pos{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// newTable makes columns of what is written with tabs between, once it is flushed.
func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

// listing is how the items of a list are printed.
type listing[T any] struct {
	header string // of the table, with tabs between
	row    func(table io.Writer, item T)
	none   string // what is printed if there are none
}

// print prints the items that list hands out: as a table, or as one JSON object
// per line. It returns the error of list, too.
func (l listing[T]) print(cmd *cobra.Command, asJSON bool, list func(each func(T) error) error) error {
	out := cmd.OutOrStdout()
	if asJSON {
		encoder := json.NewEncoder(out)
		return list(func(item T) error { return encoder.Encode(item) })
	}
	table, empty := newTable(out), true
	err := list(func(item T) error {
		if empty {
			fmt.Fprintln(table, l.header)
			empty = false
		}
		l.row(table, item)
		return nil
	})
	if err != nil {
		return err
	}
	if empty {
		fmt.Fprintln(cmd.ErrOrStderr(), asTyped(cmd, l.none))
	}
	return table.Flush()
}

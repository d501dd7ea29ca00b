package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A colour of a terminal. All are written with as many characters, so that cells of a
// table stay in line if each of a column has one.
type colour string

const (
	plainColour colour = "00"
	red         colour = "31"
	green       colour = "32"
	yellow      colour = "33"
)

// palette paints, or does not.
type palette bool

// colourOf returns how to write to w: in colour at a terminal, unless NO_COLOR is set
// (https://no-color.org) or the terminal has none.
func colourOf(w io.Writer, env lookupEnv) palette {
	if value, _ := env("NO_COLOR"); value != "" {
		return false
	}
	if value, _ := env("TERM"); value == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return palette(ok && term.IsTerminal(int(f.Fd())))
}

// paint returns the text in a colour.
func (p palette) paint(c colour, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// state paints the word for a state: red is what needs a person, yellow what waits.
func (p palette) state(text string) string {
	word, _, _ := strings.Cut(text, ",")
	switch {
	case slices.Contains([]string{"ok", "ready", "delivered", "active", "yes"}, word):
		return p.paint(green, text)
	case slices.Contains([]string{"failing", "failed", "dead", "damaged", "no", "revoked", "deleted"}, word):
		return p.paint(red, text)
	case slices.Contains([]string{"waiting", "held", "pending", "rebuilding", "paused", "syncing", "queued"}, word):
		return p.paint(yellow, text)
	}
	return p.paint(plainColour, text)
}

// header paints the head of a column whose cells are painted.
func (p palette) header(word string) string { return p.paint(plainColour, word) }

// noColourAnnotation is on the root if the environment wants no colours.
const noColourAnnotation = "no-colour"

// bindColour has the commands below root know whether the environment wants colours.
func bindColour(root *cobra.Command, env lookupEnv) {
	for _, name := range []string{"NO_COLOR", "TERM"} {
		if value, _ := env(name); name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb" {
			root.Annotations = map[string]string{noColourAnnotation: "true"}
		}
	}
}

// coloursOf returns how a command writes to its output.
func coloursOf(cmd *cobra.Command) palette {
	if cmd.Root().Annotations[noColourAnnotation] != "" {
		return false
	}
	return colourOf(cmd.OutOrStdout(), func(string) (string, bool) { return "", false })
}

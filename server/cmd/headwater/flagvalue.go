package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// setFlag sets a flag to texts, as the command line would. The error says in words what
// the flag takes, and not what Go's parsers say.
func setFlag(flags *pflag.FlagSet, name string, texts []string) error {
	for _, text := range texts {
		if err := flags.Set(name, text); err != nil {
			return badValue(flags.Lookup(name), text, err)
		}
	}
	return nil
}

// badValue says what a flag takes in place of a text.
func badValue(f *pflag.Flag, text string, cause error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](cause); ok {
		cause = wrong.Unwrap()
	}
	switch f.Value.Type() {
	case "bool":
		return fmt.Errorf("%q is neither true nor false", text)
	case "int", "int64", "uint", "uint64":
		return fmt.Errorf("%q is no whole number that fits; write one like 20", text)
	case "float64":
		return fmt.Errorf("%q is no number; write one like 0.5", text)
	case "duration":
		return fmt.Errorf("%q is no duration; write one like 90s, 30m, 24h or 7d", text)
	}
	return cause
}

// repeats reports whether a flag takes several values.
func repeats(f *pflag.Flag) bool {
	_, ok := f.Value.(pflag.SliceValue)
	return ok
}

// flagError words what is wrong with a command line's flags.
func flagError(cmd *cobra.Command, err error) error {
	next := "see: " + cmd.CommandPath() + " --help"
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := wrong.GetFlag()
		return usagef(next, "bad value of --%s: %v", f.Name, badValue(f, wrong.GetValue(), err))
	}
	return usagef(next, "%v", err)
}

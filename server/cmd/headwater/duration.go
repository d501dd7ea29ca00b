package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
)

// lifeFlag is a flag for a duration that also takes days: 90s, 24h, 7d, 1d12h.
type lifeFlag struct{ value *time.Duration }

var _ pflag.Value = lifeFlag{}

// bindLife adds such a flag.
func bindLife(f *pflag.FlagSet, value *time.Duration, name string, absent time.Duration, usage string) {
	*value = absent
	f.Var(lifeFlag{value}, name, usage)
}

// String writes the duration as Go does.
func (l lifeFlag) String() string {
	if l.value == nil {
		return ""
	}
	return l.value.String()
}

// Type is what the help says.
func (lifeFlag) Type() string { return "duration" }

// Set reads the text of a flag.
func (l lifeFlag) Set(text string) error {
	parsed, err := core.ParseDuration(text)
	if err == nil {
		*l.value = parsed
	}
	return err
}

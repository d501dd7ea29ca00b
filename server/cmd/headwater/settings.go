package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

const (
	// settingsFlag names the file with values of flags.
	settingsFlag = "settings"
	// defaultSettings is read where nothing names another file, if it is there. The
	// folder that a command is run in is not looked at: what lies there may be of
	// somebody else, and would say where tokens go.
	defaultSettings = "/etc/headwater/headwater.hcl"
)

// withDefaultSettings adds the usual settings file to an environment that names none.
func withDefaultSettings(env lookupEnv) lookupEnv {
	return func(name string) (string, bool) {
		value, ok := env(name)
		if ok || name != envName(settingsFlag) {
			return value, ok
		}
		if _, err := os.Stat(defaultSettings); err != nil {
			return "", false
		}
		return defaultSettings, true
	}
}

// applySettings sets the flags that the command line left alone: from the environment,
// and what that leaves alone from the settings file.
func applySettings(cmd *cobra.Command, env lookupEnv) error {
	markTyped(cmd)
	if err := applyEnv(cmd.Flags(), env); err != nil {
		return err
	}
	path, err := cmd.Flags().GetString(settingsFlag)
	if err != nil || path == "" {
		return err
	}
	return applyFile(cmd, env, path)
}

// applyFile sets flags from a settings file. All of the file is checked, whatever
// command is run: a misspelt name or a wrong value must not wait for the command that it
// was for.
func applyFile(cmd *cobra.Command, env lookupEnv, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return wrapf(err, "name a file that can be read with --settings, or leave it out", "read the settings")
	}
	file, problems := hclparse.NewParser().ParseHCL(source, path)
	if problems.HasErrors() {
		return syntaxError(problems)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return fmt.Errorf("read the settings in %s: they are of another syntax than HCL's own", path)
	}
	// Values are tried on commands that nobody runs.
	r := settingsReader{path: path, values: map[string]map[string][]string{}}
	if err := r.read(newRoot(env), body); err != nil {
		return err
	}
	// What stands nearest to the command goes first.
	for c := cmd; c != nil; c = c.Parent() {
		for name, texts := range r.values[c.CommandPath()] {
			if f := cmd.Flags().Lookup(name); f == nil || f.Changed {
				continue
			}
			if err := setFlag(cmd.Flags(), name, texts); err != nil {
				return usagef("correct it in "+path, "bad value of %s: %v", attributeName(name), err)
			}
		}
	}
	return nil
}

// syntaxError shows the first problem of a file that is no HCL, with its line.
func syntaxError(problems hcl.Diagnostics) error {
	for _, p := range problems {
		if p.Severity == hcl.DiagError && p.Subject != nil {
			return usagef(settingsHelp, "%s (%s, line %d): %s", p.Summary, p.Subject.Filename, p.Subject.Start.Line, p.Detail)
		}
	}
	return problems
}

// settingsHelp is the next step where there is no better one.
const settingsHelp = "see docs/configuration.md for what a settings file may hold"

// settingsReader reads a settings file.
type settingsReader struct {
	path   string
	values map[string]map[string][]string // of flags, by the path of the command
}

// wrong is an error with the line that it is about.
func (r settingsReader) wrong(at hcl.Range, next, format string, args ...any) error {
	return usagef(next, "%s, line %d: %s", r.path, at.Start.Line, fmt.Sprintf(format, args...))
}

// read reads a body: at the top, the flags of any command; in a block with the name of a
// command, those of that command and of what is below it. A name may be both.
func (r settingsReader) read(cmd *cobra.Command, body *hclsyntax.Body) error {
	flags, commands := settingsOf(cmd)
	values := map[string][]string{}
	r.values[cmd.CommandPath()] = values
	for _, a := range byLine(body.Attributes) {
		of := flags[a.Name]
		if len(of) == 0 {
			return r.unknown(a.NameRange, "setting", a.Name, slices.Collect(maps.Keys(flags)), cmd)
		}
		texts, err := r.texts(a, of)
		if err != nil {
			return err
		}
		values[of[0].Name] = texts
	}
	seen := map[string]bool{}
	for _, b := range body.Blocks {
		sub := commands[b.Type]
		switch {
		case sub == nil:
			return r.unknown(b.TypeRange, "block", b.Type, slices.Collect(maps.Keys(commands)), cmd)
		case len(b.Labels) > 0:
			return r.wrong(b.LabelRanges[0], settingsHelp, "a block has the name of a command and no other: %s { ... }", b.Type)
		case seen[b.Type]:
			return r.wrong(b.TypeRange, "put both into one", "there is a second block %s; there may be one", b.Type)
		}
		seen[b.Type] = true
		if err := r.read(sub, b.Body); err != nil {
			return err
		}
	}
	return nil
}

// byLine returns attributes in the order of the file.
func byLine(attributes hclsyntax.Attributes) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(attributes), func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte)
	})
}

// settingsOf returns what a body for a command may hold: the flags of the command and of
// what is below it, of which several may have one name, and the commands of its blocks.
func settingsOf(cmd *cobra.Command) (flags map[string][]*pflag.Flag, commands map[string]*cobra.Command) {
	flags, commands = map[string][]*pflag.Flag{}, map[string]*cobra.Command{}
	var collect func(c *cobra.Command)
	collect = func(c *cobra.Command) {
		add := func(f *pflag.Flag) {
			name := attributeName(f.Name)
			if inSettings(f.Name) && !slices.Contains(flags[name], f) {
				flags[name] = append(flags[name], f)
			}
		}
		c.Flags().VisitAll(add)
		c.PersistentFlags().VisitAll(add)
		c.InheritedFlags().VisitAll(add)
		for _, sub := range c.Commands() {
			collect(sub)
		}
	}
	collect(cmd)
	for _, sub := range cmd.Commands() {
		commands[attributeName(sub.Name())] = sub
	}
	return flags, commands
}

// unknown refuses a name that may not stand in a body, and names the one that was meant
// if one is near, or where it may stand.
func (r settingsReader) unknown(at hcl.Range, what, name string, known []string, cmd *cobra.Command) error {
	place := "at the top"
	if cmd.HasParent() {
		place = "in the block of " + cmd.CommandPath()
	}
	next := settingsHelp
	if what == "setting" && !inSettings(flagName(name)) {
		next = "give --" + flagName(name) + " on the command line, each time"
	} else if near := nearest(name, known); near != "" {
		next = "did you mean: " + near
	} else if flags, _ := settingsOf(cmd.Root()); what == "setting" && len(flags[name]) > 0 {
		next = "put it at the top, or into the block of a command that has --" + flagName(name)
	}
	return r.wrong(at, next, "there is no %s %s %s", what, name, place)
}

// nearest returns the word that a misspelt one was meant for, "" if none is near enough: of
// its letters a third may differ, two at most and one in any case.
func nearest(word string, known []string) string {
	best, most := "", max(1, min(2, len(word)/3))
	slices.Sort(known)
	for _, k := range known {
		if d := levenshtein.Distance(word, k, nil); d <= most {
			best, most = k, d-1
		}
	}
	return best
}

// inSettings reports whether a flag may stand in a settings file. What a person confirms
// is said each time.
func inSettings(flag string) bool {
	switch flag {
	case "help", "version", "yes", settingsFlag:
		return false
	}
	return true
}

// attributeName is the name of a flag or command in a settings file, and flagName the way
// back.
func attributeName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func flagName(attribute string) string { return strings.ReplaceAll(attribute, "_", "-") }

// texts returns the value of a setting as the texts that its flags are set to, which are
// tried on all of them.
func (r settingsReader) texts(a *hclsyntax.Attribute, flags []*pflag.Flag) ([]string, error) {
	value, problems := a.Expr.Value(nil)
	if problems.HasErrors() {
		return nil, r.wrong(a.SrcRange, "write a text in double quotes, a number, true or false, or a list of them", "the value of %s is none: %s", a.Name, problems[0].Detail)
	}
	const takes = "a setting is a text, a number, true or false, or a list of them"
	items, list := []cty.Value{value}, false
	if t := value.Type(); !value.IsNull() && (t.IsTupleType() || t.IsListType()) {
		items, list = value.AsValueSlice(), true
	}
	var texts []string
	for _, item := range items {
		if item.IsNull() {
			return nil, r.wrong(a.SrcRange, "leave the setting out to have the default", "%s is null; %s", a.Name, takes)
		}
		text, err := convert.Convert(item, cty.String)
		if err != nil {
			return nil, r.wrong(a.SrcRange, settingsHelp, "%s is none of these: %s", a.Name, takes)
		}
		texts = append(texts, text.AsString())
	}
	for _, f := range flags {
		if list && !repeats(f) {
			return nil, r.wrong(a.SrcRange, "write one value, without brackets", "%s takes one value and not a list", a.Name)
		}
		for _, text := range texts {
			if err := f.Value.Set(text); err != nil {
				return nil, r.wrong(a.SrcRange, "correct it in the file", "bad value of %s: %v", a.Name, badValue(f, text, err))
			}
		}
	}
	return texts, nil
}

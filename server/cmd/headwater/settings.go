package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
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
	return applyFile(cmd, path)
}

// applyFile sets flags from a settings file. All of the file is checked, whatever
// command is run: a misspelt name must not wait for the command that it was for.
func applyFile(cmd *cobra.Command, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return wrapf(err, "name a file that can be read with --settings, or leave it out", "read the settings")
	}
	file, problems := hclparse.NewParser().ParseHCL(source, path)
	if problems.HasErrors() {
		return settingsError(problems)
	}
	values := map[*cobra.Command]map[string][]string{}
	if problems := readSettings(cmd.Root(), file.Body, values); problems.HasErrors() {
		return settingsError(problems)
	}
	// What stands nearest to the command goes first.
	for c := cmd; c != nil; c = c.Parent() {
		for name, texts := range values[c] {
			if err := setFromFile(cmd.Flags(), name, texts); err != nil {
				return usagef("correct it in "+path, "bad value of %s: %v", attributeName(name), err)
			}
		}
	}
	return nil
}

// setFromFile sets a flag that nothing has set, if the command has it.
func setFromFile(flags *pflag.FlagSet, name string, texts []string) error {
	f := flags.Lookup(name)
	if f == nil || f.Changed {
		return nil
	}
	for _, text := range texts {
		if err := flags.Set(name, text); err != nil {
			return err
		}
	}
	return nil
}

// settingsError shows the first problem of a settings file, which names its line.
func settingsError(problems hcl.Diagnostics) error {
	for _, p := range problems {
		if p.Severity != hcl.DiagError {
			continue
		}
		where := ""
		if p.Subject != nil {
			where = fmt.Sprintf(" (%s, line %d)", p.Subject.Filename, p.Subject.Start.Line)
		}
		next := "see docs/configuration.md for what a settings file may hold"
		if _, hint, ok := strings.Cut(p.Detail, "Did you mean "); ok {
			next = "did you mean: " + strings.TrimSuffix(strings.Trim(hint, "\""), "\"?")
		}
		return usagef(next, "%s%s: %s", p.Summary, where, p.Detail)
	}
	return problems
}

// readSettings reads a body: at the top, the flags of any command; in a block with the
// name of a command, those of that command and of what is below it.
func readSettings(cmd *cobra.Command, body hcl.Body, into map[*cobra.Command]map[string][]string) hcl.Diagnostics {
	schema, below := settingsSchema(cmd)
	content, problems := body.Content(schema)
	if problems.HasErrors() {
		return problems
	}
	values := map[string][]string{}
	into[cmd] = values
	for name, attribute := range content.Attributes {
		texts, ps := settingTexts(attribute)
		problems = append(problems, ps...)
		values[strings.ReplaceAll(name, "_", "-")] = texts
	}
	seen := map[string]bool{}
	for _, block := range content.Blocks {
		if seen[block.Type] {
			problems = append(problems, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Block is there twice", Detail: "There may be one block " + block.Type + " here.", Subject: &block.DefRange,
			})
			continue
		}
		seen[block.Type] = true
		problems = append(problems, readSettings(below[block.Type], block.Body, into)...)
	}
	return problems
}

// settingsSchema says what a body for a command may hold.
func settingsSchema(cmd *cobra.Command) (*hcl.BodySchema, map[string]*cobra.Command) {
	schema, below := &hcl.BodySchema{}, map[string]*cobra.Command{}
	flags := map[string]bool{}
	var collect func(c *cobra.Command)
	collect = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if inSettings(f.Name) {
				flags[attributeName(f.Name)] = true
			}
		})
		for _, sub := range c.Commands() {
			collect(sub)
		}
	}
	collect(cmd)
	for name := range flags {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	for _, sub := range cmd.Commands() {
		if name := attributeName(sub.Name()); !flags[name] {
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name})
			below[name] = sub
		}
	}
	return schema, below
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

// attributeName is the name of a flag or command in a settings file.
func attributeName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// settingTexts returns the value of an attribute as the texts that a flag is set to.
func settingTexts(a *hcl.Attribute) ([]string, hcl.Diagnostics) {
	value, problems := a.Expr.Value(nil)
	if problems.HasErrors() {
		return nil, problems
	}
	wrong := func(err error) hcl.Diagnostics {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Unsuitable value", Subject: a.Expr.Range().Ptr(),
			Detail: fmt.Sprintf("%s takes a text, a number, true or false, or a list of them: %v.", a.Name, err),
		}}
	}
	items := []cty.Value{value}
	if t := value.Type(); !value.IsNull() && (t.IsTupleType() || t.IsListType()) {
		items = value.AsValueSlice()
	}
	var texts []string
	for _, item := range items {
		if item.IsNull() {
			return nil, wrong(errors.New("null is none"))
		}
		text, err := convert.Convert(item, cty.String)
		if err != nil {
			return nil, wrong(err)
		}
		texts = append(texts, text.AsString())
	}
	return texts, nil
}

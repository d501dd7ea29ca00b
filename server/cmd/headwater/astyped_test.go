package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// A command that is printed as the next one has the flags that were typed, where it
// takes them, so that it works as it is printed.
func TestAsTyped(t *testing.T) {
	t.Parallel()
	var ran *cobra.Command
	root := newRoot(envOf(map[string]string{"HEADWATER_CA_FILE": "from-the-environment"}))
	show, _, err := root.Find([]string{"repo", "show"})
	require.NoError(t, err)
	show.RunE = func(cmd *cobra.Command, _ []string) error {
		ran = cmd
		return nil
	}
	root.SetArgs([]string{"repo", "show", "two words", "--data", "my data", "--org", "acme"})
	require.NoError(t, root.ExecuteContext(t.Context()))
	const flags = "--data 'my data' --org acme"
	for text, want := range map[string]string{
		"Watch it: headwater repo show 'two words'":                   "Watch it: headwater repo show " + flags + " 'two words'",
		"say go on: headwater repo rebuild a/b, or headwater status.": "say go on: headwater repo rebuild " + flags + " a/b, or headwater status --data 'my data'.",
		"see: headwater org list":                                     "see: headwater org list --data 'my data'",
		"see (headwater org list)":                                    "see (headwater org list --data 'my data')",
		"headwater repo show a --org other":                           "headwater repo show --data 'my data' a --org other",
		"start one: headwater serve --data x, or":                     "start one: headwater serve --data x, or",
		"headwater restore BACKUP into an empty folder":               "headwater restore BACKUP into an empty folder",
		"then headwater restore confirm":                              "then headwater restore confirm --data 'my data'",
		"see: headwater provider list":                                "see: headwater provider list",
		"helper=!/usr/bin/headwater git-credential":                   "helper=!/usr/bin/headwater git-credential",
		"the headwater user":                                          "the headwater user",
		"one\nheadwater repo list\n":                                  "one\nheadwater repo list " + flags + "\n",
	} {
		require.Equal(t, want, asTyped(ran, text))
	}
}

// The next step of an error is printed like that, and so is the one of an answer.
func TestAsTyped_isPrinted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "my data")
	var out bytes.Buffer
	code := execute(t.Context(), noEnv, &out, []string{"repo", "show", "a/b", "--data", dir})
	require.Equal(t, 1, code)
	require.Contains(t, out.String(), "headwater serve --data '"+dir+"'")

	s := startServer(t, "")
	said, err := s.cli(t, "org", "add", "acme")
	require.NoError(t, err)
	require.Contains(t, said, "headwater org key add --data "+string(s.dir)+" acme --generate acme.pem")
}

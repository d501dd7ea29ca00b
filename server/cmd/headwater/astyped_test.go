package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
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

// A name that begins with a dash is printed so that it is not read as a flag.
func TestAsTyped_namesWithADash(t *testing.T) {
	t.Parallel()
	host := func(w http.ResponseWriter, r *http.Request) {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		var answer any
		switch path := r.URL.Path; {
		case strings.Contains(path, "/rewrites/"):
			answer = rest.Rewrite{ID: "rw_1", State: "retained", Ref: "refs/heads/main", CreatedAt: at}
		case strings.Contains(path, "/mirror-sets"):
			answer = rest.MirrorSet{ID: "mset_1", Entries: []rest.MirrorEntry{{
				Action: string(core.MirrorCreate), Name: "-x", Path: "-x", Class: rest.SyncErrorClassAuth, Error: "the host refuses the credential",
			}}}
		default:
			answer = rest.Repository{RepoName: "-x", Sync: &rest.Sync{State: "paused", PausedAt: &at}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
	server := httptest.NewServer(http.HandlerFunc(host))
	t.Cleanup(server.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	_, err := publicKey(nil, key)
	require.NoError(t, err)
	typed := []string{"--server", server.URL, "--org", "acme", "--key", key}
	flags := strings.Join(typed, " ")
	for want, args := range map[string][]string{
		"next            follow the upstream again: headwater repo resume " + flags + " -- -x":    {"repo", "show"},
		"Make the old tip a branch: headwater rewrite restore " + flags + " -- -x rw_1 BRANCH":    {"rewrite", "show"},
		"next: store a credential that can read it: headwater credential set " + flags + " -- -x": {"mirror-set", "show"},
	} {
		args = append(args, typed...)
		switch args[0] {
		case "repo":
			args = append(args, "--", "-x")
		case "rewrite":
			args = append(args, "--", "-x", "rw_1")
		default:
			args = append(args, "mset_1")
		}
		out, _, err := runCLI(t, noEnv, args...)
		require.NoError(t, err)
		require.Contains(t, out, want)
	}
	require.Equal(t, "headwater credential set --data d --org acme --key FILE -- -x",
		giveAgain(core.LostSecret{Org: "acme", Name: "-x"}, "d"))
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

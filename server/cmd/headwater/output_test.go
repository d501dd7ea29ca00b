package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// TestJSON_everyCommand: a command prints JSON, or is in the list of those that do not.
func TestJSON_everyCommand(t *testing.T) {
	t.Parallel()
	exempt := speaksNoJSON()
	walk(newRoot(noEnv), func(cmd *cobra.Command) {
		path := pathBelowRoot(cmd)
		if exempt[path] != "" || !cmd.HasParent() || isGroup(cmd) {
			return
		}
		require.NotNil(t, cmd.Flags().Lookup("json"), path)
	})
}

// TestJSON_isAll runs commands of each kind against a server: all that --json prints is
// JSON, one value a line, and the sentences are gone.
func TestJSON_isAll(t *testing.T) {
	t.Parallel()
	dir := dataDir(t.TempDir())
	s := startServer(t, dir)
	key := filepath.Join(t.TempDir(), "acme.pem")
	secret := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("a.b.c"), 0o600))
	run := func(args ...string) []map[string]any {
		t.Helper()
		out, err := s.cli(t, append(args, "--json")...)
		require.NoError(t, err, args)
		var all []map[string]any
		for d := json.NewDecoder(strings.NewReader(out)); ; {
			var one map[string]any
			if err := d.Decode(&one); err == io.EOF {
				return all
			} else {
				require.NoError(t, err, "%v printed %s", args, out)
			}
			all = append(all, one)
		}
	}
	first := func(args ...string) map[string]any {
		t.Helper()
		all := run(args...)
		require.NotEmpty(t, all, args)
		return all[0]
	}
	require.Equal(t, "team/app", first("repo", "create", "team/app")["repo_name"])
	require.Equal(t, "team/app", first("repo", "list")["repo_name"])
	require.Equal(t, "team/app", first("repo", "show", "team/app")["repo_name"])
	require.Contains(t, first("repo", "rebuild", "team/app"), "repo_name")
	require.NotEmpty(t, first("token", "--repo", "team/app")["token"])
	require.NotEmpty(t, first("token", "rotate")["id"])
	require.Equal(t, "acme", first("org", "add", "acme")["name"])
	made := first("org", "key", "add", "acme", "--generate", key)
	require.Equal(t, "ES256", made["algorithm"])
	require.Equal(t, made["id"], first("org", "key", "list", "acme")["id"])
	require.Equal(t, "disabled", first("org", "key", "disable", "acme", made["id"].(string))["result"])
	require.Len(t, run("org", "list"), 2)
	require.Equal(t, "deleted", first("repo", "delete", "team/app", "--yes")["result"])
	require.Empty(t, run("repo", "list"))
	require.NotEmpty(t, first("credential", "reseal"))
	for _, args := range [][]string{{"version"}, {"provider", "list"}, {"token", "hash", "--token-file", secret}} {
		out, _, err := runCLI(t, noEnv, append(args, "--json")...)
		require.NoError(t, err, args)
		for line := range strings.Lines(out) {
			require.True(t, json.Valid([]byte(line)), "%v printed %s", args, line)
		}
	}
}

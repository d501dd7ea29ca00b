package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	rest "github.com/headwater-git/headwater/server/client"
)

// TestAudit_tellsWhoWroteWhat walks through a write of each kind on a real
// server: with a token over the API, with git, and by the command line beside it.
func TestAudit_tellsWhoWroteWhat(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	_, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile)
	require.NoError(t, err)
	_, err = s.cli(t, "org", "key", "add", "local", "--generate", filepath.Join(t.TempDir(), "second.pem"))
	require.NoError(t, err)

	clone := filepath.Join(t.TempDir(), "clone")
	push := func(scope string) error {
		token, err := s.cli(t, "token", "--repo", "river/delta", "--scope", scope, "--ttl", "1h", "--subject", "jo")
		require.NoError(t, err)
		url := strings.Replace(s.url, "://", "://t:"+strings.TrimSpace(token)+"@", 1) + "/river/delta.git"
		for _, args := range [][]string{
			{"init", "--quiet", clone}, {"-C", clone, "commit", "--quiet", "--allow-empty", "-m", "one"},
			{"-C", clone, "push", "--quiet", url, "HEAD:refs/heads/audited"},
		} {
			cmd := exec.CommandContext(t.Context(), "git", args...)
			cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
				"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Logf("%s", out)
				return err
			}
		}
		return nil
	}
	require.Error(t, push("git:read"))
	require.NoError(t, push("git:write"))

	out, err := s.cli(t, "audit", "river/delta", "--json")
	require.NoError(t, err)
	var entries []rest.AuditEntry
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var e rest.AuditEntry
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		entries = append(entries, e)
	}
	require.GreaterOrEqual(t, len(entries), 4)
	done, refused := entries[0], entries[1]
	require.Equal(t, "push ok jo 127.0.0.1", strings.Join([]string{done.Action, string(done.Outcome), done.Actor.Subject, done.Actor.RemoteAddr}, " "))
	require.Contains(t, done.Actor.UserAgent, "git/")
	require.NotEmpty(t, done.Actor.KeyID)
	require.Regexp(t, "^ggc_", done.Credential)
	require.Equal(t, "river", done.HostLogin)
	require.Len(t, done.Updates, 1)
	require.Equal(t, "refs/heads/audited", done.Updates[0].Ref)
	require.Equal(t, "push refused jo", strings.Join([]string{refused.Action, string(refused.Outcome), refused.Actor.Subject}, " "))
	require.Contains(t, refused.Message, "git:write")

	out, err = s.cli(t, "audit")
	require.NoError(t, err)
	for _, want := range []string{
		`push +river/delta +ok +refs/heads/audited new\.\.[0-9a-f]{12}`, `credential.create +river/delta +ok +ggc_`, `repository.create +river/delta +ok`,
		`operator:\S+ +key.add +ok +key_`, `server +org.create +ok`,
	} {
		require.Regexp(t, want, out)
	}
	out, err = s.cli(t, "audit", "--action", "key.add", "--limit", "1")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out, "\n"), "a header and one entry")
	out, err = s.cli(t, "audit", "--actor", "nobody")
	require.NoError(t, err)
	require.NotContains(t, out, "WHEN")
	for _, args := range [][]string{{"audit", "a", "b"}, {"audit", "--limit", "0"}} {
		_, err = s.cli(t, args...)
		require.Error(t, err)
	}
}

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// newDataDir makes a data directory with a key pair and returns the public half.
func newDataDir(t *testing.T) (dir dataDir, public []byte) {
	t.Helper()
	dir = dataDir(t.TempDir())
	private, public, err := access.GenerateES256()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(dir.keyFile()), 0o700))
	require.NoError(t, os.WriteFile(dir.keyFile(), private, 0o600))
	return dir, public
}

// oneKey is a key source with a single organisation and key.
type oneKey struct{ key core.Key }

func (k oneKey) Keys(_ context.Context, org string) ([]core.Key, error) {
	if org != k.key.Org {
		return nil, nil
	}
	return []core.Key{k.key}, nil
}

// verify checks a token with the server's verifier.
func verify(t *testing.T, token string, org string, public []byte) access.Identity {
	t.Helper()
	algorithm, spki, err := access.ParsePublicKey(public)
	require.NoError(t, err)
	v := access.NewVerifier(oneKey{core.Key{ID: "key_1", Org: org, Algorithm: algorithm, PublicPEM: spki}}, core.SystemClock{})
	id, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	return id
}

func TestToken_printsTheTokenAlone(t *testing.T) {
	t.Parallel()
	dir, public := newDataDir(t)
	out, errs, err := runCLI(t, noEnv, "token", "--data", string(dir), "--repo", "team/app",
		"--scope", "git:write", "--scope", "repo:write", "--ttl", "90m", "--subject", "ci")
	require.NoError(t, err)
	require.Empty(t, errs)
	require.Equal(t, 1, strings.Count(out, "\n"))

	id := verify(t, strings.TrimSpace(out), localOrg, public)
	require.Equal(t, "team/app", id.Repo)
	require.Equal(t, "ci", id.Subject)
	require.Empty(t, cmp.Diff([]access.Scope{access.GitWrite, access.RepoWrite}, id.Scopes))
	require.WithinDuration(t, time.Now().Add(90*time.Minute), id.ExpiresAt, time.Minute)
}

func TestToken_anotherOrganisation(t *testing.T) {
	t.Parallel()
	dir, public := newDataDir(t)
	out, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_ORG": "acme", "HEADWATER_KEY": dir.keyFile()}),
		"token", "--repo", "org", "--scope", "org:read")
	require.NoError(t, err)
	require.Equal(t, "acme", verify(t, strings.TrimSpace(out), "acme", public).Org)
}

func TestToken_refPolicy(t *testing.T) {
	t.Parallel()
	dir, public := newDataDir(t)
	out, _, err := runCLI(t, noEnv, "token", "--data", string(dir), "--repo", "team/app", "--scope", "git:write",
		"--ref-policy", "agents/*=", "--ref-policy", "*=no-push")
	require.NoError(t, err)
	policy := verify(t, strings.TrimSpace(out), localOrg, public).Policy
	require.False(t, policy.Rule("refs/heads/agents/one").NoPush)
	require.True(t, policy.Rule("refs/heads/main").NoPush)

	for _, bad := range []string{"main", "=no-push", "main=no-delete", "ma*in=no-push"} {
		_, _, err := runCLI(t, noEnv, "token", "--data", string(dir), "--repo", "team/app", "--ref-policy", bad)
		require.Error(t, err, bad)
	}
}

func TestToken_missingKeySaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, _, err := runCLI(t, noEnv, "token", "--data", t.TempDir(), "--repo", "team/app")
	var step *stepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.next, "--data")
}

func TestGitCredential_get(t *testing.T) {
	t.Parallel()
	dir, public := newDataDir(t)
	_, err := dir.writeAddress("http://127.0.0.1:8080")
	require.NoError(t, err)
	for _, tc := range []struct {
		name, in, repo string
		args           []string
		want           access.Scope
	}{
		{name: "repository", in: "protocol=http\nhost=127.0.0.1:8080\npath=team/app.git\n\n", repo: "team/app", want: access.GitWrite},
		{name: "read only", in: "protocol=http\nhost=127.0.0.1:8080\npath=team/app.git\n\n", repo: "team/app", args: []string{"--read-only"}, want: access.GitRead},
		{name: "ephemeral", in: "protocol=http\nhost=127.0.0.1:8080\npath=team/app+ephemeral.git\n", repo: "team/app", want: access.GitWrite},
		{name: "import", in: "protocol=http\nhost=127.0.0.1:8080\npath=app+import.git\n", repo: "app", want: access.GitWrite},
		{name: "another name of loopback", in: "protocol=http\nhost=localhost:8080\npath=team/app.git\n\n", repo: "team/app", want: access.GitWrite},
		{name: "loopback of IPv6", in: "protocol=http\nhost=[::1]:8080\npath=team/app.git\n\n", repo: "team/app", want: access.GitWrite},
		{name: "of every script", in: "protocol=http\nhost=127.0.0.1:8080\npath=日本 語/a@b|c#d%2Fe+f g.git\n\n", repo: "日本 語/a@b|c#d%2Fe+f g", want: access.GitWrite},
		{name: "a colon in the URL", in: "protocol=http\nhost=127.0.0.1:8080\npath=%E6%97%A5/a%20b:c d%2Fe+ephemeral.git\n\n", repo: "日/a b:c d%2Fe", want: access.GitWrite},
		{name: "another port", in: "protocol=http\nhost=localhost:8081\npath=team/app.git\n\n"},
		{name: "another host", in: "protocol=http\nhost=git.example.org\npath=team/app.git\n\n"},
		{name: "another scheme", in: "protocol=https\nhost=127.0.0.1:8080\npath=team/app.git\n\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out, messages bytes.Buffer
			cmd := newRoot(noEnv)
			cmd.SetErr(&messages)
			cmd.SetArgs(append([]string{"git-credential", "get", "--data", string(dir)}, tc.args...))
			cmd.SetIn(strings.NewReader(tc.in))
			cmd.SetOut(&out)
			require.NoError(t, cmd.ExecuteContext(t.Context()))
			if tc.repo == "" {
				require.Empty(t, out.String())
				require.Contains(t, messages.String(), "this helper is for http://127.0.0.1:8080")
				return
			}
			require.Empty(t, messages.String())
			user, rest, ok := strings.Cut(strings.TrimSpace(out.String()), "\npassword=")
			require.True(t, ok)
			require.Equal(t, "username=t", user)
			id := verify(t, rest, localOrg, public)
			require.Equal(t, tc.repo, id.Repo)
			require.Empty(t, cmp.Diff([]access.Scope{tc.want}, id.Scopes))
		})
	}
}

func TestGitCredential_storeAndEraseKeepNothing(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"store", "erase", "capability"} {
		out, errs, err := runCLI(t, noEnv, "git-credential", word, "--data", t.TempDir())
		require.NoError(t, err)
		require.Empty(t, out+errs)
	}
}

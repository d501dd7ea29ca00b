package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/backup"
	rest "github.com/headwater-git/headwater/server/client"
)

// TestToken_issueAndRevoke goes the way of an operator: issue, use, find in the audit,
// revoke, list, rotate; then a backup and what its restore says of keys and revocations.
func TestToken_issueAndRevoke(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	must := func(args ...string) string {
		t.Helper()
		out, err := s.cli(t, args...)
		require.NoError(t, err)
		return out
	}
	must("repo", "create", "app")
	var issued rest.IssuedToken
	require.NoError(t, json.Unmarshal([]byte(must("token", "issue", "--repo", "app", "--operation", "gitFetch,getRepository", "--ttl", "10m",
		"--subject", "workspace", "--ref-policy", "main=no-push", "--json")), &issued))
	require.Equal(t, []string{"getRepository", "gitFetch"}, issued.Operations)
	require.Equal(t, []string{"git:read"}, issued.Scopes)
	clone := func(token string) error {
		_, err := gitAt(t, t.TempDir(), token, "ls-remote", s.url+"/app.git")
		return err
	}
	require.NoError(t, clone(issued.Token))

	plain := strings.TrimSpace(must("token", "issue", "--repo", "app", "--operation", "gitFetch", "--scope", "git:read"))
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(plain+"\n"), 0o600))
	hash, _, err := runCLI(t, noEnv, "token", "hash", "--token-file", file)
	require.NoError(t, err)
	require.Equal(t, access.Hash(plain), strings.TrimSpace(hash))
	require.Contains(t, must("audit", "--action", "token.issue", "--json"), issued.Jti)

	require.Empty(t, must("token", "revocations"))
	require.Contains(t, must("token", "revoke", "--token-file", file, "--reason", "in a log"), access.Hash(plain))
	require.Error(t, clone(plain))
	require.NoError(t, clone(issued.Token))
	must("token", "revoke", "--jti", issued.Jti, "--json")
	require.Error(t, clone(issued.Token))
	must("token", "revoke", "--subject", "jo", "--issued-before", "2020-01-02T03:04:05Z")
	require.Contains(t, must("token", "rotate"), "from now on")
	require.Contains(t, must("org", "key", "list", localOrg), "rotated, verifies until")
	must("token", "revoke", "--key-id", issued.Kid)
	listed := must("token", "revocations")
	for _, text := range []string{"in a log", issued.Jti, "tokens of jo issued until", "the key " + issued.KeyID} {
		require.Contains(t, listed, text)
	}

	for name, args := range map[string][]string{
		"no repository":   {"issue", "--operation", "gitFetch"},
		"no operation":    {"issue", "--repo", "app"},
		"more than a day": {"issue", "--repo", "app", "--operation", "gitFetch", "--ttl", "25h"},
		"unknown":         {"issue", "--repo", "app", "--operation", "gitfetch"},
		"two things":      {"revoke", "--jti", "a", "--subject", "b"},
		"nothing":         {"revoke"},
		"not a time":      {"revoke", "--subject", "b", "--issued-before", "yesterday"},
		"no such key":     {"revoke", "--key-id", "key_none"},
	} {
		_, err := s.cli(t, append([]string{"token"}, args...)...)
		require.Error(t, err, name)
	}
	pem := filepath.Join(t.TempDir(), "mine.pem")
	_, err = s.cli(t, "org", "key", "add", localOrg, "--kid", "headwater:mine", "--generate", pem)
	require.ErrorContains(t, err, "issues tokens")
	require.NoFileExists(t, pem)

	// A restore says which keys are live, whose they are, and what was revoked.
	saved, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "data")
	must("backup", saved)
	_, _, err = runCLI(t, noEnv, "restore", saved, "--data", restored)
	require.NoError(t, err)
	text, _, err := runCLI(t, noEnv, "restore", "review", "--data", restored)
	require.NoError(t, err)
	require.Contains(t, text, "the server's, of tokens that it issues")
	require.Contains(t, text, issued.Jti)
	raw, _, err := runCLI(t, noEnv, "restore", "review", "--data", restored, "--json")
	require.NoError(t, err)
	var review backup.Review
	require.NoError(t, json.Unmarshal([]byte(raw), &review))
	require.Len(t, review.Revocations, 4)
	require.Len(t, review.LiveKeys, 2)
	require.True(t, review.LiveKeys[1].Issuer)
	require.Equal(t, issued.KeyID, review.DisabledKeys[0].ID)
}

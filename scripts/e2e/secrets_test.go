package e2e

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A search that finds nothing proves nothing until it has been seen to find.

const plantedSecret = "e2e-planted-0123456789abcdef"

func TestVault_search_finds(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsb2NhbCIsInJlcG8iOiJhcHAifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
	pemText := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgabcdefghijklmnop\n-----END PRIVATE KEY-----\n"
	tests := []struct {
		name, text string
		want       int
	}{
		{name: "nothing", text: "an ordinary line of a log", want: 0},
		{name: "plain", text: "fatal: https://river:" + plantedSecret + "@host/", want: 1},
		{name: "HTTP Basic", text: "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("river:"+plantedSecret)), want: 1},
		{name: "base64", text: base64.StdEncoding.EncodeToString([]byte(plantedSecret)), want: 1},
		{name: "end of a secret", text: plantedSecret[4:], want: 0}, // too little of it
		{name: "line of a private key", text: `key="MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgabcdefghijklmnop"`, want: 1},
		{name: "token that was not planted", text: "bearer " + jwt, want: 1},
		{name: "token of an installation", text: "x ghs_0123456789abcdef0123456789abcdef01234567", want: 1},
		{name: "beginning of a token", text: "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9", want: 0},
	}
	v := newVault()
	v.add("planted", plantedSecret, "river")
	v.addPEM("key", pemText)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hits := v.search("text", []byte(tt.text))
			assert.Len(t, hits, tt.want)
			for _, hit := range hits {
				assert.NotContains(t, hit, plantedSecret)
			}
		})
	}
}

func TestVault_searchTree_finds(t *testing.T) {
	t.Parallel()
	v := newVault()
	v.add("planted", plantedSecret)
	root := t.TempDir()
	write := func(path string) string {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("\x00 some "+plantedSecret+"\n"), 0o600))
		return path
	}
	// Where secrets belong, they are no finding.
	write(filepath.Join(secretsDir, "pw"))
	write("data/keys/local.pem")
	require.Empty(t, v.searchTree(root))

	for _, path := range []string{"outputs.log", "data/repos/ab/cd/x.git/config", "data/headwater.db", "data/headwater.db-wal", "work/.git/config"} {
		file := write(path)
		hits := v.searchTree(root)
		require.Len(t, hits, 1, path)
		require.Contains(t, hits[0], path)
		require.NoError(t, os.Remove(file))
	}
}

func TestSampler_findsArguments(t *testing.T) {
	t.Parallel()
	s := startSampler(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// As short as a git process, and one after the other until one is seen.
	for !slices.ContainsFunc(s.snapshot(), func(line string) bool { return len(newVaultWith(plantedSecret).search("argv", []byte(line))) > 0 }) {
		require.NoError(t, ctx.Err(), "the sampler has not seen the process")
		require.NoError(t, exec.CommandContext(ctx, "sh", "-c", "sleep 0.02", plantedSecret).Run())
	}
	s.stop()
}

func newVaultWith(secret string) *vault {
	v := newVault()
	v.add("planted", secret)
	return v
}

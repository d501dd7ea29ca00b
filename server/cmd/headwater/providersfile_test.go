package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers/config"
)

// example reads the providers.hcl of the repository with every example
// uncommented: lines with two hash marks are prose.
func example(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "providers.hcl"))
	require.NoError(t, err)
	_, err = config.Parse("providers.hcl", raw, noEnv)
	require.NoError(t, err, "as it is, everything is commented out")
	return regexp.MustCompile(`(?m)^# ?([^#]|$)`).ReplaceAllString(string(raw), "$1")
}

// TestProvidersFile_examplesAreValid uncomments the examples and checks them
// as the server does, so that the file cannot teach what does not work.
func TestProvidersFile_examplesAreValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := selfSigned(dir, time.Now())
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "internal-ca.pem")))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "github-app.webhook-secret"), []byte("secret\n"), 0o600))
	cfg, err := config.Parse(filepath.Join(dir, "providers.hcl"), []byte(example(t)),
		func(name string) (string, bool) { return "value-of-" + name, true })
	require.NoError(t, err)
	builtins := builtin.All()
	for name, construct := range builtins {
		block := cfg.Instance(name)
		require.NotNil(t, block, "no block explains %s", name)
		require.NoError(t, block.CheckAttributes(construct().Manifest()))
		for _, a := range construct().Manifest().Attributes {
			require.Contains(t, example(t), a.Name, "the block of %s does not explain %s", name, a.Name)
		}
	}
	require.Len(t, cfg.Providers, len(builtins)+1, "the built-in providers and one plugin")
	for _, setting := range []string{"scheme", "allow_private", "ca_file", "api_url", "webhook_secret", "webhook_secrets", "max_concurrent"} {
		require.Regexp(t, `(?m)^ +`+setting+` += `, strings.ReplaceAll(example(t), "##", "  "), "no block explains %s", setting)
	}
}

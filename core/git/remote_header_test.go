package git

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/providers"
)

// headerForms are the two forms of a credential that is one header: the
// standard one, and one of a host's own.
func headerForms() []Remote {
	return []Remote{
		{Header: "Authorization", Password: "Bearer planted-header-token"},
		{Header: "X-Kiln-Token", Password: "planted-header-token"},
	}
}

// The header is in the environment of git and nowhere in its arguments.
func TestInvariant15_headerIsNotAnArgument(t *testing.T) {
	t.Parallel()
	g := scripted(t, "echo \"$@\"\nenv\n")
	for _, r := range headerForms() {
		r.URL = "https://host.example/x.git"
		out, err := g.Output(t.Context(), Command{Name: "fetch", Args: []string{r.URL}, Remote: &r})
		require.NoError(t, err)
		argv, environment, _ := strings.Cut(string(out), "\n")
		require.Equal(t, "fetch https://host.example/x.git", argv)
		require.Contains(t, environment, "=http.https://host.example/x.git.extraHeader")
		require.Contains(t, environment, "="+r.Header+": "+r.Password.Reveal())
	}
}

func TestRemote_secretsOfAHeader(t *testing.T) {
	t.Parallel()
	r := Remote{Header: "Authorization", Password: "Bearer planted-header-token"}
	require.False(t, r.Anonymous())
	require.Equal(t, "a [redacted] b", hosterror.Redact("a planted-header-token b", r.Secrets()...))
	require.True(t, r.SameCredential(r))
	require.False(t, r.SameCredential(Remote{Password: r.Password}))
	require.Equal(t, []providers.Secret{"p q"}, Remote{Username: "u", Password: "p q"}.Secrets(), "a password may have spaces")
}

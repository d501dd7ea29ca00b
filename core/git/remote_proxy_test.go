package git

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/hosterror"
)

// The proxy is in the environment of git as configuration, and nowhere in its
// arguments; without one, none of the machine's is used.
func TestInvariant15_proxyIsNotAnArgument(t *testing.T) {
	t.Parallel()
	g := scripted(t, "echo \"$@\"\nenv\n")
	r := Remote{URL: "https://host.example/x.git", Proxy: "http://egress:planted-proxy-password@proxy.example:3128"}
	out, err := g.Output(t.Context(), Command{Name: "fetch", Args: []string{r.URL}, Remote: &r})
	require.NoError(t, err)
	argv, environment, _ := strings.Cut(string(out), "\n")
	require.Equal(t, "fetch https://host.example/x.git", argv)
	require.Contains(t, environment, "="+r.Proxy.Reveal()+"\n")
	require.NotContains(t, environment, "127.0.0.1:1", "a proxy of the environment")
	require.NotContains(t, hosterror.Redact("x planted-proxy-password y http://egress:planted-proxy-password@proxy.example:3128", r.Secrets()...), "planted-proxy")

	r.Proxy = ""
	require.Contains(t, r.config(), Config{"http.proxy", ""})
}

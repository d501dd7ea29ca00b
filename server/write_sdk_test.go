package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/sdktest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestWrites_byThePublishedSDK runs every writing call of the TypeScript SDK,
// unchanged, over TLS, on a synced repository and, where there is time, on a local one:
// scripts/e2e/sdk has every call on both.
func TestWrites_byThePublishedSDK(t *testing.T) {
	t.Parallel()
	for name, synced := range map[string]bool{"local": false, "synced": true} {
		if !synced && !longtest.Long() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &writes{repo: "team/app"}
			options := servertest.Options{TLS: true}
			if synced {
				w.forge = forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
				w.forge.CreateRepo(origin, true)
				options.Forges = []*forgetest.TestForge{w.forge}
			}
			w.Server = servertest.Start(t, options)
			ca := w.CAFile(t)
			env := []string{"HEADWATER_ORG=" + servertest.Org, "HEADWATER_REPO=" + w.repo}
			if synced {
				// The forge's own words for what the script sets up.
				user, secret := w.forge.Credential()
				env = append(env, "UPSTREAM_HOST="+w.forge.Host(), "UPSTREAM_PATH="+origin, "UPSTREAM_USER="+user, "UPSTREAM_SECRET="+secret)
			}
			sdktest.Run(t, "testdata/sdk/writes.mjs", w.URL, ca, w.PrivatePEM(), env...)
			w.requireSound(t)
			require.NotEmpty(t, w.Refs(t, w.repo)["refs/notes/commits"])
		})
	}
}

package builtin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
)

func TestAll_wireNames(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		wire []string
		host string
		mode providers.Mode
	}{
		"github-app":    {[]string{"github"}, "github.com", providers.ModeApp},
		"github-public": {[]string{"github"}, "github.com", providers.ModePublic},
		"gitlab":        {[]string{"gitlab"}, "gitlab.com", providers.ModeGeneric},
		"bitbucket":     {[]string{"bitbucket"}, "bitbucket.org", providers.ModeGeneric},
		"gitea":         {[]string{"gitea"}, "", providers.ModeGeneric},
		"forgejo":       {[]string{"forgejo"}, "", providers.ModeGeneric},
		"codeberg":      {[]string{"codeberg"}, "codeberg.org", providers.ModeGeneric},
		"sourcehut":     {[]string{"sr.ht", "sourcehut"}, "git.sr.ht", providers.ModeGeneric},
	}
	all := builtin.All()
	require.Len(t, all, len(want))
	for name, w := range want {
		m := all[name]().Manifest()
		require.Equal(t, name, m.Name)
		require.Equal(t, w.wire, m.WireNames)
		require.Equal(t, w.host, m.DefaultHost, name)
		require.Equal(t, w.mode, m.Mode, name)
		require.True(t, m.Capabilities.Webhooks, name)
		require.Equal(t, w.mode == providers.ModeGeneric && name != "sourcehut", m.Capabilities.WebhookRegistration, name)
		require.NotEmpty(t, m.WebhookHeaders, name)
	}
}

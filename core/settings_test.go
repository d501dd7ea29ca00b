package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestSettings_Validate(t *testing.T) {
	t.Parallel()
	policy := func(pattern string, action core.RefAction) core.Settings {
		return core.Settings{RefPolicies: []core.RefPolicy{{Pattern: pattern, Action: action}}}
	}
	many := core.Settings{}
	for i := range 101 {
		many.Include = append(many.Include, fmt.Sprintf("refs/heads/%d", i))
	}
	for name, tt := range map[string]struct {
		settings core.Settings
		want     string // in the refusal; "" is none
	}{
		"nothing":                 {},
		"a policy":                {policy("refs/heads/release/*", core.RefHold), ""},
		"a policy of no action":   {policy("refs/heads/*", "keep"), `"keep"`},
		"a short name":            {policy("main", core.RefHold), `"main"`},
		"an include of no ref":    {core.Settings{Include: []string{"heads/*"}}, `"heads/*"`},
		"too many patterns":       {many, "100"},
		"a negative retention":    {core.Settings{Retention: -1}, "retention"},
		"a retention of ages":     {core.Settings{Retention: 11 * 365 * 24 * time.Hour}, "retention"},
		"negative bytes":          {core.Settings{RetentionBytes: -1}, "retention_bytes"},
		"a negative quota":        {core.Settings{EphemeralQuota: -1}, "ephemeral_quota"},
		"a time to live too long": {core.Settings{EphemeralTTL: 91 * 24 * time.Hour}, "ephemeral_ttl"},
		"polled":                  {core.Settings{Poll: "30s"}, ""},
		"polled too often":        {core.Settings{Poll: "4s"}, "5s"},
		"polled never":            {core.Settings{Poll: core.PollOff}, ""},
		"polled by a word":        {core.Settings{Poll: "often"}, `"auto"`},
		"a freshness of no kind":  {core.Settings{Freshness: "new"}, `"revalidate"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.settings.Validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

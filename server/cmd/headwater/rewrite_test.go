package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "github.com/headwater-git/headwater/server/client"
)

func TestPrintRewrite_saysWhatCanBeDone(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("ab", 20)
	until := time.Date(2031, 5, 31, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		give rest.Rewrite
		want []string
		not  []string
	}{
		{
			"retained", rest.Rewrite{ID: "rw_1", State: "retained", Old: id, New: strings.Repeat("0", 40), ExpiresAt: &until},
			[]string{"gone (deleted)", id, "kept until", "rewrite restore team/app rw_1 BRANCH"}, []string{"approve", "decided"},
		},
		{
			"held", rest.Rewrite{ID: "rw_1", State: "held", Old: id, New: id},
			[]string{"rewrite approve team/app rw_1", "rewrite dismiss team/app rw_1"}, []string{"restore", "kept until"},
		},
		{
			"restored", rest.Rewrite{ID: "rw_1", State: "restored", Old: id, New: id, RestoredBranch: "back", DecidedBy: "ada", DecidedAt: &until},
			[]string{"restored as", "back", "decided by", "ada"}, []string{"headwater rewrite"},
		},
	} {
		var out strings.Builder
		require.NoError(t, printRewrite(&out, "team/app", tt.give), tt.name)
		for _, text := range tt.want {
			require.Contains(t, out.String(), text, tt.name)
		}
		for _, text := range tt.not {
			require.NotContains(t, out.String(), text, tt.name)
		}
	}
	require.Equal(t, "gone", short(strings.Repeat("0", 64)))
	require.Equal(t, id[:12], short(id))
}

package mirror

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	const a, b = core.ObjectID("1111111111111111111111111111111111111111"), core.ObjectID("2222222222222222222222222222222222222222")
	for name, tc := range map[string]struct {
		refs string // "name=id", tracking refs as "~heads/x=id"
		only string
		skip string
		want []core.RefUpdate
		left int
	}{
		"nothing":         {refs: "refs/heads/m=a ~heads/m=a"},
		"create":          {refs: "~heads/m=a", want: []core.RefUpdate{{Name: "refs/heads/m", New: a}}},
		"move":            {refs: "refs/tags/m=a ~tags/m=b", want: []core.RefUpdate{{Name: "refs/tags/m", Old: a, New: b}}},
		"delete":          {refs: "refs/heads/m=a", want: []core.RefUpdate{{Name: "refs/heads/m", Old: a}}},
		"to a folder":     {refs: "refs/heads/m=a ~heads/m/n=a", want: []core.RefUpdate{{Name: "refs/heads/m", Old: a}, {Name: "refs/heads/m/n", New: a}}},
		"only one":        {refs: "~heads/m=a ~heads/n=a refs/heads/o=a", only: "refs/heads/n", want: []core.RefUpdate{{Name: "refs/heads/n", New: a}}},
		"only is no rm":   {refs: "refs/heads/m=a", only: "refs/heads/m"},
		"left out":        {refs: "~heads/m=a refs/heads/n=a ~heads/n=b", skip: "refs/heads/n", want: []core.RefUpdate{{Name: "refs/heads/m", New: a}}, left: 1},
		"left for no use": {refs: "refs/heads/n=a ~heads/n=a", skip: "refs/heads/n"},
	} {
		refs := map[string]core.ObjectID{}
		for f := range strings.FieldsSeq(tc.refs) {
			ref, id, _ := strings.Cut(strings.Replace(f, "~", core.TrackingPrefix, 1), "=")
			refs[ref] = map[string]core.ObjectID{"a": a, "b": b}[id]
		}
		d := diff(scope{}, refs, tc.only, func(ref string) bool { return ref == tc.skip })
		require.Equal(t, tc.want, d.updates, name)
		require.Len(t, d.left, tc.left, name)
		require.Equal(t, len(tc.want), d.created+d.updated+d.deleted, name)
	}
}

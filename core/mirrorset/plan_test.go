package mirrorset

import (
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// The patterns of a set are git's, and are about what is below the owner.
func TestRules_patternsAreGits(t *testing.T) {
	t.Parallel()
	set := core.MirrorSet{
		Owner: "acme", Archived: true,
		Include: []string{"/v[[:digit:]]", "tools[/]*", "lib-*"},
		Exclude: []string{"*-[!a-y]"},
	}
	r, err := rulesOf(set)
	require.NoError(t, err)
	for path, want := range map[string]string{
		"acme/v1": "", "Acme/v2": "", "acme/vx": "it is not included", "acme/sub/v1": "it is not included",
		"acme/lib-a": "", "acme/lib-z": "it is excluded",
		"acme/tools/one": "it is not included", // git: no class matches a slash
	} {
		require.Equal(t, want, r.leftOut(set, providers.ListedRepository{Remote: providers.Remote{Path: path}}), path)
	}
	for _, bad := range []string{"[[:nothing:]]", "[a"} {
		_, err := rulesOf(core.MirrorSet{Include: []string{bad}})
		require.Equal(t, core.KindInvalid, core.KindOf(err), bad)
		_, err = rulesOf(core.MirrorSet{Exclude: []string{bad}})
		require.Equal(t, core.KindInvalid, core.KindOf(err), bad)
	}
}

// What a person reads of a failed look is a sentence, and nothing of the database's.
func TestService_wordsOfAFailedLook(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&core.Error{Kind: core.KindUpstreamRejected, Op: "list repositories", Message: "the host does not accept the credential"}, "the host does not accept the credential"},
		{&core.Error{Kind: core.KindInternal, Op: "save mirror entry", Err: errors.New("SQL logic error: no such column: x (1)")}, "internal error; the server's log has the details"},
	} {
		s := &Service{clock: core.SystemClock{}, log: hclog.NewNullLogger()}
		got := s.after(core.MirrorSet{}, tt.err)
		require.Equal(t, tt.want, got.LastError)
		require.Equal(t, 1, got.Failures)
		require.False(t, got.NextLookAt.IsZero())
	}
}

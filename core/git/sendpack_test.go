package git_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// git send-pack asks for what the updates say, in both formats of objects, with the
// objects of a repository whose own refs it does not see.
func TestGit_SendPack(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir, temp := gittest.NewBare(t, "--object-format="+format), t.TempDir()
			g, err := git.New(t.Context(), git.Options{})
			require.NoError(t, err)
			id := core.ObjectID(gittest.AddCommit(t, dir, "refs/heads/unrelated", "one"))
			updates := []core.RefUpdate{
				{Name: "refs/heads/b/new", New: id}, {Name: "refs/heads/b-new", New: id}, {Name: "refs/tags/gone", Old: id},
			}
			sender, err := g.SendPack(t.Context(), git.SendPack{Dir: dir, Temp: temp, URL: "http://host/r", Updates: updates, Atomic: true, Options: []string{"a b"}})
			require.NoError(t, err)
			_, err = sender.In.Write(append(pktline.Appendf(nil, "%s refs/tags/gone\x00report-status delete-refs atomic push-options object-format=%s\n", id, format), pktline.FlushPacket...))
			require.NoError(t, err)
			kind, payload, err := pktline.NewReader(sender.Out).Next()
			require.NoError(t, err)
			require.Equal(t, pktline.Data, kind)
			head, err := pktline.ParseReceiveCommands(pktline.NewReader(strings.NewReader(string(payload))))
			require.NoError(t, err)
			require.Len(t, head.Updates, len(updates))
			for _, u := range head.Updates {
				require.Contains(t, updates, core.RefUpdate{Name: u.Name, Old: plain(u.Old), New: plain(u.New)})
			}
			require.Equal(t, []string{"a b"}, head.PushOptions)
			require.True(t, head.Atomic())
			require.Error(t, sender.Wait(), "it was not answered")
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// plain returns the id, "" for that of zeros.
func plain(id core.ObjectID) core.ObjectID {
	if id.IsZero() {
		return ""
	}
	return id
}

func TestParseHelperStatus(t *testing.T) {
	t.Parallel()
	lines, err := git.ParseHelperStatus(io.MultiReader(strings.NewReader("0000ok refs/heads/a\nok refs/heads/b up to date\n"),
		strings.NewReader("error refs/heads/c \"no \\\"way\\\" \\303\\244\"\nerror refs/heads/d expecting report\nerror refs/heads/e hook declined\n")))
	require.NoError(t, err)
	require.Equal(t, []git.PushLine{
		{Flag: '*', To: "refs/heads/a"}, {Flag: '=', To: "refs/heads/b"},
		{Flag: '!', To: "refs/heads/c", Summary: git.PushRemoteRejected, Reason: "no \"way\" ä"},
		{Flag: '!', To: "refs/heads/e", Summary: git.PushRemoteRejected, Reason: "hook declined"},
	}, lines)
}

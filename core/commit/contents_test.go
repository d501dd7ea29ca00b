package commit

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// pieces are chunks from a list.
type pieces []Chunk

func (p *pieces) Next() (Chunk, error) {
	if len(*p) == 0 {
		return Chunk{}, io.EOF
	}
	next := (*p)[0]
	*p = (*p)[1:]
	return next, nil
}

func TestContents_joinsPieces(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, "sha1")
	p := s.newPack(s.repo)
	defer p.close()
	cs := s.newContents(p)
	cs.expect([]File{{Path: "a", Content: "1", Mode: modeFile}, {Path: "b", Content: "2", Mode: modeGitlink}, {Path: "c", Content: "1", Mode: modeExecutable}, {Path: "d", Content: "3", Delete: true}})
	big := strings.Repeat("0123456789abcdef", spoolMemory/16)
	in := pieces{{Content: "1", Data: []byte(big)}, {Content: "1"}, {Content: "1", Data: []byte(big), Last: true}, {Content: "2", Data: []byte("ab"), Last: true}, {Content: "3", Last: true}}
	require.NoError(t, cs.take(&in))
	require.Equal(t, s.run(t, big+big, "hash-object", "--stdin"), string(cs.blobs["1"]))
	require.Equal(t, "ab", cs.links["2"])
	require.Equal(t, 1, p.blobs)
}

func TestContents_limit(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, "sha1")
	s.maxSize = 100
	for name, in := range map[string]pieces{
		"one piece": {{Content: "1", Data: make([]byte, 101), Last: true}},
		"pieces":    {{Content: "1", Data: make([]byte, 60)}, {Content: "1", Data: make([]byte, 60), Last: true}},
		"together":  {{Content: "1", Data: make([]byte, 60), Last: true}, {Content: "2", Data: make([]byte, 61), Last: true}},
	} {
		p := s.newPack(s.repo)
		cs := s.newContents(p)
		cs.expect([]File{{Content: "1"}, {Content: "2"}})
		require.Equal(t, core.KindTooLarge, core.KindOf(cs.take(&in)), name)
		p.close()
	}
}

// FuzzApplyPatch feeds git patches of any kind: whatever git makes of them,
// a tree that comes out passes our checks, and no error is ours.
func FuzzApplyPatch(f *testing.F) {
	for _, seed := range []string{
		"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n", "--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+b\n", "--- /dev/null\n+++ b/.git/x\n@@ -0,0 +1 @@\n+b\n",
		"diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n", "diff --git a/a b/a\nold mode 100644\nnew mode 100755\n", "GIT binary patch\n", "\x00",
		"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
	} {
		f.Add([]byte(seed))
	}
	s := newTestStore(f, "sha1")
	base := s.mktree(f, map[string]core.ObjectID{"a": core.ObjectID(s.run(f, "1\n", "hash-object", "-w", "--stdin"))})
	f.Fuzz(func(t *testing.T, patch []byte) {
		spooled := spool{dir: t.TempDir()}
		_, err := spooled.Write(patch)
		require.NoError(t, err)
		p := s.newPack(s.repo)
		defer p.close()
		_, err = s.applyPatch(t.Context(), s.dir, p, base, &spooled)
		if err != nil {
			require.Contains(t, []core.Kind{core.KindInvalid, core.KindConflict}, core.KindOf(err), err)
		}
	})
}

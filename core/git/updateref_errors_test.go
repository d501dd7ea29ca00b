package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

const (
	idA = "1111111111111111111111111111111111111111"
	idB = "2222222222222222222222222222222222222222"
)

func TestParseUpdateRefError_words(t *testing.T) {
	t.Parallel()
	const prefix = "fatal: prepare: cannot lock ref 'refs/heads/a': "
	cases := []struct {
		name, stderr, ref string
		kind              UpdateRefErrorKind
	}{
		{"moved", prefix + "is at " + idA + " but expected " + idB, "refs/heads/a", RefStale},
		{"exists", prefix + "reference already exists", "refs/heads/a", RefStale},
		{"gone", prefix + "unable to resolve reference 'refs/heads/a'", "refs/heads/a", RefStale},
		{"missing", prefix + "reference is missing but expected " + idA, "refs/heads/a", RefStale},
		{"file in the way", "fatal: prepare: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'", "refs/heads/a/b", RefConflict},
		{"directory in the way", "fatal: commit: cannot lock ref 'refs/heads/a': there is a non-empty directory './refs/heads/a' blocking reference 'refs/heads/a'", "refs/heads/a", RefConflict},
		{"both at once", "fatal: prepare: cannot lock ref 'refs/heads/a': cannot process 'refs/heads/a' and 'refs/heads/a/b' at the same time", "refs/heads/a/b", RefConflict},
		{"locked", prefix + "Unable to create '/srv/r.git/./refs/heads/a.lock': File exists.\n\nAnother git process seems to be running", "refs/heads/a", RefLocked},
		{"packed-refs", "fatal: prepare: Unable to create '/srv/r.git/packed-refs.lock': File exists.", "", RefLocked},
		{"absent object", "fatal: prepare: cannot update ref 'refs/heads/a': trying to write ref 'refs/heads/a' with nonexistent object " + idA, "refs/heads/a", RefNoObject},
		{"no commit", "fatal: prepare: cannot update ref 'refs/heads/a': trying to write non-commit object " + idA + " to branch 'refs/heads/a'", "refs/heads/a", RefNoObject},
		{"bad name", "fatal: invalid ref format: refs/heads/a..b", "refs/heads/a..b", RefBadName},
		{"long", prefix + "Unable to create '/srv/r.git/./refs/heads/a.lock': File name too long", "refs/heads/a", RefTooLong},
		{"long, and looked up", prefix + "unable to resolve reference 'refs/heads/a': File name too long", "refs/heads/a", RefTooLong},
		{"twice", "fatal: prepare: multiple updates for ref 'refs/heads/a' not allowed", "refs/heads/a", RefTwice},
		{"anything else", "fatal: out of luck", "", RefUnknown},
		{"nothing", "", "", RefUnknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref, kind := ParseUpdateRefError(c.stderr)
			require.Equal(t, c.kind, kind)
			require.Equal(t, c.ref, ref)
		})
	}
}

func TestParseUpdateRefError_realGit(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	a := gittest.AddCommit(t, dir, "refs/heads/a", "a")
	b := gittest.AddCommit(t, dir, "refs/heads/dir/b", "b", a)
	tree := strings.TrimSpace(gittest.Try(t, dir, "", "mktree").Stdout)
	zero := string(core.ZeroSHA1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "refs", "heads", "held.lock"), nil, 0o600))
	cases := []struct {
		name, command, ref string
		kind               UpdateRefErrorKind
	}{
		{"moved", "update refs/heads/a " + b + " " + b, "refs/heads/a", RefStale},
		{"exists", "create refs/heads/a " + b, "refs/heads/a", RefStale},
		{"gone", "update refs/heads/none " + b + " " + a, "refs/heads/none", RefStale},
		{"delete what is gone", "delete refs/heads/none " + a, "refs/heads/none", RefStale},
		{"file in the way", "create refs/heads/a/b " + a, "refs/heads/a/b", RefConflict},
		{"directory in the way", "create refs/heads/dir " + a, "refs/heads/dir", RefConflict},
		{"both at once", "create refs/heads/n " + a + "\ncreate refs/heads/n/m " + a, "refs/heads/n/m", RefConflict},
		{"locked", "create refs/heads/held " + a, "refs/heads/held", RefLocked},
		{"absent object", "create refs/heads/x " + idA, "refs/heads/x", RefNoObject},
		{"no commit", "create refs/heads/x " + tree, "refs/heads/x", RefNoObject},
		{"bad name", "create refs/heads/x..y " + a, "refs/heads/x..y", RefBadName},
		{"twice", "update refs/heads/a " + b + " " + a + "\nupdate refs/heads/a " + a + " " + zero, "refs/heads/a", RefTwice},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.Try(t, dir, "start\n"+c.command+"\nprepare\nabort\n", "-c", "core.filesRefLockTimeout=0", "update-ref", "--no-deref", "--stdin")
			require.NotZero(t, r.Code)
			ref, kind := ParseUpdateRefError(r.Stderr)
			require.Equal(t, c.kind, kind, r.Stderr)
			require.Equal(t, c.ref, ref, r.Stderr)
		})
	}
}

package prune_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/prune"
	"github.com/headwater-git/headwater/core/lfs/scan"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// TestService_Forget drops what no ref needs: not what an old commit, a kept tip or a draft
// needs, not what was sent a moment ago, and no bytes that another repository has. A purge
// drops what is new, too, if it knows that its pointer is forgotten; a person who prunes does
// not, and leaves the bytes for a time.
func TestService_Forget(t *testing.T) {
	t.Parallel()
	ctx, dir, clock := t.Context(), t.TempDir(), coretest.NewClock()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	require.NoError(t, err)
	storetest.Empty(t, dir)
	db, err := store.Open(ctx, filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer, Clock: clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.CreateOrg(ctx, core.Org{Name: "acme", CreatedAt: clock.Now()}))
	create := func(name string) core.Repository {
		r := core.Repository{ID: core.NewID("repo", clock.Now()), Org: "acme", Name: name, DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: clock.Now()}
		require.NoError(t, db.CreateRepository(ctx, r))
		return r
	}
	r, fork := create("one"), create("fork")
	objects, err := lfs.New(lfs.Options{Dir: filepath.Join(dir, lfs.FolderName), Store: db, Clock: clock, Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	send := func(word string) lfs.Pointer {
		p := lfs.Pointer{OID: lfs.OIDOf(sha256.Sum256([]byte(word))), Size: int64(len(word))}
		require.NoError(t, objects.Put(ctx, r, p, bytes.NewReader([]byte(word))))
		return p
	}
	has := func(repo core.Repository, p lfs.Pointer) bool {
		rows, err := db.HasLFSObjects(ctx, repo.ID, []string{string(p.OID)})
		require.NoError(t, err)
		if len(rows) == 0 {
			return false
		}
		c, err := objects.Open(ctx, repo, p)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		return true
	}
	bare := filepath.Join(dir, "r.git")
	coretest.Run(t, dir, "init", "--quiet", "--bare", bare)
	old, kept, draft, gone, shared := send("old"), send("kept"), send("draft"), send("gone"), send("shared")
	require.NoError(t, db.AddLFSObjects(ctx, fork.ID, []core.LFSObject{{OID: string(shared.OID), Size: shared.Size}}, clock.Now()))
	var in bytes.Buffer
	for ref, words := range map[string][]lfs.Pointer{"refs/heads/main": {old}, "refs/internal/kept/rw_1": {kept}, "refs/namespaces/ephemeral/refs/heads/x": {draft}} {
		for _, p := range words {
			fmt.Fprintf(&in, "commit %s\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\nM 100644 inline a.bin\ndata %d\n%s\n", ref, len(p.Encode()), p.Encode())
		}
	}
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.com> 1700000001 +0000\ndata 0\nD a.bin\n")
	out, err := coretest.TryRun(ctx, bare, in.String(), "fast-import", "--quiet", "--force")
	require.NoError(t, err, out)
	g, err := git.New(ctx, git.Options{Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	pool := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	s := prune.New(prune.Options{Store: db, Objects: objects, Scanner: scan.New(g, pool), Git: g, Path: func(string) string { return bare }, Clock: clock})

	clock.Advance(2 * time.Hour)
	fresh := send("fresh")
	require.NoError(t, s.Forget(ctx, r, nil))
	require.False(t, has(r, gone))
	require.False(t, has(r, shared))
	require.True(t, has(fork, shared))
	for _, p := range []lfs.Pointer{old, kept, draft, fresh} {
		require.True(t, has(r, p), p.OID)
	}
	left := map[lfs.OID]bool{}
	files, err := lfs.OpenFolder(filepath.Join(dir, lfs.FolderName))
	require.NoError(t, err)
	require.NoError(t, files.Each(ctx, func(p lfs.Pointer) error { left[p.OID] = true; return nil }))
	require.Equal(t, map[lfs.OID]bool{old.OID: true, kept.OID: true, draft.OID: true, fresh.OID: true, shared.OID: true}, left)

	// Objects that a batch has just said to be here are those of a push under way.
	offered, unneeded := send("offered"), send("unneeded")
	clock.Advance(time.Hour + time.Second)
	fresh = send("fresh")
	answers, err := objects.Uploads(ctx, r, "", []lfs.Pointer{offered})
	require.NoError(t, err)
	require.True(t, answers[0].Present)
	for _, dry := range []bool{true, false} {
		p, err := s.Prune(ctx, r, dry)
		require.NoError(t, err)
		require.Equal(t, prune.Pruned{Objects: []core.LFSObject{{OID: string(unneeded.OID), Size: unneeded.Size}}, Bytes: unneeded.Size}, p)
		require.Equal(t, dry, has(r, unneeded))
	}
	for _, p := range []lfs.Pointer{old, kept, draft, fresh, offered} {
		require.True(t, has(r, p), p.OID)
	}
	size, err := files.Size(ctx, unneeded.OID)
	require.NoError(t, err, "its bytes stay for a while")
	require.Equal(t, unneeded.Size, size)
	clock.Advance(lfs.Grace + time.Second)
	n, _, err := objects.Sweep(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	fresh = send("fresh")

	secret := send("secret")
	pointer, err := coretest.TryRun(ctx, bare, string(secret.Encode()), "hash-object", "--stdin")
	require.NoError(t, err)
	forget := func() {
		t.Helper()
		require.NoError(t, s.Forget(context.WithoutCancel(ctx), r, []core.ObjectID{core.ObjectID(strings.TrimSpace(pointer))}))
		require.False(t, has(r, secret))
		require.True(t, has(r, old))
	}
	forget()
	require.True(t, has(r, fresh), "the refs of its push come next")
	clock.Advance(time.Hour + time.Second)
	forget()
	require.False(t, has(r, fresh), "no push takes as long")
}

//go:build peers

package remote_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/giteatest"
)

// Everything that a host answers when nothing goes wrong, from a real one: batches of more
// than one request, whole and partial downloads, uploads with a verification, locks, and
// its refusals.
func TestGitea_LFS(t *testing.T) {
	t.Parallel()
	g := giteatest.Start(t)
	status, said, err := g.Call(t.Context(), http.MethodPost, "/user/repos", `{"name":"large","auto_init":true,"default_branch":"main","private":true}`)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, string(said))
	b := newBed(t, g.Host, &providers.StoredCredential{Username: giteatest.User, Secret: providers.Secret(g.Token)})
	c := b.client(giteatest.User, "large")
	big := strings.Repeat("0123456789abcdef", 1<<16)

	// Nothing is there.
	transfers, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("one"), pointer(big)})
	require.NoError(t, err)
	require.Len(t, transfers, 2)
	for i, want := range []lfs.Pointer{pointer("one"), pointer(big)} {
		require.Equal(t, want, transfers[i].Pointer)
		text := requireClass(t, core.ClassNotFound, transfers[i].Err)
		require.Contains(t, text, string(want.OID))
	}

	// Uploads, which Gitea verifies.
	require.NoError(t, put(t.Context(), c, "one"))
	require.NoError(t, put(t.Context(), c, big))
	require.NoError(t, put(t.Context(), c, ""))
	transfers, err = c.Batch(t.Context(), lfs.Upload, "refs/heads/main", []lfs.Pointer{pointer("one"), pointer("two")})
	require.NoError(t, err)
	require.True(t, transfers[0].Present)
	require.False(t, transfers[1].Present)
	require.NotContains(t, strings.ToLower(sprint(transfers)), "authorization")

	// Downloads: of a transfer, of a pointer alone, of a part.
	transfers, err = c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer(big)})
	require.NoError(t, err)
	got, err := get(t.Context(), c, transfers[0], 0)
	require.NoError(t, err)
	require.Equal(t, big, got)
	got, err = get(t.Context(), c, lfs.Transfer{Pointer: pointer(big)}, 1000)
	require.NoError(t, err)
	require.Equal(t, big[1000:], got)
	got, err = get(t.Context(), c, lfs.Transfer{Pointer: pointer(big)}, int64(len(big)))
	require.NoError(t, err)
	require.Empty(t, got)

	// More than one request takes, in the order asked, with one that is not there.
	var many []lfs.Pointer
	for i := range 230 {
		many = append(many, pointer(strconv.Itoa(i)))
	}
	many[150] = pointer("one")
	transfers, err = c.Batch(t.Context(), lfs.Download, "refs/heads/main", many)
	require.NoError(t, err)
	for i, t2 := range transfers {
		require.Equal(t, many[i], t2.Pointer)
		require.Equal(t, i == 150, t2.Err == nil, i)
	}

	// A pointer with another size than the object's.
	wrong := pointer("one")
	wrong.Size = 1000
	transfers, err = c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{wrong})
	require.NoError(t, err)
	require.ErrorContains(t, transfers[0].Err, string(wrong.OID))

	// Other bytes than the id says.
	transfers, err = c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer("right")})
	require.NoError(t, err)
	err = c.Put(t.Context(), transfers[0], strings.NewReader("wrong"))
	requireClass(t, core.ClassRefused, err)
	require.ErrorContains(t, err, string(pointer("right").OID))

	testLocks(t, c)

	// Refusals: of a credential, of a repository that is not there.
	_, err = newBed(t, g.Host, &providers.StoredCredential{Username: giteatest.User, Secret: "wrong-secret-0123456789"}).client(giteatest.User, "large").
		Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("one")})
	requireClass(t, core.ClassAuth, err)
	require.NotContains(t, err.Error(), "wrong-secret")
	_, err = b.client(giteatest.User, "absent").Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("one")})
	requireClass(t, core.ClassNotFound, err)
}

// testLocks locks, lists and unlocks.
func testLocks(t *testing.T, c lfs.Upstream) {
	t.Helper()
	made, err := c.Lock(t.Context(), "art/one.psd", "refs/heads/main")
	require.NoError(t, err)
	require.Equal(t, "art/one.psd", made.Path)
	require.NotEmpty(t, made.ID)
	require.Equal(t, giteatest.User, made.Owner)
	require.False(t, made.LockedAt.IsZero())

	_, err = c.Lock(t.Context(), "art/one.psd", "refs/heads/main")
	var locked *lfs.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, made.ID, locked.Lock.ID)

	_, err = c.Lock(t.Context(), "art/two.psd", "")
	require.NoError(t, err)
	all, next, err := c.Locks(t.Context(), lfs.LockQuery{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Empty(t, next)
	page, next, err := c.Locks(t.Context(), lfs.LockQuery{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.NotEmpty(t, next)
	// Its cursor counts pages from 1, and an absent one counts as 0: this is the first
	// page once more, and the one behind it is the second.
	_, next, err = c.Locks(t.Context(), lfs.LockQuery{Limit: 1, Cursor: next})
	require.NoError(t, err)
	rest, _, err := c.Locks(t.Context(), lfs.LockQuery{Limit: 1, Cursor: next})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.NotEqual(t, page[0].ID, rest[0].ID)
	one, _, err := c.Locks(t.Context(), lfs.LockQuery{Path: "art/one.psd"})
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, made.ID, one[0].ID)

	gone, err := c.Unlock(t.Context(), made.ID, "refs/heads/main", true)
	require.NoError(t, err)
	require.Equal(t, made.ID, gone.ID)
	_, err = c.Unlock(t.Context(), "123456", "", false)
	require.ErrorContains(t, err, "123456")
}

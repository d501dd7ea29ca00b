//go:build peers

package remote_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"context"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/lfstest"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// newMisbehaving makes a client of lfstest-gitserver, whose repositories have no owner.
func newMisbehaving(t *testing.T, s *lfstest.Server) *bed {
	t.Helper()
	b := newBed(t, s.Host, &providers.StoredCredential{Username: lfstest.User, Secret: lfstest.Password})
	b.plugin.ResolveFunc = func(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
		return providers.Remote{URL: s.URL + "/" + r.Locator.Name + ".git", Host: s.Host, Path: r.Locator.Name, PushSupported: true}, nil
	}
	return b
}

// one asks for one object.
func one(t *testing.T, c lfs.Upstream, operation lfs.Operation, content string) lfs.Transfer {
	t.Helper()
	transfers, err := c.Batch(t.Context(), operation, "refs/heads/main", []lfs.Pointer{pointer(content)})
	require.NoError(t, err)
	require.Len(t, transfers, 1)
	return transfers[0]
}

func TestMisbehaving_batch(t *testing.T) {
	t.Parallel()
	b := newMisbehaving(t, lfstest.Start(t))
	c := b.client("", "batches")

	for content, class := range map[string]core.ErrorClass{
		"status-batch-403": core.ClassAuth, "status-batch-404": core.ClassNotFound, "status-batch-410": core.ClassNotFound,
		"status-batch-422": core.ClassRefused, "status-batch-500": core.ClassUnavailable,
	} {
		t2 := one(t, c, lfs.Upload, content)
		text := requireClass(t, class, t2.Err)
		require.Contains(t, text, "welp", "the host's own words")
		require.Contains(t, text, string(pointer(content).OID))
		require.Equal(t, t2.Err, c.Put(t.Context(), t2, strings.NewReader(content)))
	}
	text := requireClass(t, core.ClassCorrupt, one(t, c, lfs.Upload, "return-invalid-size").Err)
	require.Contains(t, text, "-1 bytes")
	text = requireClass(t, core.ClassProtocol, one(t, c, lfs.Upload, "unknown-oid").Err)
	require.Contains(t, text, "answered nothing about it")

	// Of many, one.
	objects := []lfs.Pointer{pointer("good"), pointer("status-batch-422"), pointer("good")}
	transfers, err := c.Batch(t.Context(), lfs.Upload, "", objects)
	require.NoError(t, err)
	require.NoError(t, transfers[0].Err)
	require.Error(t, transfers[1].Err)
	require.NoError(t, transfers[2].Err, "the same object twice")

	for content, words := range map[string]string{"batch-hash-algo-invalid": "invalid"} {
		_, err := c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer(content)})
		require.Contains(t, requireClass(t, core.ClassProtocol, err), words)
	}
	require.NoError(t, one(t, c, lfs.Upload, "batch-hash-algo-empty").Err)

	ask := func(repo string) error {
		_, err := b.client("", repo).Batch(t.Context(), lfs.Upload, "refs/heads/main", []lfs.Pointer{pointer("good")})
		return err
	}
	err = ask("batchunsupported")
	require.ErrorIs(t, err, lfs.ErrUnsupported)
	require.ErrorContains(t, err, "has no LFS server")
	requireClass(t, core.ClassProtocol, ask("badbatch"))
	err = ask("batch-retry-later")
	requireClass(t, core.ClassRateLimited, err)
	require.Greater(t, upstream.RetryAfter(err), 5*time.Second)
	requireClass(t, core.ClassRateLimited, ask("batch-retry-later-no-header"))
	require.ErrorContains(t, ask("x-other-branch-required"), "Expected ref")
	require.NoError(t, ask("x-main-branch-required"))
}

func TestMisbehaving_credential(t *testing.T) {
	t.Parallel()
	b := newMisbehaving(t, lfstest.Start(t))
	ask := func(repo string) error {
		_, err := b.client("", repo).Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
		return err
	}
	var asked []bool
	credential := func(first, fresh string) {
		asked = nil
		b.plugin.CredentialFunc = func(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
			require.Equal(t, providers.OpLFS, r.Operation)
			password := first
			if r.Fresh {
				password = fresh
			}
			asked = append(asked, r.Fresh)
			return providers.Credential{Kind: providers.CredentialBasic, Username: lfstest.User, Secret: providers.Secret(password)}, nil
		}
	}
	credential("old-secret", lfstest.Password)
	require.NoError(t, ask("a-401-unauth"), "a refused credential is asked for once more")
	require.Equal(t, []bool{false, true}, asked)
	credential("old-secret", "wrong-secret")
	err := ask("a-401-unauth")
	requireClass(t, core.ClassAuth, err)
	require.Equal(t, []bool{false, true}, asked, "once, and not for ever")
	require.NotContains(t, err.Error(), "secret")

	// A host that takes no basic authentication.
	b.plugin.CredentialFunc = func(context.Context, providers.CredentialRequest) (providers.Credential, error) {
		return providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: "Bearer token"}, nil
	}
	require.NoError(t, ask("auth-bearer-a"))
}

func TestMisbehaving_upload(t *testing.T) {
	t.Parallel()
	b := newMisbehaving(t, lfstest.Start(t))
	c := b.client("", "uploads")
	for content, class := range map[string]core.ErrorClass{
		"status-storage-403": core.ClassAuth, "status-storage-404": core.ClassNotFound, "status-storage-410": core.ClassNotFound,
		"status-storage-422": core.ClassRefused, "status-storage-500": core.ClassUnavailable, "status-storage-503": core.ClassUnavailable,
	} {
		text := requireClass(t, class, put(t.Context(), c, content))
		require.Contains(t, text, string(pointer(content).OID))
	}
	require.ErrorContains(t, put(t.Context(), c, "status-storage-503"), "LFS is temporarily unavailable")
	err := put(t.Context(), c, "storage-upload-retry-later")
	requireClass(t, core.ClassRateLimited, err)
	require.Greater(t, upstream.RetryAfter(err), 5*time.Second)
	requireClass(t, core.ClassRateLimited, put(t.Context(), c, "storage-upload-retry-later-no-header"))

	// Actions that are over before they are used.
	require.NoError(t, put(t.Context(), c, "return-expired-action"))
	require.NoError(t, put(t.Context(), c, "return-expired-action-forever"), "the host decides what is over")
	for _, repo := range []string{"expired-absolute", "expired-relative", "expired-both"} {
		require.NoError(t, put(t.Context(), b.client("", repo), "good"), repo)
		got, err := get(t.Context(), b.client("", repo), one(t, b.client("", repo), lfs.Download, "good"), 0)
		require.NoError(t, err)
		require.Equal(t, "good", got)
	}

	require.NoError(t, put(t.Context(), c, "send-deprecated-links"))
	require.NoError(t, put(t.Context(), c, "object-authenticated"), "no credential goes where none is wanted")
	require.NoError(t, put(t.Context(), c, "redirect-storage-upload"))
	require.True(t, one(t, c, lfs.Upload, "redirect-storage-upload").Present)
	large := strings.Repeat("large", 1<<20)
	require.NoError(t, put(t.Context(), c, large))
	require.True(t, one(t, c, lfs.Upload, large).Present)
	require.NoError(t, put(t.Context(), b.client("", "batch-storage-upload-encoding-chunked"), "good"))
	requireClass(t, core.ClassAuth, put(t.Context(), b.client("", "requirecreds"), "good"))

	// Verifications that fail for a while, and for good.
	require.NoError(t, put(t.Context(), b.client("", "verify-fail-2-times"), "send-verify-action"))
	text := requireClass(t, core.ClassUnavailable, put(t.Context(), b.client("", "verify-fail-10-times"), "send-verify-action"))
	require.Contains(t, text, "intentionally failing")
	require.Contains(t, text, "after its upload")
}

func TestMisbehaving_download(t *testing.T) {
	t.Parallel()
	b := newMisbehaving(t, lfstest.Start(t))
	c := b.client("", "downloads")
	has := func(content string) lfs.Transfer {
		require.NoError(t, put(t.Context(), c, content))
		return one(t, c, lfs.Download, content)
	}
	err := func() error {
		_, err := get(t.Context(), c, has("storage-download-retry-later"), 0)
		return err
	}()
	requireClass(t, core.ClassRateLimited, err)
	require.Greater(t, upstream.RetryAfter(err), 5*time.Second)
	_, err = get(t.Context(), c, has("storage-download-retry"), 0)
	require.Contains(t, requireClass(t, core.ClassUnavailable, err), string(pointer("storage-download-retry").OID))

	// Cut, and gone on from there.
	const ranged = "storage-download-retry-range"
	t2 := has(ranged)
	got, err := get(t.Context(), c, t2, 0)
	require.Equal(t, ranged[:len(ranged)/2], got)
	require.ErrorIs(t, err, lfs.ErrCut)
	require.Contains(t, requireClass(t, core.ClassNetwork, err), "after 14 of 28 bytes")
	rest, err := get(t.Context(), c, t2, int64(len(got)))
	require.NoError(t, err)
	require.Equal(t, ranged, got+rest)

	// Ranges that are refused, and that are ignored.
	const rejected = "storage-download-retry-range-rejected"
	t2 = has(rejected)
	got, err = get(t.Context(), c, t2, 0)
	require.ErrorIs(t, err, lfs.ErrCut)
	rest, err = get(t.Context(), c, t2, int64(len(got)))
	require.NoError(t, err)
	require.Equal(t, rejected, got+rest)
	rest, err = get(t.Context(), c, has("ranges are ignored"), 7)
	require.NoError(t, err)
	require.Equal(t, "are ignored", rest)

	// Wrong bytes of the right number are for whoever hashes them.
	got, err = get(t.Context(), c, has("storage-download-corrupt"), 0)
	require.NoError(t, err)
	require.Equal(t, "STORAGE-DOWNLOAD-CORRUPT", got)
}

// Redirects of the server itself, and of objects to another host.
func TestMisbehaving_redirects(t *testing.T) {
	t.Parallel()
	s := lfstest.Start(t)
	b := newMisbehaving(t, s)
	for _, kind := range []string{"rel", "abs"} {
		b.plugin.ResolveFunc = func(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
			return providers.Remote{
				URL: s.URL + "/" + r.Locator.Name + ".git", Host: s.Host, Path: r.Locator.Name, PushSupported: true,
				LFSURL: s.URL + "/redirect307/" + kind + "/" + r.Locator.Name + ".git/info/lfs",
			}, nil
		}
		c := b.client("", "moved-"+kind)
		require.NoError(t, put(t.Context(), c, "good"))
		_, err := c.Lock(t.Context(), "a", "")
		require.NoError(t, err)
	}

	// From "localhost" to 127.0.0.1: the server writes down who sent the marker.
	b = newMisbehaving(t, s)
	b.plugin.AddHost(providers.HostPolicy{Host: strings.Replace(s.Host, "127.0.0.1", "localhost", 1), Scheme: "http", AllowPrivate: true})
	b.plugin.CredentialFunc = func(context.Context, providers.CredentialRequest) (providers.Credential, error) {
		return providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: "lfs-source-marker"}, nil
	}
	c := b.client("", "header-redirect-download-auth")
	require.NoError(t, put(t.Context(), c, "redirect-storage-upload"))
	got, err := get(t.Context(), c, one(t, c, lfs.Download, "redirect-storage-upload"), 0)
	require.NoError(t, err)
	require.Equal(t, "redirect-storage-upload", got)
	recorded, err := os.ReadFile(filepath.Join(s.Folder, "header-redirect-download-auth.headers"))
	require.NoError(t, err)
	require.Contains(t, string(recorded), "batch-target Authorization\n")
	require.Contains(t, string(recorded), "object-source \n")
	require.Contains(t, string(recorded), "object-target \n")
	require.NotContains(t, string(recorded), "object-source Authorization")
	require.NotContains(t, string(recorded), "object-target Authorization")
}

func TestMisbehaving_locks(t *testing.T) {
	t.Parallel()
	b := newMisbehaving(t, lfstest.Start(t))
	c := b.client("", "locks")
	made, err := c.Lock(t.Context(), "a.bin", "refs/heads/main")
	require.NoError(t, err)
	require.Equal(t, "Git LFS Tests", made.Owner)
	_, err = c.Lock(t.Context(), "a.bin", "refs/heads/main") // it says so with status 200, and names no lock
	var locked *lfs.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, made, locked.Lock)
	gone, err := c.Unlock(t.Context(), made.ID, "", true)
	require.NoError(t, err)
	require.Equal(t, made, gone)
	_, err = c.Unlock(t.Context(), made.ID, "", true)
	require.ErrorContains(t, err, "unable to find lock")
	_, _, err = c.Locks(t.Context(), lfs.LockQuery{Cursor: "none-such"})
	require.ErrorContains(t, err, "not found")

	c = b.client("", "locksunsupported")
	for _, call := range []func() error{
		func() error { _, _, err := c.Locks(t.Context(), lfs.LockQuery{}); return err },
		func() error { _, err := c.Lock(t.Context(), "a", ""); return err },
		func() error { _, err := c.Unlock(t.Context(), "1", "", false); return err },
	} {
		err := call()
		require.ErrorIs(t, err, lfs.ErrUnsupported)
		require.ErrorContains(t, err, "has no LFS locks")
	}
	_, err = b.client("", "x-main-branch-required").Lock(t.Context(), "a", "refs/heads/other")
	require.ErrorContains(t, err, "Expected ref")
}

package lfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestService_local(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(1, 300<<10)
	up, err := b.Uploads(t.Context(), b.local, "", []Pointer{p})
	require.NoError(t, err)
	require.Equal(t, []Answer{{Pointer: p}}, up)
	requireKind(t, core.KindNotFound, b.Verify(t.Context(), b.local, p))

	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	require.NoError(t, b.Verify(t.Context(), b.local, p))
	up, err = b.Uploads(t.Context(), b.local, "", []Pointer{p})
	require.NoError(t, err)
	require.True(t, up[0].Present)
	got, err := b.read(b.local, p)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Empty(t, b.incoming())

	// To know an id opens nothing, here or there, and saves no bytes.
	other := b.repository("other", false)
	_, err = b.read(other, p)
	requireKind(t, core.KindNotFound, err)
	down, err := b.Downloads(t.Context(), other, []Pointer{p})
	require.NoError(t, err)
	requireKind(t, core.KindNotFound, down[0].Err)
	up, err = b.Uploads(t.Context(), other, "", []Pointer{p})
	require.NoError(t, err)
	require.False(t, up[0].Present)
	requireKind(t, core.KindInvalid, b.Put(t.Context(), other, p, strings.NewReader("guessed")))
	_, err = b.read(other, p)
	requireKind(t, core.KindNotFound, err)

	// A size that is not the object's is refused.
	lie := Pointer{OID: p.OID, Size: p.Size + 1}
	for _, check := range []func(context.Context, core.Repository, []Pointer) ([]Answer, error){
		b.Downloads, func(ctx context.Context, r core.Repository, o []Pointer) ([]Answer, error) {
			return b.Uploads(ctx, r, "", o)
		},
	} {
		answers, err := check(t.Context(), b.local, []Pointer{lie})
		require.NoError(t, err)
		requireKind(t, core.KindInvalid, answers[0].Err)
	}
	requireKind(t, core.KindInvalid, b.Verify(t.Context(), b.local, lie))
}

// What is not the object, or not all of it, leaves nothing.
func TestService_Put_keepsOnlyWhatIsProven(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(2, 5000)
	other, _ := someObject(3, 5000)
	for name, body := range map[string][]byte{
		"other bytes": other, "too few": content[:4999], "too many": append(append([]byte{}, content...), 0), "nothing": nil,
	} {
		requireKind(t, core.KindInvalid, b.Put(t.Context(), b.local, p, bytes.NewReader(body)))
		requireKind(t, core.KindNotFound, b.Verify(t.Context(), b.local, p))
		require.Empty(t, b.incoming(), name)
	}
	broken := io.MultiReader(bytes.NewReader(content[:100]), brokenReader{})
	require.Error(t, b.Put(t.Context(), b.local, p, broken))
	require.Empty(t, b.incoming())
	_, empty := someObject(4, 0)
	require.NoError(t, b.Put(t.Context(), b.local, empty, strings.NewReader("")))
	require.NoError(t, b.Verify(t.Context(), b.local, empty))
}

// Bytes that were lost, as by a restore, are taken again.
func TestService_rowWithoutBytes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(5, 100)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	require.NoError(t, os.Remove(b.files.Path(p.OID)))
	down, err := b.Downloads(t.Context(), b.local, []Pointer{p})
	require.NoError(t, err)
	requireKind(t, core.KindNotFound, down[0].Err)
	up, err := b.Uploads(t.Context(), b.local, "", []Pointer{p})
	require.NoError(t, err)
	require.False(t, up[0].Present)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	_, err = b.read(b.local, p)
	require.NoError(t, err)
}

func TestService_off(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, p := someObject(6, 10)
	require.NoError(t, b.store.SaveSettings(t.Context(), b.local.ID, core.Settings{LFS: core.LFSOff}))
	_, err := b.Downloads(t.Context(), b.local, []Pointer{p})
	requireKind(t, core.KindNotFound, err)
	_, err = b.Uploads(t.Context(), b.local, "", []Pointer{p})
	requireKind(t, core.KindNotFound, err)
	_, _, err = b.Locks(t.Context(), b.local, "ada", LockQuery{})
	requireKind(t, core.KindNotFound, err)
}

// What is not here is asked for in one batch, fetched once for all who want it, proven
// and kept.
func TestService_fetchesOnceForAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(7, 2<<20)
	small, q := someObject(8, 10)
	_, none := someObject(9, 10)
	b.up.objects[p.OID], b.up.objects[q.OID] = content, small
	down, err := b.Downloads(t.Context(), b.copy, []Pointer{p, q, none})
	require.NoError(t, err)
	require.NoError(t, down[0].Err)
	require.NoError(t, down[1].Err)
	requireKind(t, core.KindNotFound, down[2].Err)
	require.Equal(t, 1, b.up.batches)

	b.up.gate = make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := b.read(b.copy, p)
			if err != nil || !bytes.Equal(content, got) {
				t.Errorf("read %d bytes: %v", len(got), err)
			}
		})
	}
	// One reads along before the object is whole, and leaves.
	c, err := b.Open(t.Context(), b.copy, p)
	require.NoError(t, err)
	along, err := c.Stream(t.Context(), 100)
	require.NoError(t, err)
	first := make([]byte, 1000)
	_, err = io.ReadFull(along, first)
	require.NoError(t, err)
	require.Equal(t, content[100:1100], first)
	require.NoError(t, along.Close())
	close(b.up.gate)
	all.Wait()
	require.Equal(t, 1, b.up.gets, "one fetch for all")
	require.Equal(t, 1, b.up.batches, "the answer of the batch was used")
	require.NoError(t, b.Verify(t.Context(), b.copy, p))

	// It is here now, whatever becomes of the upstream.
	b.up.down = errors.New("gone")
	got, err := b.read(b.copy, p)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	down, err = b.Downloads(t.Context(), b.copy, []Pointer{p, q})
	require.NoError(t, err)
	require.NoError(t, down[0].Err, "what is here is served")
	require.Error(t, down[1].Err)
}

// Who looked before an object came, and asks for its bytes afterwards, has them from here.
func TestService_fetchHasEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(7, 1000)
	b.up.objects[p.OID] = content
	c, err := b.Open(t.Context(), b.copy, p)
	require.NoError(t, err)
	require.NoError(t, b.Fetch(t.Context(), b.copy, p))
	r, err := c.Stream(t.Context(), 10)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content[10:], got))
	require.Equal(t, 1, b.up.gets)
}

// A client that leaves does not end the store.
func TestService_fetchGoesOnWithoutItsClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(10, 1<<20)
	b.up.objects[p.OID] = content
	b.up.gate = make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	c, err := b.Open(ctx, b.copy, p)
	require.NoError(t, err)
	r, err := c.Stream(ctx, 0)
	require.NoError(t, err)
	leave()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	close(b.up.gate)
	require.NoError(t, b.Fetch(t.Context(), b.copy, p))
	require.NoError(t, b.Verify(t.Context(), b.copy, p))
	require.Equal(t, 1, b.up.gets)
}

// Bytes of another object are neither kept nor served whole.
func TestService_wrongBytesFromTheUpstream(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 1 << 20} {
		b := newBench(t)
		content, p := someObject(11, size)
		wrong, _ := someObject(12, size)
		b.up.objects[p.OID] = content
		for name, bad := range map[string][]byte{"others": wrong, "more": append(append([]byte{}, content...), 0)} {
			b.up.wrong[p.OID] = bad
			got, err := b.read(b.copy, p)
			requireKind(t, core.KindUpstreamRejected, err)
			require.Contains(t, core.MessageOf(err), "damaged", name)
			require.LessOrEqual(t, len(got), max(size-heldBack, 0), name)
			requireKind(t, core.KindNotFound, b.Verify(t.Context(), b.copy, p))
			require.Empty(t, b.incoming())
		}
		delete(b.up.wrong, p.OID)
		got, err := b.read(b.copy, p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	}
}

// What breaks off is asked for from there.
func TestService_resumesAFetch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(13, 1<<20)
	b.up.objects[p.OID] = content
	b.up.cutAt = 700_000
	done := make(chan error, 1)
	go func() {
		got, err := b.read(b.copy, p)
		if err == nil && !bytes.Equal(content, got) {
			err = errors.New("other bytes")
		}
		done <- err
	}()
	b.clock.Await(fetchPause)
	b.clock.Advance(fetchPause)
	require.NoError(t, <-done)
	require.Equal(t, 2, b.up.gets)
}

func TestService_Put_upstreamFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(14, 1<<20)
	up, err := b.Uploads(t.Context(), b.copy, "refs/heads/main", []Pointer{p})
	require.NoError(t, err)
	require.Equal(t, []Answer{{Pointer: p}}, up)
	require.NoError(t, b.Put(t.Context(), b.copy, p, bytes.NewReader(content)))
	require.True(t, bytes.Equal(content, b.up.objects[p.OID]))
	require.Equal(t, 1, b.up.batches)
	require.NoError(t, b.Verify(t.Context(), b.copy, p))
	up, err = b.Uploads(t.Context(), b.copy, "refs/heads/main", []Pointer{p})
	require.NoError(t, err)
	require.True(t, up[0].Present)

	// It is there, but not here: the client's bytes prove it, and are not sent on.
	there, q := someObject(15, 5000)
	b.up.objects[q.OID] = there
	up, err = b.Uploads(t.Context(), b.copy, "", []Pointer{q})
	require.NoError(t, err)
	require.False(t, up[0].Present)
	requireKind(t, core.KindInvalid, b.Put(t.Context(), b.copy, q, bytes.NewReader(there[:100])))
	require.NoError(t, b.Put(t.Context(), b.copy, q, bytes.NewReader(there)))
	require.Equal(t, 1, b.up.puts)
	require.NoError(t, b.Verify(t.Context(), b.copy, q))

	// It is here, but not there any more: it is wanted once more.
	delete(b.up.objects, p.OID)
	up, err = b.Uploads(t.Context(), b.copy, "", []Pointer{p})
	require.NoError(t, err)
	require.False(t, up[0].Present)
}

// What the upstream does not take is not here either, and nothing wrong reaches it whole.
func TestService_Put_refusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(16, 1<<20)
	quota := core.Errorf(core.KindUpstreamRejected, "upstream: your quota is used up")
	b.up.refuse[p.OID] = quota
	up, err := b.Uploads(t.Context(), b.copy, "", []Pointer{p})
	require.NoError(t, err)
	require.ErrorIs(t, up[0].Err, quota)
	require.ErrorIs(t, b.Put(t.Context(), b.copy, p, bytes.NewReader(content)), quota)
	delete(b.up.refuse, p.OID)

	b.up.putFail = func(int) error { return quota }
	require.ErrorIs(t, b.Put(t.Context(), b.copy, p, bytes.NewReader(content)), quota)
	requireKind(t, core.KindNotFound, b.Verify(t.Context(), b.copy, p))
	b.up.putFail = nil

	other, _ := someObject(17, 1<<20)
	requireKind(t, core.KindInvalid, b.Put(t.Context(), b.copy, p, bytes.NewReader(other)))
	require.Empty(t, b.up.objects)
	require.Empty(t, b.incoming())

	paused := b.copy
	paused.PausedAt = b.clock.Now()
	requireKind(t, core.KindPrecondition, b.Put(t.Context(), paused, p, bytes.NewReader(content)))
}

// An upstream that fails once all bytes are here gets them again without the client.
func TestService_Put_triesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(18, 1<<20)
	b.up.putFail = func(try int) error {
		if try == 1 {
			return core.Errorf(core.KindUpstreamUnavailable, "503")
		}
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- b.Put(t.Context(), b.copy, p, bytes.NewReader(content)) }()
	b.clock.Await(fetchPause)
	b.clock.Advance(fetchPause)
	require.NoError(t, <-done)
	require.True(t, bytes.Equal(content, b.up.objects[p.OID]))
	require.NoError(t, b.Verify(t.Context(), b.copy, p))
}

// A crash between two steps leaves no half object, and nothing that was acknowledged is
// lost.
func TestService_crash(t *testing.T) {
	t.Parallel()
	content, p := someObject(19, 4000)
	for _, point := range []string{"lfs-uploaded", "lfs-object-stored", "lfs-object-recorded"} {
		b := newBench(t)
		b.up.objects[p.OID] = content
		repo := b.local
		b.o.Failpoint = func(name string) {
			if name == point {
				panic("crash at " + name)
			}
		}
		b.open()
		require.Panics(t, func() { _ = b.Put(t.Context(), repo, p, bytes.NewReader(content)) }, point)
		b.o.Failpoint = nil
		b.open()
		require.Empty(t, b.incoming(), point)
		err := b.Verify(t.Context(), repo, p)
		if point == "lfs-object-recorded" {
			require.NoError(t, err)
		} else {
			requireKind(t, core.KindNotFound, err)
		}
		require.NoError(t, b.Put(t.Context(), repo, p, bytes.NewReader(content)), point)
		got, err := b.read(repo, p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), point)
	}
}

func TestService_Sweep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(20, 1000)
	kept, q := someObject(21, 10)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	fork := b.repository("fork", false)
	require.NoError(t, b.store.CopyLFSObjects(t.Context(), b.local.ID, fork.ID, b.clock.Now()))
	require.NoError(t, b.Put(t.Context(), fork, q, bytes.NewReader(kept)))
	sweep := func() int {
		n, _, err := b.Sweep(t.Context())
		require.NoError(t, err)
		return n
	}
	require.NoError(t, b.store.DeleteRepository(t.Context(), b.local.ID))
	require.Zero(t, sweep())
	b.clock.Advance(2 * Grace)
	require.Zero(t, sweep(), "the fork has it")
	_, err := b.read(fork, p)
	require.NoError(t, err)

	dropped, err := b.store.DropLFSObjects(t.Context(), fork.ID, []string{string(p.OID)}, b.clock.Now().Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, 1, dropped)
	require.Zero(t, sweep(), "seen unused for the first time")
	b.clock.Advance(Grace - time.Second)
	require.Zero(t, sweep())
	b.clock.Advance(time.Second)
	n, bytes, err := b.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, p.Size, bytes)
	require.NoFileExists(t, b.files.Path(p.OID))
	_, err = b.read(fork, q)
	require.NoError(t, err)
}

// An object that is taken up again in time stays.
func TestService_Sweep_usedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(22, 1000)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	require.NoError(t, b.store.DeleteRepository(t.Context(), b.local.ID))
	_, _, err := b.Sweep(t.Context())
	require.NoError(t, err)
	other := b.repository("other", false)
	require.NoError(t, b.Put(t.Context(), other, p, bytes.NewReader(content)))
	b.clock.Advance(2 * Grace)
	n, _, err := b.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, b.Verify(t.Context(), other, p))
}

func TestService_locks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, repo := range []core.Repository{b.local, b.copy} {
		l, err := b.Lock(t.Context(), repo, "ada", "a/b.bin", "refs/heads/main")
		require.NoError(t, err)
		require.Equal(t, "ada", l.Owner)
		_, err = b.Lock(t.Context(), repo, "bob", "a/b.bin", "")
		var locked *LockedError
		require.ErrorAs(t, err, &locked)
		require.Equal(t, l.ID, locked.Lock.ID)
		require.Equal(t, "ada", locked.Lock.Owner)
		require.Contains(t, locked.Error(), "locked already by ada")
		for _, path := range []string{"", "/a", "a\nb", "a\x00", ".", "../a", "a/./b", "a//b", "a/"} {
			_, err = b.Lock(t.Context(), repo, "ada", path, "")
			requireKind(t, core.KindInvalid, err)
		}
		for owner, ours := range map[string]bool{"ada": true, "bob": false} {
			all, next, err := b.Locks(t.Context(), repo, owner, LockQuery{})
			require.NoError(t, err)
			require.Empty(t, next)
			require.Equal(t, []OwnedLock{{l, ours}}, all)
		}
		_, err = b.Unlock(t.Context(), repo, "bob", l.ID, "", false)
		requireKind(t, core.KindPermission, err)
		require.Contains(t, core.MessageOf(err), "locked by ada")
		_, err = b.Unlock(t.Context(), repo, "ada", l.ID, "", false)
		require.NoError(t, err)
		_, err = b.Unlock(t.Context(), repo, "ada", "none", "", true)
		requireKind(t, core.KindNotFound, err)
		again, err := b.Lock(t.Context(), repo, "bob", "a/b.bin", "")
		require.NoError(t, err)
		_, err = b.Unlock(t.Context(), repo, "ada", again.ID, "", true)
		require.NoError(t, err, "with force")
		all, _, err := b.Locks(t.Context(), repo, "ada", LockQuery{})
		require.NoError(t, err)
		require.Empty(t, all)
	}
	require.Empty(t, b.up.locks)

	// Somebody has locked at the host, who is not known here.
	b.up.locks = []Lock{{ID: "x", Path: "p", Owner: "account"}}
	all, _, err := b.Locks(t.Context(), b.copy, "ada", LockQuery{})
	require.NoError(t, err)
	require.Equal(t, []OwnedLock{{b.up.locks[0], false}}, all)
	_, err = b.Unlock(t.Context(), b.copy, "ada", "x", "", false)
	requireKind(t, core.KindPermission, err)
}

func TestService_Locks_pages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"a", "b", "c"} {
		_, err := b.Lock(t.Context(), b.local, "ada", path, "")
		require.NoError(t, err)
		b.clock.Advance(time.Second)
	}
	first, next, err := b.Locks(t.Context(), b.local, "ada", LockQuery{Limit: 2})
	require.NoError(t, err)
	require.Len(t, first, 2)
	rest, end, err := b.Locks(t.Context(), b.local, "ada", LockQuery{Limit: 2, Cursor: next})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, "c", rest[0].Path)
	require.Empty(t, end)
	one, _, err := b.Locks(t.Context(), b.local, "ada", LockQuery{Path: "b"})
	require.NoError(t, err)
	require.Len(t, one, 1)
}

// TestService_classOfBreak has the bytes of an object end with an error of a class: the
// class decides what is said and whether the object is asked for again.
func TestService_classOfBreak(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(77, 5000)
	b.up.objects[p.OID] = content
	spoiled := errors.New("the host sends more than its bytes")
	b.up.spoiled = spoiled
	require.NoError(t, b.Close())
	b.o.Failure = func(op string, err error) error {
		if errors.Is(err, spoiled) {
			return &core.Error{Kind: core.KindUpstreamRejected, Op: op, Message: "what the host sends is damaged", Err: err}
		}
		return err
	}
	b.open()
	err := b.Fetch(t.Context(), b.copy, p)
	requireKind(t, core.KindUpstreamRejected, err)
	require.Contains(t, err.Error(), "is damaged")
	require.Equal(t, 1, b.up.gets, "it would be damaged again")
	require.Empty(t, b.incoming())
}

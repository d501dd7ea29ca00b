package lfs

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// changeByte changes one byte of the file of an object, as a disk does.
func (b *bench) changeByte(p Pointer, offset int64) {
	b.t.Helper()
	f, err := os.OpenFile(b.files.Path(p.OID), os.O_RDWR, 0)
	require.NoError(b.t, err)
	one := make([]byte, 1)
	_, err = f.ReadAt(one, offset)
	require.NoError(b.t, err)
	one[0] ^= 1
	_, err = f.WriteAt(one, offset)
	require.NoError(b.t, err)
	require.NoError(b.t, f.Close())
}

// An object that the disk has changed is never served: a mirror has it fetched again by
// the same request, and of a local repository is said what happened, until somebody pushes
// it again.
func TestService_changedByte(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	content, p := someObject(1, 300<<10)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	b.clock.Advance(2 * proofLife)
	got, err := b.read(b.local, p)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	b.clock.Advance(2 * proofLife)

	b.changeByte(p, 100)
	_, err = b.read(b.local, p)
	requireKind(t, core.KindNotFound, err)
	require.Contains(t, core.MessageOf(err), "damaged on this server's disk")
	require.Contains(t, core.MessageOf(err), "git lfs push --all")
	damaged, err := b.files.Damaged()
	require.NoError(t, err)
	require.Equal(t, []OID{p.OID}, damaged)
	down, err := b.Downloads(t.Context(), b.local, []Pointer{p})
	require.NoError(t, err)
	require.Contains(t, core.MessageOf(down[0].Err), "damaged on this server's disk")
	other := b.repository("other", false)
	down, err = b.Downloads(t.Context(), other, []Pointer{p})
	require.NoError(t, err)
	require.NotContains(t, core.MessageOf(down[0].Err), "damaged", "it says nothing of what others have")

	up, err := b.Uploads(t.Context(), b.local, "", []Pointer{p})
	require.NoError(t, err)
	require.False(t, up[0].Present, "it is asked for again")
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	got, err = b.read(b.local, p)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	damaged, err = b.files.Damaged()
	require.NoError(t, err)
	require.Empty(t, damaged)

	// A mirror's.
	content, p = someObject(2, 300<<10)
	b.up.objects[p.OID] = content
	require.NoError(t, b.Fetch(t.Context(), b.copy, p))
	for _, damage := range []func(){
		func() { b.changeByte(p, 299<<10) },
		func() { require.NoError(t, os.Truncate(b.files.Path(p.OID), 1000)) },
	} {
		b.clock.Advance(2 * proofLife)
		damage()
		got, err = b.read(b.copy, p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
		require.Eventually(t, func() bool {
			sound, err := b.files.Sound(t.Context(), p.OID)
			return err == nil && sound && b.idle()
		}, time.Minute, 10*time.Millisecond, "it is here again")
	}
}

// idle says whether nothing comes from an upstream, so that nobody reads along with it.
func (b *bench) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.fetches) == 0
}

// Who reads along with an object whose file is cut short under it gets an error, and does
// not read for ever.
func TestDraft_fileIsCutShort(t *testing.T) {
	t.Parallel()
	content, p := someObject(9, 10<<10)
	d, err := newDraft(t.TempDir(), p)
	require.NoError(t, err)
	t.Cleanup(d.close)
	_, err = d.Write(content)
	require.NoError(t, err)
	require.NoError(t, d.check())
	d.release()
	require.NoError(t, os.Truncate(d.file.Name(), 1000))
	r := d.open(t.Context(), 0)
	require.NotNil(t, r)
	defer func() { require.NoError(t, r.Close()) }()
	got, err := io.ReadAll(r)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.True(t, bytes.Equal(content[:1000], got))
}

// Of a large object that the disk has changed the last bytes are never sent, wherever a
// reader begins.
func TestService_changedByteOfALargeObject(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.proveFirst = 1 << 20
	content, p := someObject(3, 1<<20+heldBack+1000)
	require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	open := func() Content {
		b.clock.Advance(2 * proofLife)
		c, err := b.Open(t.Context(), b.local, p)
		require.NoError(t, err)
		return c
	}
	for _, from := range []int64{0, 1000, p.Size - 10} {
		c := open()
		_, err := c.Blob.Seek(from, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(c.Blob)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[from:], got), from)
		require.NoError(t, c.Close())
	}
	for _, from := range []int64{0, 1000, p.Size - 10} {
		b.changeByte(p, p.Size-5)
		c := open()
		_, err := c.Blob.Seek(from, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(c.Blob)
		requireKind(t, core.KindNotFound, err)
		require.LessOrEqual(t, from+int64(len(got)), max(p.Size-heldBack, from))
		require.NoError(t, c.Close())
		_, err = b.read(b.local, p)
		require.Contains(t, core.MessageOf(err), "damaged on this server's disk")
		require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
	}
}

// All objects are read once in a month, also if nobody asks for them, and one that is cut
// short goes on where it was.
func TestService_rotation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all []Pointer
	for seed := range byte(5) {
		content, p := someObject(10+seed, 10<<10)
		require.NoError(t, b.Put(t.Context(), b.local, p, bytes.NewReader(content)))
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Pointer) int { return strings.Compare(string(a.OID), string(b.OID)) })
	require.NoError(t, b.Round(t.Context()))
	b.changeByte(all[2], 5)
	require.NoError(t, b.Round(t.Context()))
	damaged, err := b.files.Damaged()
	require.NoError(t, err)
	require.Empty(t, damaged, "it was read a moment ago")
	b.clock.Advance(verifyEvery)
	require.NoError(t, b.Round(t.Context()))
	damaged, err = b.files.Damaged()
	require.NoError(t, err)
	require.Equal(t, []OID{all[2].OID}, damaged)

	// The next one ends in the middle: a large object is read slowly.
	var large Pointer
	var content []byte
	for seed := byte(50); large.OID < all[1].OID; seed++ {
		content, large = someObject(seed, verifyRate+1)
	}
	require.NoError(t, b.Put(t.Context(), b.local, large, bytes.NewReader(content)))
	b.clock.Advance(verifyEvery)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Round(ctx) }()
	require.Eventually(t, func() bool { return b.isProven(all[1].OID) }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	b.changeByte(all[0], 5)
	b.changeByte(large, 5)
	b.open() // after a restart
	ended = make(chan error, 1)
	go func() { ended <- b.Round(t.Context()) }()
	require.Eventually(t, func() bool { b.clock.Advance(time.Second); return len(ended) == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, <-ended)
	damaged, err = b.files.Damaged()
	require.NoError(t, err)
	require.ElementsMatch(t, []OID{all[2].OID, large.OID}, damaged, "those that it had read are not read again")
}

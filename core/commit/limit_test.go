package commit

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// TestService_takesASlot lets every write meet a server that is full: it is
// refused, and served once there is room.
func TestService_takesASlot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("a")
	tip := b.mustPut(r, "a", "1").Commit
	caller := Caller{Repo: r, Actor: core.Actor{Subject: "t"}}
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1}, Waiting: -1})
	writes := []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"commit", func(ctx context.Context) error {
			in := &uploading{t: t, pieces: pieces{{Content: "1", Data: []byte("2"), Last: true}}, limiter: l}
			_, err := b.CommitFiles(ctx, Commit{Caller: caller, Signed: signed(), Branch: "main"}, []File{{Path: "b", Content: "1"}}, in)
			return err
		}},
		{"branch", func(ctx context.Context) error {
			_, _, err := b.CreateBranch(ctx, NewBranch{Caller: caller, Branch: "other", Base: string(tip)})
			return err
		}},
		{"tag", func(ctx context.Context) error { _, err := b.CreateTag(ctx, caller, "v1", string(tip)); return err }},
		{"merge", func(ctx context.Context) error {
			_, err := b.Merge(ctx, Merge{Caller: caller, Signed: signed(), Source: "main", Target: "other", Strategy: StrategyMerge})
			return err
		}},
		{"note", func(ctx context.Context) error {
			_, err := b.AddNote(ctx, Note{Caller: caller, Object: string(tip), Text: "n"})
			return err
		}},
		{"restore", func(ctx context.Context) error {
			_, err := b.Restore(ctx, Commit{Caller: caller, Signed: signed(), Branch: "main"}, string(tip))
			return err
		}},
		{"tag deletion", func(ctx context.Context) error { return b.DeleteTag(ctx, caller, "v1") }},
		{"branch deletion", func(ctx context.Context) error { return b.DeleteBranch(ctx, caller, "other", false) }},
	}
	full, err := l.Acquire(t.Context(), limit.Key{})
	require.NoError(t, err)
	for _, w := range writes {
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: "org"})
		require.Equal(t, core.KindRateLimited, core.KindOf(w.run(ctx)), w.name)
		end()
	}
	full()
	for _, w := range writes {
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: "org"})
		require.NoError(t, w.run(ctx), w.name)
		require.Equal(t, 1, l.Load().Running, w.name)
		end()
	}
	require.Zero(t, l.Load())
}

// uploading holds that no slot is taken while an upload comes in: how long that
// takes is up to the client.
type uploading struct {
	t *testing.T
	pieces
	limiter *limit.Limiter
}

// Next is the next piece.
func (u *uploading) Next() (Chunk, error) {
	require.Zero(u.t, u.limiter.Load().Running)
	return u.pieces.Next()
}

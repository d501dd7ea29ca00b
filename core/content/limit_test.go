package content

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// TestService_waitsForRoom lets everything that counts as work meet a service
// that is busy: it waits, and gives up with its context.
func TestService_waitsForRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "x\n")
	f.run("update-ref", "refs/heads/other", "main")
	for range cap(f.room) {
		f.room <- struct{}{}
	}
	work := map[string]func(ctx context.Context) error{
		"search": func(ctx context.Context) error {
			_, err := f.Grep(ctx, f.repo, GrepRequest{Pattern: "x"})
			return err
		},
		"history": func(ctx context.Context) error {
			_, err := f.Commits(ctx, f.repo, CommitsRequest{Limit: 1})
			return err
		},
		"metadata": func(ctx context.Context) error {
			files, err := f.Files(ctx, f.repo, FilesRequest{})
			if err == nil {
				_, _, err = files.Metadata(ctx, func(FileMetadata) error { return nil })
			}
			return err
		},
		"merge": func(ctx context.Context) error {
			_, err := f.PreviewMerge(ctx, f.repo, MergePreviewRequest{Source: at("other"), Target: at("main")})
			return err
		},
	}
	busy := core.Errorf(core.KindTimeout, "too busy")
	for name, run := range work {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, busy)
		require.ErrorIs(t, run(ctx), busy, name)
		cancel()
	}
	for range cap(f.room) {
		<-f.room
	}
	for name, run := range work {
		require.NoError(t, run(t.Context()), name)
	}
	require.Empty(t, f.room)
}

// TestLimited_tellsWhy holds that whoever notices the end of the time says the
// same: the pool, a git that has not begun, and one that runs.
func TestLimited_tellsWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "x")
	ctx, cancel := limited(t.Context(), time.Nanosecond, "the test")
	defer cancel()
	<-ctx.Done()
	_, err := f.commits(ctx, f.dir, "main")
	require.Equal(t, core.KindTimeout, core.KindOf(err), "%v", err)
	_, err = f.git.Stream(ctx, git.Command{Name: "rev-list", Dir: f.dir, Args: []string{"main"}})
	require.Equal(t, core.KindTimeout, core.KindOf(err), "%v", err)
	require.Contains(t, core.MessageOf(err), "the test took longer than 1ns")

	// It waits for input that does not come.
	ctx, cancel = limited(t.Context(), 50*time.Millisecond, "the test")
	defer cancel()
	in, feed, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer feed.Close()
	out, err := f.git.Stream(ctx, git.Command{Name: "cat-file", Dir: f.dir, Flags: []string{"--batch"}, Stdin: in})
	require.NoError(t, err)
	require.Equal(t, core.KindTimeout, core.KindOf(drain(out)))
}

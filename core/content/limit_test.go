package content

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
)

// TestService_takesASlot lets every read meet a server that is full: it is
// refused, and served once there is room. What was taken goes back at the end
// of the request, also of one whose answer nobody read.
func TestService_takesASlot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "x\n")
	f.run("update-ref", "refs/heads/other", "main")
	f.run("tag", "v1", "main")
	f.run("notes", "add", "-m", "note", "main")
	head := f.run("rev-parse", "main")
	reads := map[string]func(ctx context.Context) error{
		"search": func(ctx context.Context) error { _, err := f.Grep(ctx, f.repo, GrepRequest{Pattern: "x"}); return err },
		"history": func(ctx context.Context) error {
			_, err := f.Commits(ctx, f.repo, CommitsRequest{Limit: 1})
			return err
		},
		"commit": func(ctx context.Context) error { _, err := f.Commit(ctx, f.repo, at("main")); return err },
		"file":   func(ctx context.Context) error { _, err := f.File(ctx, f.repo, at("main"), "a"); return err },
		"branch": func(ctx context.Context) error { _, err := f.Branch(ctx, f.repo, core.Default, "main"); return err },
		"branches": func(ctx context.Context) error {
			_, _, err := f.Branches(ctx, f.repo, core.Default, RefsPage{Limit: 5})
			return err
		},
		"tag":      func(ctx context.Context) error { _, err := f.Tag(ctx, f.repo, "v1"); return err },
		"tags":     func(ctx context.Context) error { _, _, err := f.Tags(ctx, f.repo, RefsPage{Limit: 5}); return err },
		"note":     func(ctx context.Context) error { _, err := f.Note(ctx, f.repo, head, ""); return err },
		"revision": func(ctx context.Context) error { _, err := f.Resolve(ctx, f.repo, core.Default, "main"); return err },
		"blame": func(ctx context.Context) error {
			x, err := f.Blame(ctx, f.repo, BlameRequest{At: at("main"), Path: "a"})
			return closed(x, err)
		},
		"archive": func(ctx context.Context) error {
			x, err := f.OpenArchive(ctx, f.repo, ArchiveRequest{})
			return closed(x, err)
		},
		"diff": func(ctx context.Context) error {
			x, err := f.CommitDiff(ctx, f.repo, CommitDiffRequest{Head: at("main")})
			return closed(x, err)
		},
		"branch diff": func(ctx context.Context) error {
			x, err := f.BranchDiff(ctx, f.repo, BranchDiffRequest{Branch: at("other"), Base: at("main")})
			return closed(x, err)
		},
		"files and metadata": func(ctx context.Context) error {
			files, err := f.Files(ctx, f.repo, FilesRequest{})
			if err == nil {
				_, _, err = files.Metadata(ctx, func(FileMetadata) error { return nil })
			}
			return err
		},
		"merge preview": func(ctx context.Context) error {
			_, err := f.PreviewMerge(ctx, f.repo, MergePreviewRequest{Source: at("other"), Target: at("main")})
			return err
		},
	}
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1}, Waiting: -1})
	full, err := l.Acquire(t.Context(), limit.Key{})
	require.NoError(t, err)
	for name, read := range reads {
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: "org"})
		require.Equal(t, core.KindRateLimited, core.KindOf(read(ctx)), name)
		end()
	}
	full()
	for name, read := range reads {
		ctx, cancel := context.WithCancel(t.Context())
		ctx, end := l.Request(ctx, limit.Caller{Organisation: "org"})
		require.NoError(t, read(ctx), name)
		require.Equal(t, 1, l.Load().Running, name)
		end()
		cancel()
	}
	require.Zero(t, l.Load())
}

// closed ends an answer that nobody reads.
func closed(answer io.Closer, err error) error {
	if err != nil {
		return err
	}
	return answer.Close()
}

// TestService_heavyWorkWaits lets what is heavy meet a limiter whose heavy work
// is all in hand: it waits, and gives up with its context.
func TestService_heavyWorkWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "x\n")
	f.run("update-ref", "refs/heads/other", "main")
	l := limit.New(limit.Options{Work: 1})
	busyCtx, end := l.Request(t.Context(), limit.Caller{Organisation: "busy"})
	defer end()
	done, err := limit.Work(busyCtx)
	require.NoError(t, err)
	work := map[string]func(ctx context.Context) error{
		"search": func(ctx context.Context) error { _, err := f.Grep(ctx, f.repo, GrepRequest{Pattern: "x"}); return err },
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
		ctx, end := l.Request(ctx, limit.Caller{Organisation: "org"})
		require.ErrorIs(t, run(ctx), busy, name)
		end()
		cancel()
	}
	done()
	for name, run := range work {
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: "org"})
		require.NoError(t, run(ctx), name)
		end()
	}
	require.Zero(t, l.Load().Waiting)
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

package maintain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// verifiedMarker is the file in a repository whose age is that of the last look at
	// the checksums of its packs.
	verifiedMarker = "headwater-verified"
	// verifyEvery is how often the packs of a repository are read.
	verifyEvery = 30 * 24 * time.Hour
	// verifyPause is how long the rotation rests when nothing is due.
	verifyPause = time.Hour
	// verifyRate is how many bytes are read in a second at most: a small part of what a
	// disk can do, and a few hundredths of one processor.
	verifyRate = 16 << 20
)

// Rotation reads the packs of all repositories, slowly, one after the other, and
// compares each with the checksum at its end. So a byte that a disk has changed is
// found although nobody reads it. It is safe to stop and to start at any time.
type Rotation struct {
	Git   *git.Git
	IDs   func(ctx context.Context) ([]string, error) // of all repositories
	Path  func(repoID string) string
	Clock core.Clock
	// Suspect gets the repository that has a pack that is not what it was, or a ref
	// without an object.
	Suspect func(repoID, reason string)
	// Failed gets what could not be read.
	Failed func(repoID string, err error)

	read int64 // bytes since the last pause
}

// Run reads until ctx ends.
func (r *Rotation) Run(ctx context.Context) error {
	loop.Every(ctx, r.Clock, verifyPause, func(ctx context.Context) {
		if err := r.Round(ctx); err != nil && ctx.Err() == nil {
			r.Failed("", err)
		}
	})
	return nil
}

// Round reads the packs of the repositories that are due.
func (r *Rotation) Round(ctx context.Context) error {
	ids, err := r.IDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		dir := r.Path(id)
		marker := filepath.Join(dir, verifiedMarker)
		if info, err := os.Stat(marker); err == nil && r.Clock.Now().Sub(info.ModTime()) < verifyEvery {
			continue
		}
		if _, err := os.Stat(dir); err != nil {
			continue // whether it is missing is found elsewhere
		}
		if err := r.verify(ctx, id, dir); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.Failed(id, err)
			continue
		}
		now := r.Clock.Now()
		if err := errors.Join(os.WriteFile(marker, nil, 0o600), os.Chtimes(marker, now, now)); err != nil {
			r.Failed(id, err) // it is read again with the next round
		}
	}
	return nil
}

// verify reads the packs of a repository and their indexes.
func (r *Rotation) verify(ctx context.Context, id, dir string) error {
	config, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		return err
	}
	for _, pattern := range []string{"objects/pack/pack-*.pack", "objects/pack/pack-*.idx"} {
		names, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			good, err := git.EndsWithChecksum(filepath.Join(dir, name), git.HashIn(config), r.pace(ctx))
			switch {
			case errors.Is(err, fs.ErrNotExist): // repacked meanwhile
			case err != nil:
				return err
			case !good:
				r.Suspect(id, fmt.Sprintf("%s is not what it was when it was written", filepath.Base(name)))
			}
		}
	}
	damaged, err := r.Git.VerifyTips(ctx, dir)
	if damaged != "" {
		r.Suspect(id, damaged)
	}
	return err
}

// pace counts bytes that were read, and waits for a second after each [verifyRate].
func (r *Rotation) pace(ctx context.Context) func(n int64) error {
	return func(n int64) error {
		if r.read += n; r.read >= verifyRate {
			if r.read = 0; !loop.Sleep(ctx, r.Clock, time.Second, nil) {
				return context.Cause(ctx)
			}
		}
		return nil
	}
}

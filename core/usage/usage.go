// Package usage measures how much of the disk repositories hold.
//
// A repository is measured after each change of its refs and after maintenance, and all
// of them from time to time, since git writes for reasons of its own, too. What was
// measured, with the LFS objects that the repository has, is a column of the repository: listings sort by it, and limits are held
// against its sum.
package usage

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// everything is how long it takes until all repositories are measured again. With five
// hundred of them that is about a second's work.
const everything = time.Hour

// Store is what this package needs of [core.Store].
type Store interface {
	RepositoryIDs(ctx context.Context) ([]string, error)
	SetDiskSize(ctx context.Context, id string, bytes int64, at time.Time) error
	LFSUsage(ctx context.Context, repoID string) (core.LFSUsage, error)
}

// Options configures [New]. All is required but Logger.
type Options struct {
	Store  Store
	Path   func(id string) string // folder of a repository
	Clock  core.Clock
	Logger hclog.Logger
}

// Service measures repositories. It is safe for concurrent use.
type Service struct {
	o    Options
	wake loop.Signal

	mu  sync.Mutex
	due map[string]struct{}
}

// New returns a service that measures nothing before Run, but for Measure.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{o: o, wake: loop.NewSignal(), due: map[string]struct{}{}}
}

// Due has a repository measured soon. It never blocks.
func (s *Service) Due(id string) {
	s.mu.Lock()
	s.due[id] = struct{}{}
	s.mu.Unlock()
	s.wake.Set()
}

// Run measures until ctx ends: all repositories at once and again each hour, and
// meanwhile those that are due.
func (s *Service) Run(ctx context.Context) error {
	var next time.Time
	for ctx.Err() == nil {
		if now := s.o.Clock.Now(); !now.Before(next) {
			s.all(ctx)
			next = now.Add(everything)
		}
		for _, id := range s.take() {
			if err := s.Measure(ctx, id); err != nil && ctx.Err() == nil {
				s.o.Logger.Warn("a repository could not be measured", "repo_id", id, "error", err)
			}
		}
		if !loop.SleepUntil(ctx, s.o.Clock, next, s.wake) {
			return nil
		}
	}
	return nil
}

func (s *Service) all(ctx context.Context) {
	ids, err := s.o.Store.RepositoryIDs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.o.Logger.Warn("repositories could not be measured", "error", err)
		}
		return
	}
	for _, id := range ids {
		s.Due(id)
	}
}

// take returns what is due.
func (s *Service) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.due {
		ids = append(ids, id)
	}
	clear(s.due)
	return ids
}

// Measure measures one repository now. One that is not there any more is no error.
func (s *Service) Measure(ctx context.Context, id string) error {
	size, err := folderSize(ctx, s.o.Path(id))
	if err != nil {
		return err
	}
	lfs, err := s.o.Store.LFSUsage(ctx, id)
	if err != nil {
		return err
	}
	// Objects that forks share count for each: who deletes one of them frees nothing.
	size += lfs.Bytes
	err = s.o.Store.SetDiskSize(ctx, id, size, s.o.Clock.Now())
	if core.KindOf(err) == core.KindNotFound {
		return nil // deleted meanwhile
	}
	return err
}

// folderSize returns the length of all files of a folder, in bytes. Files that go
// meanwhile are none; a folder that is not there holds nothing.
func folderSize(ctx context.Context, dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !e.Type().IsRegular():
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

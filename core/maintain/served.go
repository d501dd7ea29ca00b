package maintain

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// servedRest is the shortest time between two looks at one repository.
	servedRest = time.Minute
	// servedShare is how many times longer than a look the next one at the same
	// repository is away at least, so that they cost a hundredth of the time.
	servedShare = 100
	// servedTogether is the same of looks at all repositories: a twentieth.
	servedTogether = 20
)

// Served looks for damage in a repository soon after somebody was sent objects of it, or
// was answered that a ref is not there: it compares its files with their checksums, and
// looks whether the objects are there that refs name. Git copies a packed object into the pack of a clone as it is,
// so a byte that a disk has changed is found by the client alone, which cannot say so
// to the server; and where a pack is gone, git says of its objects that nobody knows
// them, as it does of a wrong id. It is safe for concurrent use. Make one with [NewServed].
type Served struct {
	o    ServedOptions
	wake loop.Signal

	mu sync.Mutex
	// wanted are the repositories to be looked at, by the time from which they may be.
	wanted map[string]time.Time
	// rests is until when a repository is left alone.
	rests *loop.Pauses
}

// ServedOptions configures [NewServed]. All are required.
type ServedOptions struct {
	Git   *git.Git
	Path  func(repoID string) string
	Clock core.Clock
	// Suspect gets the repository that has a file which is not what it was, or a ref
	// without an object.
	Suspect func(repoID, reason string)
	// Failed gets what could not be read.
	Failed func(repoID string, err error)
}

// NewServed returns one that looks at nothing until Run.
func NewServed(o ServedOptions) *Served {
	return &Served{o: o, wake: loop.NewSignal(), wanted: map[string]time.Time{}, rests: loop.NewPauses(o.Clock)}
}

// Want has the repository looked at, at once if that was not done a short time ago. It
// does not wait.
func (s *Served) Want(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.wanted[repoID]; ok {
		return
	}
	s.wanted[repoID] = s.rests.Until(repoID)
	s.wake.Set()
}

// Run looks at what is wanted, one repository after the other, until ctx ends.
func (s *Served) Run(ctx context.Context) error {
	for {
		id, at := s.next()
		if id == "" || at.After(s.o.Clock.Now()) {
			if !loop.SleepUntil(ctx, s.o.Clock, at, s.wake) {
				return nil
			}
			continue
		}
		began := s.o.Clock.Now()
		s.look(ctx, id)
		took := s.o.Clock.Now().Sub(began)
		s.rests.Set(id, max(servedRest, servedShare*took))
		if took > 0 && !loop.Sleep(ctx, s.o.Clock, (servedTogether-1)*took, nil) {
			return nil
		}
	}
}

// next returns the repository that is due first, and when; "" and the zero time: none
// is wanted. One that is due now is wanted no more.
func (s *Served) next() (id string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, t := range s.wanted {
		if id == "" || t.Before(at) {
			id, at = other, t
		}
	}
	if !at.After(s.o.Clock.Now()) {
		delete(s.wanted, id) // before it is read: what is sent meanwhile is looked at again
	}
	return id, at
}

// look reads the files of a repository.
func (s *Served) look(ctx context.Context, id string) {
	damaged, err := git.VerifyFiles(ctx, s.o.Path(id))
	if err == nil && damaged == "" {
		damaged, err = s.o.Git.VerifyTips(ctx, s.o.Path(id))
	}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, fs.ErrNotExist): // repacked meanwhile, or missing, which is found elsewhere
	case err != nil:
		s.o.Failed(id, err)
	case damaged != "":
		s.o.Suspect(id, damaged)
	}
}

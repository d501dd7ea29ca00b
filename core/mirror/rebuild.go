package mirror

import (
	"context"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/progress"
)

// blockedPause is how long a repository rests that cannot be compared with its
// upstream, because it is not here.
const blockedPause = time.Minute

// Rebuilds puts whole folders in the place of damaged ones. [*rebuild.Service] does.
type Rebuilds interface {
	// Needed reports whether the folder of a repository is to be replaced. An error
	// says that nothing may be done before a person acts.
	Needed(r core.Repository) (bool, error)
	// Begin returns the folder to fetch the upstream into, with an earlier attempt's
	// content if there was one.
	Begin(ctx context.Context, r core.Repository) (dir string, err error)
	// Finish puts it in the place of the damaged one, with what can be had from that.
	Finish(ctx context.Context, r core.Repository, dir string) error
}

// rebuilding reports whether the folder of a repository is missing or damaged, so that
// nothing is to be read in it.
func (s *Service) rebuilding(r core.Repository) bool {
	if s.o.Rebuilds == nil {
		return false
	}
	needed, err := s.o.Rebuilds.Needed(r)
	return needed || err != nil
}

// rebuild fetches the upstream into a new folder, beside the one that is missing or
// damaged, and puts it in its place. The run goes on from there like any other: what
// the upstream has changed since is followed by the repository's policies.
func (s *Service) rebuild(ctx context.Context, x *run) error {
	if s.o.Rebuilds == nil {
		return nil
	}
	if needed, err := s.o.Rebuilds.Needed(x.repo); !needed || err != nil {
		return err
	}
	if err := s.begin(ctx, x); err != nil {
		return err
	}
	l := s.listFor(ctx, x.repo, "")
	if l.err != nil {
		return l.err
	}
	x.Ref = "" // one ref would not do
	if f := l.adv.ObjectFormat; f != "" && f != x.repo.ObjectFormat && x.First {
		if err := s.store.SetObjectFormat(ctx, x.RepoID, f); err != nil {
			return err
		}
		x.repo.ObjectFormat = f
	}
	dir, err := s.o.Rebuilds.Begin(ctx, x.repo)
	if err != nil {
		return fmt.Errorf("rebuild the repository: %w", err)
	}
	start := s.clock.Now()
	identified := x.inquiry.During(ctx, x.First)
	err = s.fetchInto(ctx, x, dir, l)
	x.phase("fetch", s.clock.Now().Sub(start))
	// Even if the fetch failed: that may be why.
	ierr := identified()
	x.repo.Upstream = x.inquiry.Upstream()
	if ierr != nil {
		return ierr
	}
	if err != nil {
		if ctx.Err() == nil {
			s.recordContact(x.repo, err)
		}
		return err
	}
	if err := s.o.Rebuilds.Finish(ctx, x.repo, dir); err != nil {
		return fmt.Errorf("rebuild the repository: %w", err)
	}
	return nil
}

// fetchInto fetches all that the repository mirrors into tracking refs of a folder, in
// the steps of a first mirror, so that a retry goes on where this one was cut.
func (s *Service) fetchInto(ctx context.Context, x *run, dir string, l *listing) error {
	all := without(l.scope.refspecs(), l.skipped)
	if len(all) == 0 {
		return nil
	}
	steps := append(firstSteps(l.adv), all)
	for i, specs := range steps {
		s.setProgress(x.RepoID, func(p *core.Progress) { p.Step, p.Steps = i+1, len(steps) })
		flags := []string{"--progress"} // stderr is no terminal
		if i == len(steps)-1 {
			flags = append(flags, "--prune") // of what an earlier attempt brought
		}
		lines := progress.NewLineWriter(func(line []byte, _ bool) { s.parseProgress(x, line) })
		err := s.gitFetch(ctx, x.repo, specs, git.Command{Dir: dir, Flags: flags, Config: []git.Config{git.NoRefFlush()}, Stderr: lines})
		_ = lines.Close()
		if err != nil {
			return fmt.Errorf("fetch from the upstream: %w", err)
		}
	}
	return nil
}

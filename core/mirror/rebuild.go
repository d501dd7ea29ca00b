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
func (m *Mirror) rebuilding(r core.Repository) bool {
	if m.rebuilds == nil {
		return false
	}
	needed, err := m.rebuilds.Needed(r)
	return needed || err != nil
}

// rebuild fetches the upstream into a new folder, beside the one that is missing or
// damaged, and puts it in its place. The run goes on from there like any other: what
// the upstream has changed since is followed by the repository's policies.
func (x *run) rebuild(ctx context.Context) error {
	if x.rebuilds == nil {
		return nil
	}
	if needed, err := x.rebuilds.Needed(x.repo); !needed || err != nil {
		return err
	}
	if err := x.begin(ctx); err != nil {
		return err
	}
	l := x.listFor(ctx, x.repo, "")
	if l.err != nil {
		return l.err
	}
	x.Ref = "" // one ref would not do
	if f := l.adv.ObjectFormat; f != "" && f != x.repo.ObjectFormat && x.First {
		if err := x.store.SetObjectFormat(ctx, x.RepoID, f); err != nil {
			return err
		}
		x.repo.ObjectFormat = f
	}
	dir, err := x.rebuilds.Begin(ctx, x.repo)
	if err != nil {
		return fmt.Errorf("rebuild the repository: %w", err)
	}
	if err := x.fetchIdentified(ctx, func(ctx context.Context) error { return x.fetchInto(ctx, dir, l) }); err != nil {
		return err
	}
	if err := x.rebuilds.Finish(ctx, x.repo, dir); err != nil {
		return fmt.Errorf("rebuild the repository: %w", err)
	}
	return nil
}

// fetchInto fetches all that the repository mirrors into tracking refs of a folder, in
// the steps of a first mirror, so that a retry goes on where this one was cut.
func (x *run) fetchInto(ctx context.Context, dir string, l *listing) error {
	all := without(l.scope.refspecs(), l.skipped)
	if len(all) == 0 {
		return nil
	}
	steps := append(firstSteps(l.adv), all)
	for i, specs := range steps {
		x.running.change(x.RepoID, func(p *core.Progress) { p.Step, p.Steps = i+1, len(steps) })
		flags := []string{"--progress"} // stderr is no terminal
		if i == len(steps)-1 {
			flags = append(flags, "--prune") // of what an earlier attempt brought
		}
		lines := progress.NewLineWriter(func(line []byte, _ bool) { x.parseProgress(line) })
		err := x.gitFetch(ctx, x.repo, specs, git.Command{Dir: dir, Flags: flags, Config: []git.Config{git.NoRefFlush()}, Stderr: lines})
		_ = lines.Close()
		if err != nil {
			return fmt.Errorf("fetch from the upstream: %w", err)
		}
	}
	return nil
}

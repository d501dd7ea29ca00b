package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/progress"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
)

// refspec returns the refspec that fetches an upstream ref into its tracking
// ref. The "+" takes forced moves; without it git refuses a moved tag.
func refspec(name string) string { return "+" + name + ":" + core.TrackingRef(name) }

// Sessions that push write the tracking refs of what the upstream took, while a
// fetch may be at the same ones. Git from 2.51 on writes all refs of a fetch in
// one transaction, and so keeps all of them locked at once.
const (
	// refWait is how long a fetch waits for a tracking ref that a session has
	// locked. A session that finds one locked writes its public refs without it.
	refWait = 10 * time.Second
	// fetchAttempts is how often a fetch is made whose tracking refs were moved
	// between git's look and its write.
	fetchAttempts = 4
)

// contend fetches once more when sessions were at the same tracking refs.
func (s *Service) contend(ctx context.Context, x *run, fetch func() error) error {
	for attempt := 1; ; attempt++ {
		err := fetch()
		if !git.Contended(err) || attempt == fetchAttempts || ctx.Err() != nil {
			return err
		}
		s.log.Debug("tracking refs were written by others meanwhile; fetching again", "repo_id", x.RepoID, "error", err)
	}
}

// fetchAll brings the tracking refs up to the upstream. A first mirror goes in
// two steps: the refs of the first pin its objects, so that a retry continues
// there. The second brings objects only; a file per ref, made, locked and soon
// packed again, would cost more than the objects where there are many refs.
func (s *Service) fetchAll(ctx context.Context, x *run, adv discovery.Advertisement) error {
	all := without(x.scope.refspecs(), x.skipped)
	if len(all) == 0 {
		return nil
	}
	if !x.First {
		return s.fetchListed(ctx, x, adv, all)
	}
	// An earlier attempt may have left refs, and no step prunes.
	have, err := s.git.RefMap(ctx, s.repos.Path(x.RepoID), core.TrackingPrefix)
	if err != nil {
		return err
	}
	if err := s.dropGone(ctx, x, have, adv); err != nil {
		return err
	}
	steps := append(firstSteps(adv), all)
	for i, specs := range steps {
		s.setProgress(x.RepoID, func(p *core.Progress) { p.Step, p.Steps = i+1, len(steps) })
		var extra []string
		if i == len(steps)-1 {
			extra = []string{"--dry-run"} // takes the objects, and writes no ref
		}
		if err := s.fetch(ctx, x, specs, extra...); err != nil {
			return err
		}
	}
	return s.track(ctx, x, adv)
}

// track writes the tracking refs of a first mirror after its objects came. What
// the listings before and after the fetch agree on is what the fetch saw; the
// rest, of a branch that moved meanwhile, is left to the next run.
func (s *Service) track(ctx context.Context, x *run, before discovery.Advertisement) error {
	after, _, err := s.list(ctx, x.repo, x.scope)
	if err != nil {
		return fmt.Errorf("after the fetch: %w", err)
	}
	x.missed = x.scope.digest(before) != x.scope.digest(after)
	var changes []git.RefChange
	for name, id := range before.Refs {
		if name != "HEAD" && after.Refs[name] == id {
			changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: core.TrackingRef(name), New: id}, Force: true})
		}
	}
	return s.repos.MoveTracking(ctx, x.RepoID, changes, true)
}

// firstSteps returns the steps of a first mirror before the one that takes
// everything: the default branch, which brings most of the objects. A small
// repository needs none: a step costs a negotiation. There are no batches of
// other branches after it: git compares every named refspec with every ref of
// the upstream, so a thousand names cost seconds, and ten thousand minutes.
func firstSteps(adv discovery.Advertisement) [][]string {
	if _, ok := adv.Refs[adv.HeadTarget]; !ok || len(adv.Refs) < 4 {
		return nil
	}
	return [][]string{{refspec(adv.HeadTarget)}}
}

// fetch runs one git fetch into tracking refs, with the extra flags.
func (s *Service) fetch(ctx context.Context, x *run, specs []string, extra ...string) error {
	lines := progress.NewLineWriter(func(line []byte, _ bool) { s.parseProgress(x, line) })
	err := s.gitFetch(ctx, x.repo, specs, git.Command{
		Flags:  append([]string{"--progress"}, extra...), // stderr is no terminal
		Config: []git.Config{git.NoRefFlush()},           // only tracking refs are written here
		Stderr: lines,
		// Whoever asked waits for it; after a restart nobody does.
		Background: x.Trigger == schedule.TriggerRecovery,
	})
	_ = lines.Close()
	if err != nil {
		return fmt.Errorf("fetch from the upstream: %w", err)
	}
	return nil
}

// gitFetch runs one git fetch of the refspecs, or ids of objects. The command
// says what this one has beside what all have; without Dir it is the repository's
// own, and its Stderr may be nil.
func (s *Service) gitFetch(ctx context.Context, r core.Repository, specs []string, c git.Command) error {
	flags := []string{
		"--no-tags",                // tags come by their refspec, all of them, not by what they point to
		"--no-write-fetch-head",    // nobody reads FETCH_HEAD, and two fetches would fight over it
		"--no-auto-maintenance",    // core/maintain plans that
		"--no-recurse-submodules",  //
		"--no-show-forced-updates", // costs a walk per ref and only prints
		"--stdin",                  // refspecs by stdin: thousands do not fit a command line
	}
	c.Name, c.Dir, c.Flags = "fetch", cmp.Or(c.Dir, s.repos.Path(r.ID)), append(flags, c.Flags...)
	tolerated, err := s.repos.Tolerated(ctx, r.ID)
	if err != nil {
		return err
	}
	c.Config = append(c.Config, s.git.FsckConfig("fetch", tolerated)...)
	c.Config = append(c.Config,
		git.RefLockTimeout(refWait),
		// Small fetches become loose objects, large ones stay packs.
		git.Set("fetch.unpackLimit", "100"),
	)
	reader := c.Stderr
	return s.up.Do(ctx, r, providers.OpFetch, func(remote git.Remote) error {
		var stderr bytes.Buffer
		c := c // may be called twice
		c.Args, c.Remote, c.Stdin = []string{remote.URL}, &remote, strings.NewReader(strings.Join(specs, "\n")+"\n")
		shallow, outcome := git.ShallowWriter()
		c.Stderr = io.MultiWriter(git.TailWriter(&stderr), shallow)
		if reader != nil {
			c.Stderr = io.MultiWriter(reader, c.Stderr)
		}
		err := s.git.Run(ctx, c)
		var exit *git.ExitError
		if errors.As(err, &exit) {
			exit.Stderr = hosterror.Redact(stderr.String(), remote.Secrets()...)
		}
		return outcome(err)
	})
}

// parseProgress takes in a line of git's progress.
func (s *Service) parseProgress(x *run, line []byte) {
	g, ok := progress.Parse(string(line))
	if !ok {
		return
	}
	if g.Final && g.Bytes > 0 {
		x.Bytes += g.Bytes
	}
	s.setProgress(x.RepoID, func(p *core.Progress) {
		p.Phase, p.Percent, p.Objects, p.TotalObjects = g.Phase, g.Percent, g.Done, g.Total
		if g.Bytes > 0 {
			p.Bytes, p.BytesPerSecond = g.Bytes, g.BytesPerSecond
		}
	})
}

package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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

// fetchAll brings the objects of the upstream and moves the tracking refs there. A
// first mirror goes in two steps: the refs of the first pin its objects, so that a
// retry continues there.
func (x *run) fetchAll(ctx context.Context) error {
	all := without(x.scope.refspecs(), x.skipped)
	if len(all) == 0 {
		return nil
	}
	if !x.First {
		return x.fetchListed(ctx, all)
	}
	// An earlier attempt may have left refs.
	have, err := x.git.RefMap(ctx, x.repos.Path(x.RepoID), core.TrackingPrefix)
	if err != nil {
		return err
	}
	if err := x.dropGone(ctx, have, x.listed); err != nil {
		return err
	}
	steps := len(firstSteps(x.listed)) + 1
	step := func(n int) { x.running.change(x.RepoID, func(p *core.Progress) { p.Step, p.Steps = n, steps }) }
	step(1)
	if head := x.listed.HeadTarget; steps > 1 && have[core.TrackingRef(head)] != x.listed.Refs[head] {
		pin := []git.RefChange{trackingMove(head, have[core.TrackingRef(head)], x.listed.Refs[head])}
		err := x.fetchIDs(ctx, pin)
		if err == nil {
			err = x.moveTracking(ctx, pin)
			have[pin[0].Name] = pin[0].New
		}
		if err != nil && !git.Unavailable(err) {
			return err
		}
	}
	step(steps)
	var moves []git.RefChange
	for name, id := range x.listed.Refs {
		if name != "HEAD" && have[core.TrackingRef(name)] != id {
			moves = append(moves, trackingMove(name, have[core.TrackingRef(name)], id))
		}
	}
	return x.fetchByName(ctx, all, moves)
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

// fetch brings the objects of refspecs, and writes no ref: tracking refs move under the
// write lock, in one transaction (see moveTracking), so that no git of a session meets
// the locks of a fetch. If the process ends between the two, the objects are here: git
// finds them when the same ids are asked for again, and contacts nobody.
func (x *run) fetch(ctx context.Context, specs []string) error {
	lines := progress.NewLineWriter(func(line []byte, _ bool) { x.parseProgress(line) })
	err := x.gitFetch(ctx, x.repo, specs, git.Command{
		Flags: []string{
			"--progress", // stderr is no terminal
			"--dry-run",  // takes the objects, checks that they are connected, and writes no ref
		},
		Stderr: lines,
		// A user may wait for it; after a restart nobody does.
		Background: x.Trigger == schedule.TriggerRecovery,
	})
	_ = lines.Close()
	if err != nil {
		return fmt.Errorf("fetch from the upstream: %w", err)
	}
	return nil
}

// gitFetch runs one git fetch of the refspecs, or ids of objects, which git checks as
// they come. The command says what this one has beside what all have; without Dir it is
// the repository's own, and its Stderr may be nil. An object that git refuses is named
// with its path.
func (m *Mirror) gitFetch(ctx context.Context, r core.Repository, specs []string, c git.Command) error {
	tolerated, err := m.repos.Tolerated(ctx, r.ID)
	if err != nil {
		return err
	}
	c.Dir = cmp.Or(c.Dir, m.repos.Path(r.ID))
	c.Config = append(c.Config, m.git.FsckConfig("fetch", tolerated)...)
	return m.placed(ctx, r, c.Dir, specs, m.fetchUnder(ctx, r, specs, c))
}

// fetchUnder is [Mirror.gitFetch] under the checks that the command sets.
func (m *Mirror) fetchUnder(ctx context.Context, r core.Repository, specs []string, c git.Command) error {
	flags := []string{
		"--no-tags",                // tags come by their refspec, all of them, not by what they point to
		"--no-write-fetch-head",    // nobody reads FETCH_HEAD, and two fetches would fight over it
		"--no-auto-maintenance",    // core/maintain plans that
		"--no-recurse-submodules",  //
		"--no-show-forced-updates", // costs a walk per ref and only prints
		"--stdin",                  // refspecs by stdin: thousands do not fit a command line
	}
	c.Name, c.Flags = "fetch", append(flags, c.Flags...)
	c.Config = append(c.Config,
		// Small fetches become loose objects, large ones stay packs.
		git.Set("fetch.unpackLimit", "100"),
	)
	reader := c.Stderr
	return m.up.Do(ctx, r, providers.OpFetch, func(remote git.Remote) error {
		var stderr bytes.Buffer
		c := c // may be called twice
		c.Args, c.Remote, c.Stdin = []string{remote.URL}, &remote, strings.NewReader(strings.Join(specs, "\n")+"\n")
		shallow, outcome := git.ShallowWriter()
		c.Stderr = io.MultiWriter(git.TailWriter(&stderr), shallow)
		if reader != nil {
			c.Stderr = io.MultiWriter(reader, c.Stderr)
		}
		leave := m.fetches.enter(c.Dir, func() bool { return m.cleanCutFetch(r, c.Dir) })
		err := m.git.Run(ctx, c)
		leave(err != nil)
		var exit *git.ExitError
		if errors.As(err, &exit) {
			exit.Stderr = hosterror.Redact(stderr.String(), remote.Secrets()...)
		}
		return outcome(err)
	})
}

// parseProgress takes in a line of git's progress.
func (x *run) parseProgress(line []byte) {
	g, ok := progress.Parse(string(line))
	if !ok {
		return
	}
	if g.Final && g.Bytes > 0 {
		x.Bytes += g.Bytes
	}
	x.running.change(x.RepoID, func(p *core.Progress) {
		p.Phase, p.Percent, p.Objects, p.TotalObjects = g.Phase, g.Percent, g.Done, g.Total
		if g.Bytes > 0 {
			p.Bytes, p.BytesPerSecond = g.Bytes, g.BytesPerSecond
		}
	})
}

package sync

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
)

// The mass-deletion brake: a plan that deletes more than half of more than
// this many refs waits for a second listing that agrees. Hosts do return empty
// listings during incidents.
const brakeRefs = 10

// brakePause is how long after the first listing the second one counts.
const brakePause = 30 * time.Second

// difference is what it takes to make the public refs equal to the tracking refs.
type difference struct {
	updates                   []core.RefUpdate
	created, updated, deleted int
	public                    int // branches and tags there are now
	left                      int // refs left out because a session moves them
}

// diff compares tracking refs with public refs; with only, just that ref.
func diff(refs map[string]core.ObjectID, only string, skip func(name string) bool) difference {
	var d difference
	add := func(name string, before, after core.ObjectID) {
		switch {
		case skip(name):
			d.left++
			return
		case before.IsZero():
			d.created++
		case after.IsZero():
			d.deleted++
		default:
			d.updated++
		}
		d.updates = append(d.updates, core.RefUpdate{Name: name, Old: before, New: after})
	}
	for name, id := range refs {
		short, tracking := strings.CutPrefix(name, core.TrackingPrefix)
		if !tracking {
			d.public++
			if only == "" {
				if _, ok := refs[core.TrackingRef(name)]; !ok {
					add(name, id, "")
				}
			}
			continue
		}
		public := "refs/" + short
		if only != "" && public != only {
			continue
		}
		if refs[public] != id {
			add(public, refs[public], id)
		}
	}
	sort.Slice(d.updates, func(i, j int) bool { return d.updates[i].Name < d.updates[j].Name })
	return d
}

// planAttempts is how often a plan is made anew when a write session moved one
// of its refs between the look and the transaction.
const planAttempts = 5

// applyPlan makes the public refs equal to the tracking refs, through the door.
func (s *Service) applyPlan(ctx context.Context, x *run, adv git.Advertisement, only string) error {
	for attempt := 1; ; attempt++ {
		err := s.tryPlan(ctx, x, adv, only)
		if re, ok := repo.IsRefError(err); !ok || re.Kind != git.RefStale || attempt == planAttempts || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Service) tryPlan(ctx context.Context, x *run, adv git.Advertisement, only string) error {
	refs, err := s.git.RefMap(ctx, s.repos.Path(x.RepoID), "refs/heads/", "refs/tags/", core.TrackingPrefix)
	if err != nil {
		return err
	}
	head, keep := "", ""
	if only == "" {
		head = headWants(x.repo, adv)
		keep = s.keeps(x, adv, refs, head)
	}
	d := diff(refs, only, func(name string) bool { return name == keep || x.watch.Moved(name) })
	// What was fetched may be newer than what was listed.
	seen := fetched(refs, adv.HeadTarget)
	if err := s.brake(x, seen, d); err != nil {
		return err
	}
	if keep != "" {
		d.left--
	}
	x.again = d.left > 0 || x.missed
	x.RefsCreated, x.RefsUpdated, x.RefsDeleted = d.created, d.updated, d.deleted
	x.Outcome = outcomeSucceeded
	x.digest = ""
	if only == "" && d.left == 0 && keep == "" {
		x.digest = seen.Digest()
	}
	if head != "" && !d.leaves(refs, head) {
		head, x.digest = "", "" // left to a session, or gone since the listing: next time
	}
	if len(d.updates) == 0 && head == "" && !x.First {
		x.Outcome = outcomeUnchanged
		return nil
	}
	return s.apply(ctx, x, d.updates, head)
}

// fetched returns the tracking refs as the listing that would have led to them.
func fetched(refs map[string]core.ObjectID, headTarget string) git.Advertisement {
	seen := git.Advertisement{HeadTarget: headTarget, Refs: make(map[string]core.ObjectID, len(refs)/2)}
	for name, id := range refs {
		short, tracking := strings.CutPrefix(name, core.TrackingPrefix)
		// A listing leaves out names that are not valid to us.
		if tracking && core.ValidateRefName("refs/"+short) == nil {
			seen.Refs["refs/"+short] = id
		}
	}
	return seen
}

// leaves reports whether the ref exists after the updates, of the refs before.
func (d difference) leaves(refs map[string]core.ObjectID, ref string) bool {
	for _, u := range d.updates {
		if u.Name == ref {
			return !u.IsDelete()
		}
	}
	_, ok := refs[ref]
	return ok
}

// keeps returns the one ref that is not deleted although the upstream has it
// no more: the default branch, when the upstream does not say what took its place.
func (s *Service) keeps(x *run, adv git.Advertisement, refs map[string]core.ObjectID, head string) string {
	name := "refs/heads/" + x.repo.DefaultBranch
	if _, here := refs[name]; !here || head != "" || len(adv.Refs) == 0 {
		return ""
	}
	if _, tracked := refs[core.TrackingRef(name)]; tracked {
		return ""
	}
	return name
}

// apply journals the updates and takes them through the door.
func (s *Service) apply(ctx context.Context, x *run, updates []core.RefUpdate, head string) error {
	now := s.clock.Now()
	j := core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: x.RepoID, Source: core.SourceSync, Actor: "sync",
		State: core.JournalSent, Updates: updates, CreatedAt: now,
	}
	if x.First {
		// One fact, "the repository is ready", tells of all refs of a first
		// mirror; after a crash the next run makes the same plan again.
		j.Updates = nil
	}
	if err := s.store.OpenJournal(ctx, j); err != nil {
		return err
	}
	s.repos.Failpoint("sync-journal-sent")
	ctx = context.WithoutCancel(ctx) // short from here, and half a plan helps nobody
	j.Updates = updates
	err := s.repos.ApplyRefUpdates(ctx, repo.Apply{
		Repo: x.repo, Journal: j, Head: head, Quiet: x.First,
		Also: func(q core.Queries) error {
			if head == "" {
				return nil
			}
			return q.SetDefaultBranch(ctx, x.RepoID, strings.TrimPrefix(head, "refs/heads/"))
		},
	})
	if err != nil {
		if _, ok := repo.IsRefError(err); !ok {
			// Refs may have moved: the entry is closed already, or stays open
			// for the next start, which tells of what happened.
			return fmt.Errorf("apply the upstream's refs: %w", err)
		}
		if cerr := s.store.CloseJournal(ctx, j.ID, core.JournalDropped, nil, s.clock.Now()); cerr != nil {
			s.log.Error("journal entry stays open until the next start", "journal_id", j.ID, "error", cerr)
		}
		return fmt.Errorf("apply the upstream's refs: %w", err)
	}
	s.repos.Failpoint("sync-recorded")
	return nil
}

// brake stops a plan that would delete most refs, until a second listing agrees.
func (s *Service) brake(x *run, adv git.Advertisement, d difference) error {
	if d.public <= brakeRefs || d.deleted*2 <= d.public {
		return nil
	}
	return s.hold(x, adv, d.deleted, d.public)
}

// hold stops the run unless the same listing was held back long enough ago: an
// incident at the host answers alike for a while.
func (s *Service) hold(x *run, adv git.Advertisement, deleted, public int) error {
	digest := adv.Digest()
	since := s.clock.Now()
	if held, at, ok := strings.Cut(x.taken.BrakeDigest, "@"); ok && held == digest {
		if first, err := time.Parse(time.RFC3339, at); err == nil {
			if since.Sub(first) >= brakePause {
				return nil // the second listing agrees
			}
			since = first
		}
	}
	x.brake = digest + "@" + since.UTC().Format(time.RFC3339)
	return &classError{class: core.ClassDiverged, text: fmt.Sprintf(
		"held back: the upstream now lists %d of %d branches and tags as gone; nothing is deleted before a listing at least %s later agrees", deleted, public, brakePause)}
}

// brakeEmpty is the brake for a listing without any ref, which must not even
// reach the tracking refs.
func (s *Service) brakeEmpty(ctx context.Context, x *run, adv git.Advertisement) error {
	for name := range adv.Refs {
		if name != "HEAD" {
			return nil
		}
	}
	public, err := s.git.Refs(ctx, s.repos.Path(x.RepoID), "refs/heads/", "refs/tags/")
	if err != nil || len(public) == 0 {
		return err
	}
	return s.hold(x, adv, len(public), len(public))
}

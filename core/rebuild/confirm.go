package rebuild

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Survey takes in what was known of damages before the start, and looks at the
// folders of all repositories. Call it after [repo.Repos.Recover].
func (s *Service) Survey(ctx context.Context) error {
	known, err := s.o.Store.OpenDamages(ctx)
	if err != nil {
		return err
	}
	for _, d := range known {
		s.keep(d)
	}
	s.recheck(ctx)
	ids, err := s.o.Store.RepositoryIDs(ctx)
	if err != nil {
		return err
	}
	if err := s.missing(ctx, ids); err != nil {
		return err
	}
	for _, d := range s.all() {
		if d.State == core.DamageRebuilding {
			s.o.WantSync(ctx, d.RepoID)
		}
	}
	return nil
}

// all returns the damages that have not ended.
func (s *Service) all() []core.Damage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]core.Damage, 0, len(s.open))
	for _, d := range s.open {
		all = append(all, d)
	}
	return all
}

// missing notes those of the repositories that are not there. With many at once, none
// is touched.
func (s *Service) missing(ctx context.Context, ids []string) error {
	found := map[string]string{}
	for _, id := range ids {
		if _, known := s.of(id); known {
			continue
		}
		what, err := s.o.Repos.Absent(id)
		if err != nil {
			s.log.Error("the disk cannot be read", "repo_id", id, "error", err)
		}
		if what != "" {
			found[id] = what
		}
	}
	brake := s.brakes(len(found), len(ids))
	for id, what := range found {
		if err := s.found(ctx, id, what, true, brake); err != nil {
			return err
		}
	}
	return nil
}

// brakes reports whether so many more damages at once look like an unmounted disk.
// Those that a person has released do not count.
func (s *Service) brakes(more, all int) bool {
	n := more
	for _, d := range s.all() {
		if !d.Released && (d.State == core.DamageRebuilding || d.State == core.DamageWaiting || d.Missing) {
			n++
		}
	}
	return LooksUnmounted(n, all)
}

// LooksUnmounted reports whether so many of all repositories that are missing at once look
// like a disk that is not mounted.
func LooksUnmounted(missing, all int) bool { return missing > manyMissing && missing*10 > all }

// personWaits is how long a person who asks for a repository to be verified waits for its
// maintenance, which takes seconds mostly.
const personWaits = 30 * time.Second

// confirm finds out whether a suspicion is true. KindLocked: not now, since the
// repository is being maintained; one of a person waits for that, up to [personWaits].
func (s *Service) confirm(ctx context.Context, p suspicion) error {
	if _, known := s.of(p.repoID); known {
		return nil
	}
	ids, err := s.o.Store.RepositoryIDs(ctx)
	if err != nil {
		return err
	}
	if what, err := s.o.Repos.Absent(p.repoID); err != nil {
		return err
	} else if what != "" {
		// One that is missing is rarely alone: see what a disk looks like as a whole.
		return s.missing(ctx, ids)
	}
	if p.brief {
		s.o.Look(p.repoID) // as fast as the disk; what has changed since is found
		return nil
	}
	// A repack would take packs away while they are read.
	unlock, err := s.lockMaintain(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	dir := s.o.Repos.Path(p.repoID)
	s.log.Info("verifying a repository that may be damaged", "repo_id", p.repoID, "suspicion", p.reason)
	v, err := s.o.Git.Verify(ctx, dir)
	if err != nil {
		s.postpone(p.repoID)
		return err
	}
	if v.Damage != "" {
		return s.found(ctx, p.repoID, v.Damage, false, s.brakes(1, len(ids)))
	}
	if v.Derived {
		s.log.Warn("what git derives from the objects was damaged, and is made anew", "repo_id", p.repoID)
		if err := git.RemoveDerived(dir); err != nil {
			return err
		}
	}
	s.log.Info("the repository is whole", "repo_id", p.repoID, "suspicion", p.reason)
	s.postpone(p.repoID)
	return nil
}

// lockMaintain keeps maintenance away from the repository of a suspicion. KindLocked if it
// is at work there.
func (s *Service) lockMaintain(ctx context.Context, p suspicion) (func(), error) {
	locks := s.o.Repos.Locks()
	if unlock, ok := locks.TryMaintain(p.repoID); ok {
		return unlock, nil
	}
	if p.person {
		waitCtx, cancel := context.WithTimeout(ctx, personWaits)
		defer cancel()
		if unlock, err := locks.LockMaintain(waitCtx, p.repoID); err == nil {
			return unlock, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, core.Errorf(core.KindLocked, "the repository is being repacked now; ask again in a few minutes")
}

// postpone keeps suspicions from having the repository verified again and again.
func (s *Service) postpone(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Clock.Now()
	for id, at := range s.looked {
		if now.Sub(at) >= quiet {
			delete(s.looked, id)
		}
	}
	s.looked[repoID] = now
}

// stamp is the form of times in names of quarantined folders.
const stamp = "20060102T150405Z"

// found writes down that a repository is damaged and has done about it what can be.
func (s *Service) found(ctx context.Context, repoID, reason string, absent, brake bool) error {
	r, err := s.o.Store.RepositoryByID(ctx, repoID)
	if core.KindOf(err) == core.KindNotFound {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	now := s.o.Clock.Now()
	d := core.Damage{ID: now.UTC().Format(stamp) + "-" + repoID, RepoID: repoID, Reason: reason, Missing: absent, FoundAt: now, State: remedy(r, absent)}
	if brake {
		d.State = core.DamageWaiting
	}
	if last, err := s.o.Store.Damage(ctx, d.ID); err == nil && !last.EndedAt.IsZero() {
		d.ID = now.Add(time.Second).UTC().Format(stamp) + "-" + repoID
	}
	e, err := core.RepositoryEvent(r, core.EventRepositoryDamaged, damagedBody{d.State, reason, Sentence(r, d)}, now)
	if err != nil {
		return err
	}
	err = s.o.Store.Tx(ctx, func(q core.Queries) error {
		if err := q.SaveDamage(ctx, d); err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	if err != nil {
		// With a full disk reads of the other repositories go on; the row is written with
		// the end of the damage.
		s.log.Error("cannot write down that a repository is damaged", "repo_id", repoID, "error", err)
	}
	s.keep(d)
	s.log.Error("a repository is missing or damaged", "repo_id", repoID, "name", r.Name, "state", d.State, "reason", reason)
	if d.State == core.DamageRebuilding {
		s.o.WantSync(ctx, repoID)
	}
	return nil
}

// damagedBody is the body of an [core.EventRepositoryDamaged].
type damagedBody struct {
	State   core.DamageState `json:"state"`
	Reason  string           `json:"reason"`
	Message string           `json:"message"`
}

// remedy is what is done about a damage.
func remedy(r core.Repository, absent bool) core.DamageState {
	switch {
	case r.Upstream != nil:
		return core.DamageRebuilding
	case absent:
		return core.DamageLost
	}
	return core.DamagePartial
}

// anyMissing reports whether a folder may come back by itself.
func (s *Service) anyMissing() bool {
	for _, d := range s.all() {
		if d.Missing && d.State != core.DamageRebuilding {
			return true
		}
	}
	return false
}

// recheck ends the damages of those that were missing and are here again, as after a
// mount or a restore, and has them verified.
func (s *Service) recheck(ctx context.Context) {
	for _, d := range s.all() {
		if !d.Missing || d.State == core.DamageRebuilding {
			continue
		}
		if what, err := s.o.Repos.Absent(d.RepoID); what != "" || err != nil {
			continue
		}
		d.State, d.EndedAt = core.DamageGone, s.o.Clock.Now()
		if err := s.save(ctx, d); err != nil {
			s.log.Error("cannot write down that a repository is here again", "repo_id", d.RepoID, "error", err)
			continue
		}
		s.log.Info("the folder of a repository is here again", "repo_id", d.RepoID)
		s.Suspect(d.RepoID, "its folder was missing for a time")
		// Syncs have failed meanwhile, and the next one may be hours away.
		if r, err := s.o.Store.RepositoryByID(ctx, d.RepoID); err == nil && r.Upstream != nil {
			s.o.WantSync(ctx, d.RepoID)
		}
	}
}

// GoOn is what a person asks for a repository: one that waits is rebuilt, or, without
// upstream, given up as lost; any other is verified now, in the caller's time. It
// returns what is wrong with the repository then, if anything is.
func (s *Service) GoOn(ctx context.Context, r core.Repository) (core.Damage, bool, error) {
	d, known := s.Of(r)
	switch {
	case known && d.State == core.DamageWaiting:
		d.State, d.Released = remedy(r, d.Missing), true
		if err := s.save(ctx, d); err != nil {
			return d, true, err
		}
	case known && r.Upstream == nil:
		if err := s.mended(ctx, d); err != nil {
			return d, true, err
		}
	default:
		if err := s.confirm(ctx, suspicion{repoID: r.ID, reason: "a person asked", person: true}); err != nil {
			return core.Damage{}, false, err
		}
	}
	d, known = s.Of(r)
	if known && d.State == core.DamageRebuilding {
		s.o.WantSync(ctx, r.ID)
	}
	return d, known, nil
}

// mended ends the damage of a repository without upstream if it is whole again.
func (s *Service) mended(ctx context.Context, d core.Damage) error {
	if what, err := s.o.Repos.Absent(d.RepoID); what != "" || err != nil {
		return err
	}
	v, err := s.o.Git.Verify(ctx, s.o.Repos.Path(d.RepoID))
	if err != nil {
		return err
	}
	d.State, d.EndedAt = core.DamageGone, s.o.Clock.Now()
	if v.Damage != "" {
		d.State, d.EndedAt, d.Missing, d.Reason = core.DamagePartial, time.Time{}, false, v.Damage
	}
	return s.save(ctx, d)
}

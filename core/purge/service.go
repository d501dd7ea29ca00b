package purge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/forget"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/repo"
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.RewriteStore
	core.JournalStore
	core.ForgottenStore
	core.TrashStore
	core.Transactor
}

// Options configures [New]. All but Logger and Wait are required.
type Options struct {
	Git    *git.Git
	Repos  *repo.Repos
	Store  Store
	Copies forget.Forgetter // everything that holds copies of objects
	Clock  core.Clock
	Logger hclog.Logger
	Wait   time.Duration // for the writers of the repository; 0 is 60 s
}

// Service purges repositories. It is safe for concurrent use.
type Service struct {
	o   Options
	log hclog.Logger
}

// New returns a service.
func New(o Options) *Service {
	if o.Wait == 0 {
		o.Wait = time.Minute
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{o: o, log: o.Logger.Named("purge")}
}

// Request says what to forget: the old tip of one rewrite, or all old tips that are
// kept and everything else that no ref leads to.
type Request struct {
	ID  string // of a rewrite
	All bool
}

// Result is what a purge did.
type Result struct {
	Rewrites []string // ids of those whose kept tip was dropped
	Objects  int      // removed
	Bytes    int64    // by which the repository's objects are smaller on the disk
	// StillReached names the refs that still lead to a tip that was to be forgotten: full
	// names, and ids of rewrites that keep it. What they lead to is still served.
	StillReached []string
}

// Purge forgets what the request says, after at most a minute in which the writers of
// the repository end. It removes everything that no ref leads to, and marks as
// forgotten what the request names. Errors: KindInvalid; KindNotFound for an unknown
// rewrite; KindConflict if a ref is held at the tip, or writers are at work for longer
// than a minute; KindPermission if the token's policy forbids to rewrite a ref that
// this is about. Any later error leaves a repository that is whole, and the same
// request can be made again.
func (s *Service) Purge(ctx context.Context, c commit.Caller, q Request) (Result, error) {
	if (q.ID == "") != q.All {
		return Result{}, core.Errorf(core.KindInvalid, "name the rewrite whose old tip is to be forgotten, or ask for all of them")
	}
	if _, err := s.chosen(ctx, c, q); err != nil {
		return Result{}, err
	}
	if err := limit.Take(ctx, c.Repo.ID); err != nil {
		return Result{}, err
	}
	release, err := s.alone(ctx, c.Repo.ID)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if err := s.o.Repos.Current(ctx, c.Repo); err != nil {
		return Result{}, err
	}
	// Again: a writer may have made or decided a rewrite meanwhile.
	rows, err := s.chosen(ctx, c, q)
	if err != nil {
		return Result{}, err
	}
	start := s.o.Clock.Now()
	r, err := s.purge(context.WithoutCancel(ctx), c, q, rows)
	if err == nil {
		s.log.Info("repository purged", "repo_id", c.Repo.ID, "actor", c.Actor.Subject, "rewrites", len(r.Rewrites), "objects", r.Objects, "bytes", r.Bytes,
			"duration", s.o.Clock.Now().Sub(start))
	}
	return r, err
}

// chosen returns the rewrites that a request is about, if the caller may purge them.
func (s *Service) chosen(ctx context.Context, c commit.Caller, q Request) ([]core.Rewrite, error) {
	if q.ID != "" {
		row, err := s.o.Store.Rewrite(ctx, c.Repo.ID, q.ID)
		if err == nil {
			err = allowed(c, row.Ref)
		}
		if err == nil && row.JournalID == "" {
			err = core.Errorf(core.KindConflict, "%s has not moved: the rewrite is %s, so the ref itself leads to its old tip; approve %s first", row.Ref, row.State, row.ID)
		}
		return []core.Rewrite{row}, err
	}
	// What no ref leads to may be of any ref, so the default branch speaks for those
	// that have no rewrite.
	if err := allowed(c, "refs/heads/"+c.Repo.DefaultBranch); err != nil {
		return nil, err
	}
	var chosen []core.Rewrite
	f := core.RewriteFilter{RepoID: c.Repo.ID, Limit: 500}
	for {
		rows, err := s.o.Store.Rewrites(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if err := allowed(c, row.Ref); err != nil {
				return nil, err
			}
			if row.State == core.RewriteRetained {
				chosen = append(chosen, row)
			}
		}
		if len(rows) < f.Limit {
			return chosen, nil
		}
		f.Before = rows[len(rows)-1].ID
	}
}

// allowed applies the token's policy: who may not rewrite a ref may not let its old
// tips go.
func allowed(c commit.Caller, ref string) error {
	if rule := c.Policy.Rule(ref); rule.NoPush || rule.NoForcePush {
		return core.Errorf(core.KindPermission, "%s: denied by policy", ref)
	}
	return nil
}

// alone waits until nobody writes to the repository or maintains it, and keeps both
// away until release is called.
func (s *Service) alone(ctx context.Context, id string) (release func(), err error) {
	waitCtx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	unbar, err := s.o.Repos.Locks().BarWriters(waitCtx, id)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, core.Errorf(core.KindConflict, "pushes, syncs or other writes have been at work on the repository for %s, so nothing was forgotten; try again when they have ended", s.o.Wait)
	}
	unlock, err := s.o.Repos.Locks().LockMaintain(waitCtx, id)
	if err != nil {
		unbar()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, core.Errorf(core.KindConflict, "maintenance has been at work on the repository for %s, so nothing was forgotten; try again later", s.o.Wait)
	}
	return func() { unlock(); unbar() }, nil
}

// purge does it; the caller is alone with the repository's objects.
func (s *Service) purge(ctx context.Context, c commit.Caller, q Request, rows []core.Rewrite) (r Result, err error) {
	id := c.Repo.ID
	dir := s.o.Repos.Path(id)
	pins, err := s.open(ctx, id)
	if err != nil {
		return r, err
	}
	if err := s.o.Repos.Pin(ctx, id, pins); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.o.Repos.Pin(ctx, id, nil)) }()
	if r.Rewrites, err = s.drop(ctx, c, rows); err != nil {
		return r, err
	}
	before := objectBytes(dir)
	gone, err := s.unreachable(ctx, dir)
	if err != nil {
		return r, err
	}
	// Written down first: from here on it is refused by its id, whatever happens.
	marked := gone.ids
	if !q.All {
		if marked, err = s.under(ctx, dir, gone.ids, rows); err != nil {
			return r, err
		}
	}
	if err := s.o.Store.Forget(ctx, id, marked, s.o.Clock.Now()); err != nil {
		return r, err
	}
	if err := gone.remove(); err != nil {
		return r, fmt.Errorf("remove objects; purge again: %w", err)
	}
	r.Objects, r.Bytes = len(gone.ids), max(0, before-objectBytes(dir))
	if err := s.graph(ctx, dir); err != nil {
		return r, err
	}
	if err := s.o.Copies.Forget(ctx, c.Repo, marked); err != nil {
		return r, fmt.Errorf("the repository has forgotten, but a copy has not; purge again: %w", err)
	}
	r.StillReached, err = s.stillReached(ctx, dir, rows)
	return r, err
}

// open returns the ids that refs will lead to when the write sessions that are open
// have ended, as far as their objects are here and whole.
func (s *Service) open(ctx context.Context, id string) ([]core.ObjectID, error) {
	entries, err := s.o.Store.OpenJournals(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[core.ObjectID]bool{}
	var pins []core.ObjectID
	for _, j := range entries {
		for _, u := range j.Updates {
			for _, at := range []core.ObjectID{u.Old, u.New} {
				if j.RepoID != id || at.IsZero() || seen[at] {
					continue
				}
				seen[at] = true
				whole, err := s.o.Git.Complete(ctx, s.o.Repos.Path(id), at)
				if err != nil {
					return nil, err
				}
				if whole {
					pins = append(pins, at)
				}
			}
		}
	}
	return pins, nil
}

// drop lets the kept tips among the rewrites go.
func (s *Service) drop(ctx context.Context, c commit.Caller, rows []core.Rewrite) ([]string, error) {
	if err := s.o.Repos.DropKept(ctx, c.Repo.ID, rows...); err != nil {
		return nil, err
	}
	var dropped []string
	return dropped, s.o.Store.Tx(ctx, func(q core.Queries) error {
		dropped = nil
		for _, row := range rows {
			if row.State != core.RewriteRetained {
				continue
			}
			row.State, row.DecidedAt, row.DecidedBy = core.RewriteDismissed, s.o.Clock.Now(), c.Actor.Subject
			if err := q.SaveRewrite(ctx, row); err != nil {
				return err
			}
			dropped = append(dropped, row.ID)
		}
		return nil
	})
}

// under returns the tips of the rewrites, and which of the ids only they lead to. If
// that cannot be found out, since a part of their history has gone before, it is all.
func (s *Service) under(ctx context.Context, dir string, ids []core.ObjectID, rows []core.Rewrite) ([]core.ObjectID, error) {
	gone := make(map[core.ObjectID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	var tips, found []core.ObjectID
	for _, row := range rows {
		if gone[row.Old] {
			tips = append(tips, row.Old)
		} else if here, err := s.o.Git.HasObject(ctx, dir, row.Old); err != nil {
			return nil, err
		} else if !here {
			found = append(found, row.Old) // it went before; it must not come back either
		}
	}
	if len(tips) == 0 {
		return found, nil
	}
	out, err := s.o.Git.Stream(ctx, reachable(dir, tips))
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	err = eachID(out, func(id core.ObjectID) {
		if gone[id] {
			found = append(found, id)
		}
	})
	if err == nil {
		err = out.Wait()
	}
	if exit, ok := errors.AsType[*git.ExitError](err); ok && exit.Code > 0 {
		return append(found, ids...), nil
	}
	return found, err
}

// shown names what leads to an object for people.
func shown(ref string) string {
	if rewrite, ok := strings.CutPrefix(ref, core.KeptPrefix); ok {
		return rewrite
	}
	if name, ok := strings.CutPrefix(ref, core.TrackingPrefix); ok {
		return "refs/" + name + " at the upstream"
	}
	if strings.HasPrefix(ref, core.InternalPrefix) {
		return "a write whose outcome is not known yet"
	}
	return ref
}

// maxReached bounds what StillReached names.
const maxReached = 20

// stillReached names what still leads to the old tips of rewrites.
func (s *Service) stillReached(ctx context.Context, dir string, rows []core.Rewrite) ([]string, error) {
	var found []string
	seen := map[string]bool{}
	for _, row := range rows {
		if here, err := s.o.Git.HasObject(ctx, dir, row.Old); err != nil || !here {
			if err != nil {
				return found, err
			}
			continue
		}
		out, err := s.o.Git.Output(ctx, git.Command{
			Name: "for-each-ref", Dir: dir, Flags: []string{"--format=%(refname)", "--contains=" + string(row.Old)},
		})
		if _, refused := errors.AsType[*git.ExitError](err); refused {
			// An annotated tag is in no commit's history: a ref is at it, or a tag of it.
			out, err = s.o.Git.Output(ctx, git.Command{
				Name: "for-each-ref", Dir: dir, Flags: []string{"--format=%(refname)", "--points-at=" + string(row.Old)},
			})
		}
		if err != nil {
			return found, err
		}
		for name := range strings.Lines(string(out)) {
			name = shown(strings.TrimSpace(name))
			if !seen[name] && len(found) < maxReached {
				seen[name] = true
				found = append(found, name)
			}
		}
	}
	return found, nil
}

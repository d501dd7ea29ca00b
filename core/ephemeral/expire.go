// Package ephemeral looks after ephemeral branches as a whole: it deletes those
// whose time to live is over, and finds those whose base was rewritten away.
package ephemeral

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/push"
)

// Subject is who deletes branches whose time is over, in journal and audit.
const Subject = "expiry"

const (
	// sweepEvery is how long a branch may outlive its time.
	sweepEvery   = 5 * time.Minute
	repoBatch    = 100
	journalBatch = 500
	deleteBatch  = 100 // branches of one write session
	branches     = core.EphemeralPrefix + "refs/heads/"
)

// RefWriter moves refs; [*push.Service] implements it.
type RefWriter interface {
	Write(ctx context.Context, w push.Session) ([]push.Result, error)
}

// Store is what this package needs of [core.Store].
type Store interface {
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	ExpiringRepositories(ctx context.Context, after string, limit int) ([]string, error)
	EphemeralJournal(ctx context.Context, repoID, after string, limit int) ([]core.JournalEntry, error)
	Rewrites(ctx context.Context, f core.RewriteFilter) ([]core.Rewrite, error)
}

// Options configures [New].
type Options struct {
	Git    *git.Git
	Path   func(repoID string) string // folder of a repository
	Store  Store
	Refs   RefWriter
	Clock  core.Clock
	Logger hclog.Logger
}

// Service looks after the ephemeral branches of all repositories.
type Service struct {
	Options
	log hclog.Logger

	sweeping sync.Mutex // held by a sweep
	// due is when a branch of a repository can expire at the earliest; pushes
	// only make that later. Guarded by sweeping.
	due map[string]expiry
}

// expiry is when something can expire under a time to live.
type expiry struct {
	ttl time.Duration
	at  time.Time
}

// New returns a service. Branches expire while its Run does.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{Options: o, log: o.Logger.Named("ephemeral"), due: map[string]expiry{}}
}

// Run deletes branches whose time to live is over, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	loop.Every(ctx, s.Clock, sweepEvery, func(ctx context.Context) {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("cannot look for ephemeral branches whose time is over; trying again", "error", err)
		}
	})
	return nil
}

// Sweep deletes every branch that was not pushed for the time to live of its
// repository. Errors: the store's; what goes wrong in one repository is logged,
// and tried again at the next sweep. One sweep is made at a time.
func (s *Service) Sweep(ctx context.Context) error {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	due := map[string]expiry{}
	for after := ""; ; {
		ids, err := s.Store.ExpiringRepositories(ctx, after, repoBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			next, err := s.sweep(ctx, id)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				s.log.Error("cannot delete ephemeral branches whose time is over; trying again", "repo_id", id, "error", err)
				continue
			}
			due[id] = next
		}
		if len(ids) < repoBatch {
			s.due = due
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// sweep does it for one repository and returns when there may be something to do
// again.
func (s *Service) sweep(ctx context.Context, id string) (expiry, error) {
	r, err := s.Store.RepositoryByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return expiry{}, nil
	}
	if err != nil {
		return expiry{}, err
	}
	settings, err := s.Store.Settings(ctx, id)
	if err != nil || settings.EphemeralTTL <= 0 {
		return expiry{}, err
	}
	now := s.Clock.Now()
	if known := s.due[id]; known.ttl == settings.EphemeralTTL && now.Before(known.at) {
		return known, nil
	}
	// Before the journal: what is pushed in between has another id then, and is
	// not deleted.
	refs, err := s.Git.Refs(ctx, s.Path(id), branches)
	if err != nil {
		return expiry{}, err
	}
	next := expiry{ttl: settings.EphemeralTTL, at: now.Add(settings.EphemeralTTL)}
	if len(refs) == 0 {
		return next, nil
	}
	pushed, err := s.pushed(ctx, id, now.Add(-settings.EphemeralTTL))
	if err != nil {
		return expiry{}, err
	}
	var over []core.RefUpdate
	for _, ref := range refs {
		name := strings.TrimPrefix(ref.Name, core.EphemeralPrefix)
		last, ok := pushed[name]
		if !ok {
			over = append(over, core.RefUpdate{Name: name, Old: ref.ID})
		} else if at := last.Add(settings.EphemeralTTL); at.Before(next.at) {
			next.at = at
		}
	}
	return next, s.remove(ctx, r, over)
}

// pushed returns when branches were last pushed, of those that were at a time or
// later. The journal is kept for as long as the greatest time to live.
func (s *Service) pushed(ctx context.Context, id string, since time.Time) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	// Ids are never below their time, but a clock that was set back puts them
	// above it.
	for after := core.FirstID("jrn", since); ; {
		entries, err := s.Store.EphemeralJournal(ctx, id, after, journalBatch)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.State == core.JournalDropped || !e.CreatedAt.After(since) {
				continue
			}
			for _, u := range e.Updates {
				if e.CreatedAt.After(last[u.Name]) {
					last[u.Name] = e.CreatedAt
				}
			}
		}
		if len(entries) < journalBatch {
			return last, nil
		}
		after = entries[len(entries)-1].ID
	}
}

// remove deletes branches, as a write session of its own.
func (s *Service) remove(ctx context.Context, r core.Repository, over []core.RefUpdate) error {
	for len(over) > 0 {
		n := min(len(over), deleteBatch)
		results, err := s.Refs.Write(ctx, push.Session{
			Repo: r, Namespace: core.Ephemeral, Source: core.SourceAPI, Actor: core.Actor{Subject: Subject, Org: r.Org},
			Action: "branch.expire", Updates: over[:n],
		})
		if err != nil {
			return err
		}
		deleted := 0
		for _, result := range results {
			switch {
			case result.OK():
				deleted++
			case result.Kind != core.KindStale: // pushed a moment ago
				s.log.Warn("an ephemeral branch whose time is over stays", "repo_id", r.ID, "ref", result.Update.Name, "reason", result.Reason)
			}
		}
		s.log.Info("ephemeral branches deleted, their time was over", "repo_id", r.ID, "branches", deleted)
		over = over[n:]
	}
	return nil
}

// Package orgdelete deletes organisations, one repository after the other. That it is to be
// done stands in the store, so a server that stops in the middle goes on at its next
// start, and a command on the data directory has a running server do it.
package orgdelete

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// Subject is the actor of what the service does, in the audit.
const Subject = "headwater:organisations"

const (
	// interval is how soon what a command has begun is seen.
	interval = time.Second
	batch    = 100
)

// Store is what the service needs of [core.Store].
type Store interface {
	Orgs(ctx context.Context) ([]core.Org, error)
	Tx(ctx context.Context, f func(q core.Queries) error) error
	Repositories(ctx context.Context, f core.RepositoryFilter) ([]core.ListedRepository, error)
	core.AuditStore
}

// Repositories deletes repositories as their own callers do.
type Repositories interface {
	DeleteRepository(ctx context.Context, r core.Repository, now bool) (core.Repository, error)
	PurgeDeleted(ctx context.Context, r core.Repository) error
}

// Options configures [New]. All but Logger are required.
type Options struct {
	Store        Store
	Repositories Repositories
	Clock        core.Clock
	Logger       hclog.Logger
	Failpoint    func(name string) // called after each repository
}

// Service deletes organisations. Make one with [New] and call Run.
type Service struct {
	o   Options
	log hclog.Logger
}

// New returns a service.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{o, o.Logger.Named("orgdelete")}
}

// Run deletes the organisations for which that has begun, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	loop.Every(ctx, s.o.Clock, interval, func(ctx context.Context) {
		orgs, err := s.o.Store.Orgs(ctx)
		for _, org := range orgs {
			if org.DeletingAt.IsZero() {
				continue
			}
			if derr := s.delete(ctx, org.Name); derr != nil && ctx.Err() == nil {
				s.log.Error("an organisation is not deleted yet; trying again", "org", org.Name, "error", derr)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot look for organisations to be deleted; trying again", "error", err)
		}
	})
	return nil
}

// delete deletes one organisation. One repository that cannot be deleted keeps none of
// the others; the organisation stays until it can.
func (s *Service) delete(ctx context.Context, org string) error {
	var failed error
	for _, state := range []core.RepositoryState{"", core.RepositoryDeleted} {
		f := core.RepositoryFilter{Org: org, State: state, Limit: batch}
		for {
			page, err := s.o.Store.Repositories(ctx, f)
			if err != nil {
				return err
			}
			for _, r := range page {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := s.remove(ctx, r.Repository); err != nil {
					s.log.Error("a repository could not be deleted", "org", org, "repo_id", r.ID, "error", err)
					failed = err
				}
				f.Before = r.ID
				s.o.Failpoint("org-repository-deleted")
			}
			if len(page) < f.Limit {
				break
			}
		}
	}
	if failed != nil {
		return failed
	}
	// Both or neither: who sees that the organisation is gone finds the entry.
	err := s.o.Store.Tx(context.WithoutCancel(ctx), func(q core.Queries) error {
		if err := q.FinishDeleteOrg(ctx, org); err != nil {
			return err
		}
		return s.audit(ctx, q, core.AuditEntry{Org: org, Action: "org.deleted"})
	})
	if err == nil {
		s.log.Info("organisation deleted", "org", org)
	}
	return err
}

func (s *Service) remove(ctx context.Context, r core.Repository) error {
	var err error
	if r.Deleted() {
		err = s.o.Repositories.PurgeDeleted(ctx, r)
	} else {
		_, err = s.o.Repositories.DeleteRepository(ctx, r, true)
	}
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.audit(ctx, s.o.Store, core.AuditEntry{Org: r.Org, RepoID: r.ID, RepoName: r.Name, Action: "repository.delete"})
}

func (s *Service) audit(ctx context.Context, store core.AuditStore, e core.AuditEntry) error {
	e.At = s.o.Clock.Now()
	e.ID, e.Actor, e.Outcome = core.NewID("aud", e.At), core.Actor{Subject: Subject, Org: e.Org}, core.OutcomeOK
	return store.AddAudit(context.WithoutCancel(ctx), e)
}

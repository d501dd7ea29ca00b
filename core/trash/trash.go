// Package trash empties the trash: it removes deleted repositories whose time is over.
// What is deleted and brought back is the business of core/engine and core/repo.
package trash

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// Subject is the actor of what the service does, in the audit.
const Subject = "headwater:trash"

const (
	// interval is how long a repository may be kept beyond its time.
	interval = time.Minute
	batch    = 100
)

// Store is what the service needs of [core.Store].
type Store interface {
	ExpiredRepositories(ctx context.Context, now time.Time, limit int) ([]core.Repository, error)
	core.AuditStore
}

// Purger removes one repository from the trash. KindNotFound: it was brought back.
type Purger interface {
	Purge(ctx context.Context, id string) error
}

// Options configures [New]. All but Logger are required.
type Options struct {
	Store  Store
	Repos  Purger
	Clock  core.Clock
	Logger hclog.Logger
}

// Service empties the trash. Make one with [New] and call Run.
type Service struct {
	o   Options
	log hclog.Logger
}

// New returns a service.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{o, o.Logger.Named("trash")}
}

// Run removes what has expired, now and then every minute, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	loop.Every(ctx, s.o.Clock, interval, s.Expire)
	return nil
}

// Expire removes what has expired. One that cannot be removed is logged and tried again;
// it does not keep the others.
func (s *Service) Expire(ctx context.Context) {
	failed := map[string]bool{}
	for ctx.Err() == nil {
		expired, err := s.o.Store.ExpiredRepositories(ctx, s.o.Clock.Now(), batch+len(failed))
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the trash could not be looked at; trying again", "error", err)
			}
			return
		}
		done := 0
		for _, r := range expired {
			if ctx.Err() != nil || failed[r.ID] {
				continue
			}
			if err := s.remove(ctx, r); err != nil {
				failed[r.ID] = true
				s.log.Error("a deleted repository could not be removed; trying again", "repo_id", r.ID, "error", err)
				continue
			}
			done++
		}
		if done == 0 {
			return
		}
	}
}

func (s *Service) remove(ctx context.Context, r core.Repository) error {
	// What has begun is not left half done.
	ctx = context.WithoutCancel(ctx)
	err := s.o.Repos.Purge(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	s.log.Info("deleted repository removed for good", "repo_id", r.ID, "org", r.Org, "name", r.Name)
	now := s.o.Clock.Now()
	return s.o.Store.AddAudit(ctx, core.AuditEntry{
		ID: core.NewID("aud", now), Org: r.Org, RepoID: r.ID, RepoName: r.Name, At: now,
		Actor: core.Actor{Subject: Subject, Org: r.Org}, Action: "repository.expire", Outcome: core.OutcomeOK,
	})
}

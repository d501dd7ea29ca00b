package inbound

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// check is what a host reported about repositories as a whole: one repository of
// ours, or those at a host that an App's installation concerns.
type check struct {
	repoID string

	instance, host, account string
	hints                   []providers.RepositoryHint
}

// ask queues a check. An installation may concern thousands of repositories,
// so that the webhook is answered first.
func (s *Service) ask(c check) {
	select {
	case s.checks <- c:
	default:
		s.log.Warn("too much is to be asked of hosts at once; the daily look at every upstream will do it", "provider", c.instance, "repo_id", c.repoID)
	}
}

// followChecks does what [Service.ask] queued until ctx ends.
func (s *Service) followChecks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.checks:
			if err := s.check(ctx, c); err != nil && ctx.Err() == nil {
				s.log.Error("cannot follow up an inbound webhook", "provider", c.instance, "repo_id", c.repoID, "error", err)
			}
		}
	}
}

// check asks core/mirror about every repository that c means.
func (s *Service) check(ctx context.Context, c check) error {
	if c.repoID != "" {
		return notMissing(s.upstreams.CheckUpstream(ctx, c.repoID)) // or detached, or deleted since
	}
	began := s.clock.Now()
	seen := map[string]bool{}
	var errs []error
	visit := func(repos []core.Repository, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		for _, r := range repos {
			if seen[r.ID] || ctx.Err() != nil {
				continue
			}
			seen[r.ID] = true
			// It may be detached or deleted since.
			if err := notMissing(s.upstreams.CheckUpstream(ctx, r.ID)); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if c.account != "" {
		visit(s.store.RepositoriesUnder(ctx, c.instance, c.host, c.account))
	}
	for _, hint := range c.hints {
		if hint.ID != "" {
			visit(s.store.RepositoriesOf(ctx, c.instance, c.host, hint.ID, ""))
		}
		if hint.Path != "" {
			visit(s.store.RepositoriesOf(ctx, c.instance, c.host, "", hint.Path))
		}
	}
	s.log.Info("an installation changed", "provider", c.instance, "account", c.account, "repositories", len(seen),
		"duration", s.clock.Now().Sub(began).Round(time.Millisecond))
	return errors.Join(errs...)
}

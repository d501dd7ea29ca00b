// Package quota holds organisations to what they may use: repositories and disk. What
// they may request in a second is held in server/middleware, before anything else.
//
// A repository is made, and content is taken, while there is room. The last write may go
// over the limit by its own size: how much it takes up is known only when it is here.
package quota

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// remembered is how long limits are believed: another process may change them.
const remembered = time.Second

// Store is what this package needs of [core.Store].
type Store interface {
	OrgLimits(ctx context.Context, org string) (core.OrgLimits, error)
	OrgUsage(ctx context.Context, org string) (core.OrgUsage, error)
}

// Service knows what organisations may use. It is safe for concurrent use.
type Service struct {
	store Store
	clock core.Clock

	mu    sync.Mutex
	known map[string]entry
}

type entry struct {
	limits core.OrgLimits
	until  time.Time
}

// New returns a service.
func New(store Store, clock core.Clock) *Service {
	return &Service{store: store, clock: clock, known: map[string]entry{}}
}

// maxKnown bounds the organisations whose limits are remembered.
const maxKnown = 10_000

// Limits returns the limits of an organisation, none if it does not exist.
func (s *Service) Limits(ctx context.Context, org string) (core.OrgLimits, error) {
	now := s.clock.Now()
	s.mu.Lock()
	e, ok := s.known[org]
	s.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.limits, nil
	}
	return s.read(ctx, org, now)
}

// read reads the limits and remembers them.
func (s *Service) read(ctx context.Context, org string, now time.Time) (core.OrgLimits, error) {
	limits, err := s.store.OrgLimits(ctx, org)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return core.OrgLimits{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[org] = entry{limits, now.Add(remembered)}
	return limits, nil
}

// CheckCreate is KindPermission if the organisation has as many repositories as it may,
// and KindTooLarge if it uses as much disk.
func (s *Service) CheckCreate(ctx context.Context, org string) error {
	return s.check(ctx, org, checkCount, checkDisk)
}

func checkCount(org string, limits core.OrgLimits, usage core.OrgUsage) error {
	if limits.Repositories == 0 || usage.Repositories < limits.Repositories {
		return nil
	}
	return core.Errorf(core.KindPermission,
		"the organisation %q may have %s and has %d: delete one, or have the operator raise the limit (headwater org limits)", org, core.Count(limits.Repositories, "repository"), usage.Repositories)
}

// CheckUndelete is KindPermission if the organisation has as many repositories as it may.
// What is in the trash takes no more disk when it comes back.
func (s *Service) CheckUndelete(ctx context.Context, org string) error {
	return s.check(ctx, org, checkCount)
}

// CheckRoom is KindTooLarge if the organisation uses as much disk as it may, so that
// nothing is to be added to its repositories.
func (s *Service) CheckRoom(ctx context.Context, org string) error {
	return s.check(ctx, org, checkDisk)
}

func checkDisk(org string, limits core.OrgLimits, usage core.OrgUsage) error {
	if limits.DiskBytes == 0 || usage.DiskBytes < limits.DiskBytes {
		return nil
	}
	return core.Errorf(core.KindTooLarge, "the organisation %q may use %s of disk and uses %s: delete repositories for good (headwater repo delete --now; those in the trash count), or have the operator raise the limit (headwater org limits)",
		org, size(limits.DiskBytes), size(usage.DiskBytes))
}

// size writes a number of bytes for a person.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, prefix := float64(n)/unit, "kMGTPE"
	for value >= unit && len(prefix) > 1 {
		value, prefix = value/unit, prefix[1:]
	}
	return fmt.Sprintf("%.1f %cB", value, prefix[0])
}

// check asks checks, with limits as they are remembered, and if one refuses with those that
// are in force now: a sync that is tried again because its limit was raised comes within
// the time that the former one is remembered for.
func (s *Service) check(ctx context.Context, org string, checks ...func(string, core.OrgLimits, core.OrgUsage) error) error {
	limits, err := s.Limits(ctx, org)
	if err != nil || limits.Repositories == 0 && limits.DiskBytes == 0 {
		return err
	}
	usage, err := s.store.OrgUsage(ctx, org)
	if err != nil {
		return err
	}
	all := func() error {
		for _, c := range checks {
			if err := c(org, limits, usage); err != nil {
				return err
			}
		}
		return nil
	}
	if all() == nil {
		return nil
	}
	if limits, err = s.read(ctx, org, s.clock.Now()); err != nil {
		return err
	}
	return all()
}

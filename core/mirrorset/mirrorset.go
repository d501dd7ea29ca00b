package mirrorset

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// When an owner is looked at.
const (
	// lookEvery lies between two looks of a set that is followed.
	lookEvery = 15 * time.Minute
	// firstPause and longestPause bound the pauses after looks that failed.
	firstPause   = 30 * time.Second
	longestPause = time.Hour
	// idle is how long the loop sleeps at most.
	idle = time.Hour
	// giveUpAfter is how many looks in a row of a set that is not followed may fail.
	giveUpAfter = 10
)

// Store is what the service needs of [core.Store].
type Store interface {
	core.MirrorSetStore
	Repository(ctx context.Context, org, name string) (core.Repository, error)
	RepositoriesOf(ctx context.Context, instance, host, id, path string) ([]core.Repository, error)
	SharedCredential(ctx context.Context, org, nameOrID string) (core.SharedCredential, error)
	RecordCredentialCheck(ctx context.Context, asked core.SharedCredential) error
}

// Upstreams lists. [*upstream.Service] implements it.
type Upstreams interface {
	Owner(ctx context.Context, r upstream.OwnerRequest) (upstream.Owner, error)
	ListPage(ctx context.Context, o upstream.Owner, c *providers.StoredCredential, cursor string) (providers.RepositoryPage, error)
}

// Wanted is a repository that is to be mirrored.
type Wanted struct {
	Org          string
	Name         string
	Owner        upstream.Owner
	Remote       providers.Remote
	CredentialID string
}

// Repositories makes and looks after mirrors. The engine implements it.
type Repositories interface {
	// Mirror makes a repository that follows a listed one, uses the shared credential,
	// and has its first sync requested. KindConflict: the name is taken.
	Mirror(ctx context.Context, w Wanted) (core.Repository, error)
	// Complete does for a repository that exists what Mirror does after making it and
	// a crash may have kept it from.
	Complete(ctx context.Context, r core.Repository, credentialID string) error
	// Moved has a repository looked at whose upstream is at another path now.
	Moved(ctx context.Context, r core.Repository) error
}

// Options configures [New].
type Options struct {
	Store        Store
	Upstreams    Upstreams
	Repositories Repositories
	Clock        core.Clock
	Logger       hclog.Logger // nil: logs nothing
	Failpoint    func(name string)
}

// Service keeps mirror sets. Make one with [New] and call Run.
type Service struct {
	store     Store
	upstreams Upstreams
	repos     Repositories
	clock     core.Clock
	log       hclog.Logger
	wake      loop.Signal
	failpoint func(name string)
}

// New returns a service.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Failpoint == nil {
		o.Failpoint = func(string) {}
	}
	return &Service{
		store: o.Store, upstreams: o.Upstreams, repos: o.Repositories, clock: o.Clock, log: o.Logger.Named("mirrorset"),
		wake: loop.NewSignal(), failpoint: o.Failpoint,
	}
}

// Wish is a mirror set as a caller asks for it.
type Wish struct {
	Owner      upstream.OwnerRequest
	Prefix     string
	Include    []string
	Exclude    []string
	Archived   bool
	Forks      bool
	Credential string // name or id of a shared credential; "": none
	Follow     bool
}

// prepare checks a wish and finds what it names.
func (s *Service) prepare(ctx context.Context, org string, w Wish) (core.MirrorSet, upstream.Owner, *providers.StoredCredential, error) {
	fail := func(err error) (core.MirrorSet, upstream.Owner, *providers.StoredCredential, error) {
		return core.MirrorSet{}, upstream.Owner{}, nil, err
	}
	owner, err := s.upstreams.Owner(ctx, w.Owner)
	if err != nil {
		return fail(err)
	}
	if !owner.Lists {
		return fail(core.Errorf(core.KindUnsupported, "provider %q does not list the repositories of an owner: mirror them one by one", owner.Provider))
	}
	now := s.clock.Now()
	set := core.MirrorSet{
		ID: core.NewID("mset", now), Org: org, Provider: owner.Provider, Public: owner.Public, Host: owner.Host, Owner: owner.Owner,
		Prefix: w.Prefix, Include: w.Include, Exclude: w.Exclude, Archived: w.Archived, Forks: w.Forks, Follow: w.Follow,
		NextLookAt: now, CreatedAt: now, UpdatedAt: now,
	}
	if _, err := rulesOf(set); err != nil {
		return fail(err)
	}
	if w.Prefix != "" {
		if err := core.ValidateRepositoryName(strings.TrimSuffix(w.Prefix, "/") + "/name"); err != nil {
			return fail(core.Errorf(core.KindInvalid, "prefix: %v", err))
		}
	}
	// A set that is there keeps its entries.
	sets, err := s.store.MirrorSets(ctx, org)
	if err != nil {
		return fail(err)
	}
	for _, is := range sets {
		if is.Host == set.Host && strings.EqualFold(is.Owner, set.Owner) {
			set.ID = is.ID
		}
	}
	c, err := s.credential(ctx, org, w.Credential, owner)
	if c == nil {
		return set, owner, nil, err
	}
	set.CredentialID = c.ID
	return set, owner, c.Stored(), nil
}

// credential returns a shared credential that is to list an owner's repositories, nil if
// none is named.
func (s *Service) credential(ctx context.Context, org, nameOrID string, o upstream.Owner) (*core.SharedCredential, error) {
	if nameOrID == "" {
		return nil, nil //nolint:nilnil // none is to be used
	}
	c, err := s.store.SharedCredential(ctx, org, nameOrID)
	if core.KindOf(err) == core.KindNotFound {
		return nil, core.Errorf(core.KindNotFound, "the organisation has no shared credential %q", nameOrID)
	}
	if err != nil {
		return nil, err
	}
	if o.Mode != providers.ModeGeneric {
		return nil, core.Errorf(core.KindInvalid, "provider %q uses no stored credential: leave it out", o.Provider)
	}
	if !c.Covers(core.Upstream{Mode: o.Mode, Host: o.Host, Owner: o.Owner}) {
		return nil, core.Errorf(core.KindInvalid, "the shared credential %q is for %s/%s, and is not sent to %s/%s", c.Name, c.Host, c.Owner, o.Host, o.Owner)
	}
	return &c, nil
}

// Plan lists the repositories of an owner and says what a set would do. Nothing is
// written. Errors: KindInvalid, KindNotFound, KindUnsupported, and what the host says,
// as [upstream.Service.ListPage] has it.
func (s *Service) Plan(ctx context.Context, org string, w Wish) (core.MirrorSet, []Item, error) {
	set, owner, stored, err := s.prepare(ctx, org, w)
	if err != nil {
		return set, nil, err
	}
	listed, err := s.list(ctx, owner, stored, func(providers.RepositoryPage) {})
	if err != nil {
		return set, nil, err
	}
	items, err := s.plan(ctx, set, owner, listed)
	return set, items, err
}

// Create makes a set, or replaces what the organisation's set of that owner wishes
// for, and has it looked at now. Errors: KindInvalid, KindNotFound, KindUnsupported.
func (s *Service) Create(ctx context.Context, org string, w Wish) (core.MirrorSet, error) {
	set, _, _, err := s.prepare(ctx, org, w)
	if err != nil {
		return set, err
	}
	set, err = s.store.SaveMirrorSet(ctx, set)
	s.wake.Set()
	return set, err
}

// Set returns a set and its entries. KindNotFound: there is none.
func (s *Service) Set(ctx context.Context, org, id string) (core.MirrorSet, []core.MirrorEntry, error) {
	set, err := s.store.MirrorSet(ctx, org, id)
	if err != nil {
		return set, nil, err
	}
	entries, err := s.store.MirrorEntries(ctx, set.ID)
	return set, entries, err
}

// Sets returns the sets of an organisation.
func (s *Service) Sets(ctx context.Context, org string) ([]core.MirrorSet, error) {
	return s.store.MirrorSets(ctx, org)
}

// Delete forgets a set; its repositories stay.
func (s *Service) Delete(ctx context.Context, org, id string) error {
	return s.store.DeleteMirrorSet(ctx, org, id)
}

// Run looks at sets when they are due, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		s.Pass(ctx)
		at, err := s.store.NextMirrorLook(ctx)
		latest := s.clock.Now().Add(idle)
		if err != nil || at.IsZero() || at.After(latest) {
			at = latest
		}
		if !loop.SleepUntil(ctx, s.clock, at, s.wake) {
			break
		}
	}
	return nil
}

// Pass looks at all sets that are due. What fails is recorded with its set.
func (s *Service) Pass(ctx context.Context) {
	due, err := s.store.DueMirrorSets(ctx, s.clock.Now())
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("cannot read the mirror sets that are due", "error", err)
		}
		return
	}
	for _, set := range due {
		err := s.look(ctx, set)
		if ctx.Err() != nil {
			return // it is due again at the next start
		}
		if err := s.store.RecordMirrorLook(ctx, s.after(set, err)); err != nil && core.KindOf(err) != core.KindNotFound {
			s.log.Error("cannot record a look", "mirror_set", set.ID, "error", err)
		}
	}
}

// after returns a set as it is after a look.
func (s *Service) after(set core.MirrorSet, err error) core.MirrorSet {
	now := s.clock.Now()
	set.NextLookAt = time.Time{}
	if err == nil {
		set.LookedAt, set.Failures, set.LastError = now, 0, ""
		if set.Follow {
			set.NextLookAt = now.Add(loop.Around(lookEvery))
		}
		return set
	}
	set.Failures++
	set.LastError = core.PublicMessage(err)
	pause := loop.Doubling(firstPause, longestPause, set.Failures)
	var e *core.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		pause = max(pause, e.RetryAfter) // the host says when
	}
	if set.Follow || set.Failures < giveUpAfter {
		set.NextLookAt = now.Add(loop.Later(pause))
	}
	s.log.Warn("the repositories of an owner could not all be mirrored", "mirror_set", set.ID, "host", set.Host, "owner", set.Owner, "error", err)
	return set
}

// look lists the owner's repositories and makes what is missing. Each repository is
// recorded when it is made, so that the next look goes on where this one ends.
func (s *Service) look(ctx context.Context, set core.MirrorSet) error {
	owner, err := s.upstreams.Owner(ctx, upstream.OwnerRequest{Provider: set.Provider, Public: set.Public, Host: set.Host, Owner: set.Owner})
	if err != nil {
		return err
	}
	shared, err := s.credential(ctx, set.Org, set.CredentialID, owner)
	if err != nil {
		return err
	}
	var stored *providers.StoredCredential
	if shared != nil {
		stored = shared.Stored()
	}
	var expires time.Time
	listed, err := s.list(ctx, owner, stored, func(p providers.RepositoryPage) {
		if !p.CredentialExpiresAt.IsZero() {
			expires = p.CredentialExpiresAt
		}
	})
	if shared != nil && ctx.Err() == nil && core.KindOf(err) != core.KindRateLimited && core.KindOf(err) != core.KindUpstreamUnavailable {
		shared.ExpiresAt, shared.CheckedAt, shared.CheckError = expires, s.clock.Now(), ""
		if err != nil {
			shared.CheckError = core.PublicMessage(err)
		}
		if err := s.store.RecordCredentialCheck(ctx, *shared); err != nil && core.KindOf(err) != core.KindNotFound { // rotated meanwhile
			s.log.Error("cannot record what the host says of a credential", "credential", set.CredentialID, "error", err)
		}
	}
	if err != nil {
		return err
	}
	items, err := s.plan(ctx, set, owner, listed)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	failed := 0
	for _, i := range items {
		seen[i.UpstreamID] = true
		if err := s.apply(ctx, set, owner, &i); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed++
			i.Action, i.Reason = core.MirrorFailed, core.PublicMessage(err)
		}
		i.SeenAt = s.clock.Now()
		if err := s.store.SaveMirrorEntry(ctx, i.MirrorEntry); err != nil {
			return err
		}
	}
	if err := s.markGone(ctx, set, seen); err != nil {
		return err
	}
	if failed > 0 {
		return core.Errorf(core.KindUpstreamUnavailable, "%d of %s could not be made; what failed is tried again", failed, core.Count(len(items), "repository"))
	}
	return nil
}

// apply does what was decided of one repository.
func (s *Service) apply(ctx context.Context, set core.MirrorSet, owner upstream.Owner, i *Item) error {
	switch i.Action {
	case core.MirrorCreate:
		r, err := s.repos.Mirror(ctx, Wanted{Org: set.Org, Name: i.Name, Owner: owner, Remote: i.Remote, CredentialID: set.CredentialID})
		if err != nil {
			return err
		}
		s.failpoint("mirror-set-made")
		i.RepoID, i.Action = r.ID, core.MirrorKeep
	case core.MirrorKeep:
		return s.repos.Complete(ctx, i.repo, set.CredentialID)
	case core.MirrorMove:
		if err := s.repos.Moved(ctx, i.repo); err != nil {
			return err
		}
	}
	return nil
}

// markGone records which repositories the host lists no more.
func (s *Service) markGone(ctx context.Context, set core.MirrorSet, seen map[string]bool) error {
	entries, err := s.store.MirrorEntries(ctx, set.ID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if seen[e.UpstreamID] || !e.GoneAt.IsZero() {
			continue
		}
		e.Action, e.GoneAt = core.MirrorGone, s.clock.Now()
		e.Reason = "the host lists it no more: it was deleted, moved elsewhere, or is hidden; what is here stays"
		if err := s.store.SaveMirrorEntry(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

package engine

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/mirrorset"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// Bounds of rotations.
const (
	// DefaultOverlap is how long the secret of before is kept at a rotation.
	DefaultOverlap = time.Hour
	// MaxOverlap is how long it may be kept.
	MaxOverlap = 7 * 24 * time.Hour
	// probed is how many of its repositories a new secret is tried with.
	probed = 5
)

var sharedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// SharedCredentialRequest is a shared credential as a caller gives it.
type SharedCredentialRequest struct {
	Name     string
	Owner    upstream.OwnerRequest
	Username string
	Secret   providers.Secret
}

// CreateSharedCredential stores a credential of an organisation after the host has
// taken it. Errors: KindInvalid, KindConflict (the name is taken), KindUpstreamRejected
// (the host refuses it), and what else a listing fails with.
func (e *Engine) CreateSharedCredential(ctx context.Context, org string, q SharedCredentialRequest) (core.SharedCredential, error) {
	if !sharedName.MatchString(q.Name) || strings.HasPrefix(q.Name, "gsc_") {
		return core.SharedCredential{}, core.Errorf(core.KindInvalid, "a shared credential is named by 1 to 100 letters, digits, dots, dashes and underscores, not beginning with gsc_")
	}
	if err := checkCredential(q.Username, q.Secret); err != nil {
		return core.SharedCredential{}, err
	}
	q.Owner.Public = false
	owner, err := e.upstreams.Owner(ctx, q.Owner)
	if err != nil {
		return core.SharedCredential{}, err
	}
	if owner.Mode != providers.ModeGeneric {
		return core.SharedCredential{}, core.Errorf(core.KindInvalid, "provider %q uses no stored credential", owner.Provider)
	}
	if _, err := e.store.SharedCredential(ctx, org, q.Name); err == nil {
		return core.SharedCredential{}, core.Errorf(core.KindConflict, "the organisation has a shared credential %q already: rotate that one", q.Name)
	} else if core.KindOf(err) != core.KindNotFound {
		return core.SharedCredential{}, err
	}
	expires, err := e.probeOwner(ctx, owner, providers.StoredCredential{Username: q.Username, Secret: q.Secret})
	if err != nil {
		return core.SharedCredential{}, err
	}
	now := e.clock.Now()
	c := core.SharedCredential{
		ID: core.NewID("gsc", now), Org: org, Name: q.Name, Provider: owner.Provider, Instance: owner.Instance, Host: owner.Host, Owner: owner.Owner,
		Username: q.Username, Secret: q.Secret, ExpiresAt: expires, CheckedAt: now, CreatedAt: now, UpdatedAt: now,
	}
	return c, e.store.CreateSharedCredential(ctx, c)
}

// probeOwner asks the host for the owner's repositories with a credential, and returns
// when that expires, if the host says. Hosts that list nothing are not asked.
func (e *Engine) probeOwner(ctx context.Context, o upstream.Owner, c providers.StoredCredential) (time.Time, error) {
	if !o.Lists {
		return time.Time{}, nil
	}
	page, err := e.upstreams.ListPage(ctx, o, &c, "")
	if err != nil {
		return time.Time{}, fmt.Errorf("the credential was tried and not stored: %w", err)
	}
	return page.CredentialExpiresAt, nil
}

// ownerOf finds the provider of a shared credential's owner.
func (e *Engine) ownerOf(ctx context.Context, c core.SharedCredential) (upstream.Owner, error) {
	return e.upstreams.Owner(ctx, upstream.OwnerRequest{Provider: c.Provider, Host: c.Host, Owner: c.Owner})
}

// RotateSharedCredential replaces the secret of a shared credential, after the host has
// taken the new one for the owner and for some of the repositories that use it. The old
// one is kept for the overlap, and tried where the host refuses the new one; 0 keeps
// none. A nil username keeps the old one. Errors: KindNotFound, KindInvalid,
// KindUpstreamRejected (the old secret stays), and what else the host says.
func (e *Engine) RotateSharedCredential(ctx context.Context, org, name string, username *string, secret providers.Secret, overlap time.Duration) (core.SharedCredential, error) {
	c, err := e.store.SharedCredential(ctx, org, name)
	if err != nil {
		return core.SharedCredential{}, err
	}
	next := providers.StoredCredential{Username: c.Username, Secret: secret}
	if username != nil {
		next.Username = *username
	}
	if err := checkCredential(next.Username, secret); err != nil {
		return core.SharedCredential{}, err
	}
	if overlap < 0 || overlap > MaxOverlap {
		return core.SharedCredential{}, core.Errorf(core.KindInvalid, "the overlap is from 0 to %s", MaxOverlap)
	}
	owner, err := e.ownerOf(ctx, c)
	if err != nil {
		return core.SharedCredential{}, err
	}
	expires, err := e.probeOwner(ctx, owner, next)
	if err != nil {
		return core.SharedCredential{}, err
	}
	users, err := e.store.RepositoriesWith(ctx, c.ID)
	if err != nil {
		return core.SharedCredential{}, err
	}
	if err := e.probeRepositories(ctx, c, users, &next); err != nil {
		return core.SharedCredential{}, err
	}
	now := e.clock.Now()
	c.Previous = nil
	if overlap > 0 && c.Secret != secret {
		c.Previous = &core.PreviousCredential{Username: c.Username, Secret: c.Secret, Until: now.Add(overlap)}
	}
	c.Username, c.Secret, c.ExpiresAt, c.CheckedAt, c.CheckError, c.UpdatedAt = next.Username, secret, expires, now, "", now
	if err := e.store.UpdateSharedCredential(ctx, c); err != nil {
		return core.SharedCredential{}, err
	}
	for _, r := range users {
		e.tryWith(ctx, r)
	}
	e.log.Info("shared credential rotated", "org", org, "credential", c.Name, "repositories", len(users), "overlap", overlap)
	return c, nil
}

// probeRepositories opens some repositories with a new credential.
func (e *Engine) probeRepositories(ctx context.Context, c core.SharedCredential, users []core.Repository, next *providers.StoredCredential) error {
	tried := 0
	for _, r := range users {
		if tried == probed {
			break
		}
		if r.Upstream == nil || !c.Covers(*r.Upstream) {
			continue
		}
		if state, err := e.store.SyncState(ctx, r.ID); err != nil || state.Failures > 0 {
			continue // it does not open with the old one either
		}
		tried++
		if _, err := e.upstreams.With(next).Refs(ctx, r, []string{"HEAD"}); err != nil {
			class, text := upstream.Classify(err)
			if class != core.ClassAuth && class != core.ClassNotFound {
				continue // that says nothing of the credential
			}
			return core.Errorf(core.KindUpstreamRejected, "the new credential does not open %s, which the old one opens; nothing was changed: %s", r.Name, text)
		}
	}
	return nil
}

// CheckSharedCredential asks the host about a shared credential and records what it
// says.
func (e *Engine) CheckSharedCredential(ctx context.Context, org, name string) (core.SharedCredential, error) {
	c, err := e.store.SharedCredential(ctx, org, name)
	if err != nil {
		return core.SharedCredential{}, err
	}
	owner, err := e.ownerOf(ctx, c)
	if err != nil {
		return core.SharedCredential{}, err
	}
	c.CheckError = ""
	if owner.Lists {
		page, err := e.upstreams.ListPage(ctx, owner, c.Stored(), "")
		switch core.KindOf(err) {
		case "":
			c.ExpiresAt = page.CredentialExpiresAt
		case core.KindRateLimited, core.KindUpstreamUnavailable:
			return core.SharedCredential{}, err // that says nothing of the credential
		default:
			c.CheckError = core.PublicMessage(err)
		}
	}
	c.CheckedAt = e.clock.Now()
	err = e.store.RecordCredentialCheck(ctx, c)
	if core.KindOf(err) == core.KindNotFound {
		return e.store.SharedCredential(ctx, org, name) // rotated meanwhile, which has asked the host, or deleted
	}
	return c, err
}

// SharedCredential returns a shared credential by its name or id.
func (e *Engine) SharedCredential(ctx context.Context, org, name string) (core.SharedCredential, []core.Repository, error) {
	c, err := e.store.SharedCredential(ctx, org, name)
	if err != nil {
		return c, nil, err
	}
	users, err := e.store.RepositoriesWith(ctx, c.ID)
	return c, users, err
}

// SharedCredentials returns those of an organisation by name.
func (e *Engine) SharedCredentials(ctx context.Context, org string) ([]core.SharedCredential, error) {
	return e.store.SharedCredentials(ctx, org)
}

// DeleteSharedCredential deletes a shared credential. KindConflict: repositories use it.
func (e *Engine) DeleteSharedCredential(ctx context.Context, org, name string) error {
	c, err := e.store.SharedCredential(ctx, org, name)
	if err != nil {
		return err
	}
	return e.store.DeleteSharedCredential(ctx, c.ID)
}

// AssignSharedCredential makes a repository use a shared credential. Errors:
// KindNotFound, KindInvalid (it is for other upstreams), KindConflict (the repository
// has a credential of its own).
func (e *Engine) AssignSharedCredential(ctx context.Context, org, name, repo string) error {
	c, r, err := e.sharedAndUser(ctx, org, name, repo)
	if err != nil {
		return err
	}
	if r.Upstream == nil || !c.Covers(*r.Upstream) {
		return core.Errorf(core.KindInvalid, "the shared credential %q is for repositories of %s/%s, and %s is none", c.Name, c.Host, c.Owner, r.Name)
	}
	if err := e.store.AssignSharedCredential(ctx, r.ID, c.ID, e.clock.Now()); err != nil {
		return err
	}
	e.tryWith(ctx, r)
	return nil
}

// sharedAndUser returns a shared credential and the repository that is to use it, or
// no longer.
func (e *Engine) sharedAndUser(ctx context.Context, org, name, repo string) (c core.SharedCredential, r core.Repository, err error) {
	if c, err = e.store.SharedCredential(ctx, org, name); err != nil {
		return c, r, err
	}
	r, err = e.store.Repository(ctx, org, repo)
	return c, r, err
}

// UnassignSharedCredential takes its shared credential from a repository.
func (e *Engine) UnassignSharedCredential(ctx context.Context, org, name, repo string) error {
	c, r, err := e.sharedAndUser(ctx, org, name, repo)
	if err != nil {
		return err
	}
	is, err := e.store.SharedCredentialOf(ctx, r.ID)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return err
	}
	if err != nil || is.ID != c.ID {
		return core.Errorf(core.KindNotFound, "%s does not use the shared credential %q", r.Name, c.Name)
	}
	gone := e.inbound.Leaving(ctx, r)
	if err := e.store.UnassignSharedCredential(ctx, r.ID); err != nil {
		return err
	}
	gone()
	e.checkInbound(ctx, r.ID)
	return nil
}

// MayRelink refuses to change the upstream of a repository that uses a shared
// credential, which only tokens of the organisation give and take. KindPermission.
func (e *Engine) MayRelink(ctx context.Context, r core.Repository) error {
	c, err := e.store.SharedCredentialOf(ctx, r.ID)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return nil
	case err != nil:
		return err
	}
	return core.Errorf(core.KindPermission, "the repository uses the shared credential %q of the organisation, so it cannot be pointed elsewhere; a token of the organisation takes the credential away first: headwater credential unassign %s %s", c.Name, c.Name, core.ShellArg(r.Name))
}

// repositories makes the mirrors of sets.
type repositories struct{ *Engine }

var _ mirrorset.Repositories = repositories{}

// Mirror implements [mirrorset.Repositories].
func (e repositories) Mirror(ctx context.Context, w mirrorset.Wanted) (core.Repository, error) {
	slash := strings.LastIndexByte(w.Remote.Path, '/')
	r, err := e.CreateRepository(ctx, CreateRequest{Org: w.Org, Name: w.Name, Upstream: &UpstreamRequest{
		Provider: w.Owner.Provider, Public: w.Owner.Public, Host: w.Owner.Host,
		Owner: w.Remote.Path[:max(slash, 0)], Name: w.Remote.Path[slash+1:], Listed: &w.Remote,
	}})
	if err != nil {
		return core.Repository{}, err
	}
	e.repos.Failpoint("mirror-made")
	return r, e.Complete(ctx, r, w.CredentialID)
}

// Complete implements [mirrorset.Repositories].
func (e repositories) Complete(ctx context.Context, r core.Repository, credentialID string) error {
	state, err := e.store.SyncState(ctx, r.ID)
	if err != nil || state.Ready() {
		return err // it is followed, with what it has
	}
	if credentialID != "" {
		_, err := e.store.CredentialByRepo(ctx, r.ID)
		if core.KindOf(err) == core.KindNotFound {
			err = e.AssignSharedCredential(ctx, r.Org, credentialID, r.Name)
		}
		if err != nil {
			return err
		}
	}
	if state.Wanted > 0 {
		return nil
	}
	_, err = e.schedule.Request(ctx, r.ID, schedule.TriggerCreate, "")
	return err
}

// Moved implements [mirrorset.Repositories].
func (e repositories) Moved(ctx context.Context, r core.Repository) error {
	return e.monitor.RequestLinked(ctx, r.ID)
}

const (
	// checkCredentialsEvery lies between two questions about a shared credential.
	checkCredentialsEvery = 24 * time.Hour
	// ExpiryWarning is how long before its end a shared credential is warned of.
	ExpiryWarning = 14 * 24 * time.Hour
)

// watchCredentials asks the hosts about shared credentials once a day, and warns of
// those that end soon or do not work, until ctx ends.
func (e *Engine) watchCredentials(ctx context.Context) error {
	loop.Every(ctx, e.clock, time.Hour, func(ctx context.Context) {
		all, err := e.store.SharedCredentials(ctx, "")
		if err != nil {
			if ctx.Err() == nil {
				e.log.Error("cannot read shared credentials", "error", err)
			}
			return
		}
		now := e.clock.Now()
		for _, c := range all {
			if ctx.Err() != nil || now.Sub(c.CheckedAt) < checkCredentialsEvery {
				continue
			}
			checked, err := e.CheckSharedCredential(ctx, c.Org, c.ID)
			if err != nil {
				continue // the host cannot be asked now
			}
			if text := CredentialWarning(checked, now); text != "" {
				e.log.Warn("a shared credential needs attention", "org", c.Org, "credential", c.Name, "host", c.Host, "owner", c.Owner, "warning", text)
			}
		}
	})
	return nil
}

// CredentialWarning returns what is or will soon be wrong with a shared credential, ""
// for nothing.
func CredentialWarning(c core.SharedCredential, now time.Time) string {
	rotate := "; rotate it: headwater credential rotate " + c.Name
	switch left := c.ExpiresAt.Sub(now); {
	case c.CheckError != "":
		return "the host refuses it: " + c.CheckError + rotate
	case c.ExpiresAt.IsZero() || left >= ExpiryWarning:
		return ""
	case left <= 0:
		return "it has expired" + rotate
	case left < 48*time.Hour:
		return "it expires in " + core.Count(int(left.Hours()), "hour") + rotate
	default:
		return "it expires in " + core.Count(int(left.Hours()/24), "day") + rotate
	}
}

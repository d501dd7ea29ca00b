package token

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
)

const (
	// DefaultLife is how long a token is valid if nobody says.
	DefaultLife = time.Hour
	// keyLife is after what time the next token is signed with a new key.
	keyLife = 30 * 24 * time.Hour
	// keyRest is how long a key verifies after it has signed for the last time: as
	// long as a token lives, and some minutes for clocks that differ.
	keyRest = access.MaxIssuedLife + 5*time.Minute
)

// Store is what the service needs of [core.Store].
type Store interface {
	core.Transactor
	core.TokenStore
	Keys(ctx context.Context, org string) ([]core.Key, error)
}

var _ Store = (core.Store)(nil)

// Options configures [New]. All is required.
type Options struct {
	Store Store
	Clock core.Clock
	// Operation returns an operation by its name, with the scope that a token of the
	// whole organisation or of one repository needs for it.
	Operation func(name string, orgWide bool) (access.Operation, bool)
	// Changed is called when keys or revocations have changed.
	Changed func()
}

// Service issues and revokes tokens. It is safe for concurrent use.
type Service struct{ o Options }

// New returns a service.
func New(o Options) *Service { return &Service{o: o} }

// audit records a change in the transaction that makes it.
func audit(ctx context.Context, q core.Queries, actor core.Actor, now time.Time, action, target string, repo core.Repository) error {
	return q.AddAudit(ctx, core.AuditEntry{
		ID: core.NewID("aud", now), Org: actor.Org, RepoID: repo.ID, RepoName: repo.Name, At: now, Actor: actor, Action: action, Target: target, Outcome: core.OutcomeOK,
	})
}

// Keys lists the keys of an organisation, oldest first, disabled ones too.
func (s *Service) Keys(ctx context.Context, org string) ([]core.Key, error) {
	return s.o.Store.Keys(ctx, org)
}

// Revocations lists what is revoked in an organisation, newest first, below a place; 0
// is the first page.
func (s *Service) Revocations(ctx context.Context, org string, before int64, limit int) ([]core.Revocation, error) {
	return s.o.Store.Revocations(ctx, org, before, limit)
}

// Rotate makes a new key sign from now on, and returns it. The old one verifies until
// its last token has ended. KindNotFound: there is no such organisation.
func (s *Service) Rotate(ctx context.Context, actor core.Actor) (core.Key, error) {
	var key core.Key
	now := s.o.Clock.Now()
	err := s.o.Store.Tx(ctx, func(q core.Queries) error {
		var err error
		if key, _, err = rotate(ctx, q, actor.Org, now); err != nil {
			return err
		}
		return audit(ctx, q, actor, now, "issuer.rotate", key.ID, core.Repository{})
	})
	if err == nil {
		s.o.Changed()
	}
	return key, err
}

// rotate retires the key that signs, if there is one, and adds another.
func rotate(ctx context.Context, q core.Queries, org string, now time.Time) (core.Key, providers.Secret, error) {
	private, public, err := access.GenerateES256()
	if err != nil {
		return core.Key{}, "", err
	}
	algorithm, spki, err := access.ParsePublicKey(public)
	if err != nil {
		return core.Key{}, "", err
	}
	// The one that signs is looked up by its public half, so that a private one which
	// cannot be opened any more, after the sealing key was lost, does not stand in the way.
	keys, err := q.Keys(ctx, org)
	if err != nil {
		return core.Key{}, "", err
	}
	for _, k := range keys {
		if k.Issuer && k.VerifiesUntil.IsZero() && k.DisabledAt.IsZero() {
			if err := q.RetireIssuerKey(ctx, org, k.ID, now.Add(keyRest)); err != nil {
				return core.Key{}, "", err
			}
		}
	}
	key := core.Key{ID: core.NewID("key", now), Org: org, Algorithm: algorithm, PublicPEM: spki, CreatedAt: now, Issuer: true}
	key.KeyID = core.IssuerKeyID(key.ID)
	return key, providers.Secret(private), q.AddIssuerKey(ctx, key, providers.Secret(private))
}

// signer returns the key that signs now. It makes one if there is none, or if that has
// signed for long enough.
func (s *Service) signer(ctx context.Context, org string, now time.Time) (core.Key, access.PrivateKey, error) {
	key, private, err := s.o.Store.IssuerKey(ctx, org)
	if err == nil && now.Sub(key.CreatedAt) < keyLife {
		return parsed(key, private)
	}
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return core.Key{}, access.PrivateKey{}, unreadable(err)
	}
	err = s.o.Store.Tx(ctx, func(q core.Queries) error {
		// Another request may have come first.
		found, secret, err := q.IssuerKey(ctx, org)
		switch {
		case err == nil && now.Sub(found.CreatedAt) < keyLife:
			key, private = found, secret
			return nil
		case err != nil && core.KindOf(err) != core.KindNotFound:
			return unreadable(err)
		}
		key, private, err = rotate(ctx, q, org, now)
		return err
	})
	if err != nil {
		return core.Key{}, access.PrivateKey{}, err
	}
	s.o.Changed()
	return parsed(key, private)
}

func parsed(key core.Key, private providers.Secret) (core.Key, access.PrivateKey, error) {
	signer, err := access.ParsePrivateKey([]byte(private.Reveal()))
	if err != nil {
		return core.Key{}, access.PrivateKey{}, unreadable(err)
	}
	return key, signer, nil
}

// unreadable says what to do about a private key that cannot be used.
func unreadable(err error) error {
	failure := &core.Error{Kind: core.KindOf(err), Op: "issue token", Message: core.MessageOf(err), Err: err}
	if original, ok := errors.AsType[*core.Error](err); ok {
		failure.Subject = original.Subject
	}
	if failure.Kind == core.KindInternal {
		failure.Message += "; if the sealing key was lost, make a new issuer key: headwater token rotate"
	}
	return failure
}

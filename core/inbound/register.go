package inbound

import (
	"context"
	"errors"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

const (
	// registerTimeout bounds the calls of the host's API for one repository.
	registerTimeout = 30 * time.Second
	// registerTogether is how many repositories are registered at once.
	registerTogether = 4
	// recheck is when a registration that is correct is looked at again: people
	// delete webhooks, and hosts switch off what failed for a while.
	recheck = 24 * time.Hour
	// retryMin doubles with every failure up to recheck.
	retryMin = time.Minute
	// hostPause is how long a host that does not answer is left alone, whatever
	// repositories it has.
	hostPause = time.Minute
	// lookEvery is how often what is due is looked for.
	lookEvery = 30 * time.Second
	// dueAtOnce is how many due rows one look takes.
	dueAtOnce = 100
)

// followDue ensures registrations when they are due, until ctx ends.
func (s *Service) followDue(ctx context.Context) {
	for {
		n, err := s.ensureDue(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Error("cannot look for due inbound webhooks; trying again", "error", err)
		}
		if n == dueAtOnce && err == nil {
			continue // there may be more
		}
		if !loop.Sleep(ctx, s.clock, lookEvery, s.due) {
			return
		}
	}
}

// ensureDue ensures what is due, and returns how many repositories that were.
func (s *Service) ensureDue(ctx context.Context) (int, error) {
	ids, err := s.store.DueInboundWebhooks(ctx, s.clock.Now(), dueAtOnce)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.SetLimit(registerTogether)
	for _, id := range ids {
		g.Go(func() error { return s.ensure(ctx, id) })
	}
	return len(ids), g.Wait()
}

// outcome is what came of one look at a registration.
type outcome struct {
	state   core.InboundState
	message string
	hookID  string
	next    time.Duration // until the next look; 0: none by itself
	asked   bool          // the host was asked
}

// ensure makes the webhook of one repository at its host be as it must be, and
// records what came of it. Errors are those of the store.
func (s *Service) ensure(ctx context.Context, repoID string) error {
	w, r, stored, err := s.linked(ctx, repoID)
	if err != nil {
		return notMissing(err)
	}
	p, o := s.registrable(ctx, r, stored)
	var remote providers.Remote
	if o.state == "" {
		remote, o = s.register(ctx, p, r, w, stored)
	}
	if ctx.Err() != nil {
		return nil // looked at again at the next start
	}
	kept, err := s.record(ctx, w, o)
	if err != nil {
		return err
	}
	if !kept && o.state == core.InboundActive {
		// Detached, or the credential deleted, while the host was asked.
		s.remove(removal{plugin: p, remote: remote, stored: stored, url: s.address(*r.Upstream, w.Token), hookID: o.hookID})
	}
	return nil
}

// notMissing leaves out that a row is not there any more.
func notMissing(err error) error {
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	return err
}

// linked reads a repository with its webhook and credential, all as of one
// moment: a repository may be given another upstream at any time, whose host
// must not see the credential of the one before. A nil credential: none is
// stored. Errors: KindNotFound if one of the others is not there.
func (s *Service) linked(ctx context.Context, repoID string) (w core.InboundWebhook, r core.Repository, stored *providers.StoredCredential, err error) {
	err = s.store.Tx(ctx, func(q core.Queries) error {
		if w, err = q.InboundWebhook(ctx, repoID); err != nil {
			return err
		}
		if r, err = q.RepositoryByID(ctx, repoID); err != nil {
			return err
		}
		if r.Upstream == nil {
			return core.Errorf(core.KindNotFound, "no upstream configured for this repository")
		}
		c, err := q.CredentialByRepo(ctx, repoID)
		if err != nil {
			return notMissing(err)
		}
		stored = c.Stored()
		return nil
	})
	return w, r, stored, err
}

// registrable finds out whether the repository's webhook can be registered by
// us. If it cannot, the outcome has a state and says why.
func (s *Service) registrable(ctx context.Context, r core.Repository, stored *providers.StoredCredential) (upstream.Plugin, outcome) {
	none := func(message string) (upstream.Plugin, outcome) {
		return nil, outcome{state: core.InboundNone, message: message}
	}
	p, err := s.plugins.Instance(r.Upstream.Instance)
	if err != nil {
		return none("the provider of the upstream is not configured any more")
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return nil, outcome{state: core.InboundFailing, message: sentence(err), next: retryMin}
	}
	switch {
	case !m.Capabilities.Webhooks:
		return none("this kind of host sends no webhooks that are understood here; the upstream is polled")
	case m.Mode == providers.ModeApp:
		return none("the App's own webhook tells of changes")
	case !m.Capabilities.WebhookRegistration:
		return none("webhooks cannot be registered at this kind of host; add this address and its secret there by hand")
	case stored == nil:
		return none("no credential is stored that could register it; add this address and its secret at the host by hand")
	}
	if message := s.unreachable(p.HostPolicy(r.Upstream.Host)); message != "" {
		return none(message)
	}
	return p, outcome{}
}

// unreachable says why hosts of the policy cannot be given our address; "" if
// they can.
func (s *Service) unreachable(policy providers.HostPolicy) string {
	if s.publicURL == "" {
		return "this server has no public URL that a host could deliver to; start it with --public-url"
	}
	u, err := url.Parse(s.publicURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return "the public URL of this server is not one that a host could deliver to"
	case u.Scheme != "https" && !policy.AllowPrivate:
		return "the public URL of this server is not https, so webhooks would travel in the clear"
	}
	return ""
}

// address is where the host shall deliver.
func (s *Service) address(up core.Upstream, token string) string {
	return s.publicURL + PathOf(up, token)
}

// register asks the host.
func (s *Service) register(
	ctx context.Context, p upstream.Plugin, r core.Repository, w core.InboundWebhook, stored *providers.StoredCredential,
) (providers.Remote, outcome) {
	if until := s.pauses.Until(r.Upstream.Host); !until.IsZero() {
		o := outcome{state: w.State, message: w.Message, next: loop.Later(until.Sub(s.clock.Now()) + time.Second)}
		if o.state == core.InboundNone {
			o.state, o.message = core.InboundFailing, "the host asked to wait, or did not answer"
		}
		return providers.Remote{}, o
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	began := s.clock.Now()
	// A stranger may have taken the name since: the webhook would be put on their
	// repository, and tell them our address and secret.
	if o, ok := s.confirm(ctx, r, w); !ok {
		return providers.Remote{}, o
	}
	remote, err := s.locate(ctx, p, *r.Upstream, stored)
	var hook providers.RegisteredWebhook
	if err == nil {
		hook, err = p.EnsureWebhook(ctx, providers.EnsureWebhookRequest{
			Remote: remote, Stored: stored, URL: s.address(*r.Upstream, w.Token), Secret: w.Secrets[0], HookID: w.HookID,
		})
	}
	log := s.log.With("repo_id", r.ID, "provider", r.Upstream.Instance, "host", r.Upstream.Host, "duration", s.clock.Now().Sub(began))
	if err == nil {
		if hook.Changed {
			log.Info("inbound webhook registered at the host", "hook_id", hook.HookID)
		}
		return remote, outcome{state: core.InboundActive, hookID: hook.HookID, next: loop.Later(recheck), asked: true}
	}
	o := outcome{state: core.InboundFailing, message: sentence(err), hookID: w.HookID, next: backoff(w), asked: true}
	var pe *providers.Error
	errors.As(err, &pe)
	switch providers.CodeOf(err) {
	case providers.CodeUnsupported:
		o.state, o.next = core.InboundNone, 0
	case providers.CodeRateLimited, providers.CodeUnavailable:
		wait := hostPause
		if pe != nil && pe.RetryAfter > 0 {
			wait = min(pe.RetryAfter, recheck)
		}
		s.pauses.Set(r.Upstream.Host, wait)
		o.next = max(o.next, wait)
	}
	o.next = loop.Later(o.next)
	log.Warn("the host does not let an inbound webhook be registered", "error", err, "next", o.next)
	return remote, o
}

// confirm reports whether the upstream is known to be the repository that is followed,
// under the name that it was read with. If not, the outcome says why.
func (s *Service) confirm(ctx context.Context, r core.Repository, w core.InboundWebhook) (outcome, bool) {
	if err := s.upstreams.ConfirmIdentity(ctx, r); err != nil {
		next := backoff(w)
		if wait := upstream.RetryAfter(err); wait > 0 { // the host cannot be asked about any
			wait = min(max(wait, hostPause), recheck)
			s.pauses.Set(r.Upstream.Host, wait)
			next = max(next, wait)
		}
		s.log.Warn("an inbound webhook is not registered at an upstream that is not confirmed", "repo_id", r.ID, "host", r.Upstream.Host, "error", err)
		return outcome{state: core.InboundFailing, message: core.PublicMessage(err), hookID: w.HookID, next: loop.Later(next), asked: true}, false
	}
	now, err := s.store.RepositoryByID(ctx, r.ID)
	if err != nil || now.Upstream == nil || now.Upstream.URL != r.Upstream.URL {
		// It has another name now: the next look asks for that one.
		return outcome{state: w.State, message: w.Message, hookID: w.HookID, next: time.Second}, false
	}
	return outcome{}, true
}

// sentence is what a person reads of a provider's error.
func sentence(err error) string {
	var pe *providers.Error
	if errors.As(err, &pe) {
		return pe.Message
	}
	return "the host did not answer in time"
}

// backoff is twice the last wait, from a minute to a day.
func backoff(w core.InboundWebhook) time.Duration {
	if w.State != core.InboundFailing || w.CheckedAt.IsZero() || w.NextCheck.Before(w.CheckedAt) {
		return retryMin
	}
	return min(max(2*w.NextCheck.Sub(w.CheckedAt), retryMin), recheck)
}

// record writes an outcome, into the row as it is now: deliveries come while
// the host is asked. It reports false if the webhook must not be at the host any
// more.
func (s *Service) record(ctx context.Context, asked core.InboundWebhook, o outcome) (bool, error) {
	kept := true
	err := s.store.Tx(ctx, func(q core.Queries) error {
		w, err := q.InboundWebhook(ctx, asked.RepoID)
		if err == nil && w.Token != asked.Token {
			err = core.Errorf(core.KindNotFound, "detached and attached anew")
		}
		if err == nil && o.state == core.InboundActive {
			_, err = q.CredentialByRepo(ctx, asked.RepoID)
		}
		if err != nil {
			kept = false
			return notMissing(err)
		}
		now := s.clock.Now()
		w.State, w.Message = o.state, o.message
		if o.asked {
			w.CheckedAt, w.HookID = now, o.hookID
		}
		changed := !w.NextCheck.Equal(asked.NextCheck) // asked for again meanwhile
		if !changed {
			w.NextCheck = time.Time{}
			if o.next > 0 {
				w.NextCheck = now.Add(o.next)
			}
			endRotation(&w, asked, o, now)
		}
		return q.SaveInboundWebhook(ctx, w)
	})
	return kept, err
}

// endRotation drops the older secret a day after the rotation, unless the host
// still has it because it refuses the new one; and sees to it that a look comes
// when that day is over.
func endRotation(w *core.InboundWebhook, asked core.InboundWebhook, o outcome, now time.Time) {
	if len(w.Secrets) < 2 {
		return
	}
	end := asked.RotatedAt.Add(rotation)
	switch {
	case now.Before(end):
		if w.NextCheck.IsZero() || w.NextCheck.After(end) {
			w.NextCheck = end
		}
	case o.state != core.InboundFailing:
		w.Secrets = w.Secrets[:1]
	}
}

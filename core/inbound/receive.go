package inbound

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

const (
	// parseTimeout bounds the plugin's call. Verifying and parsing take
	// milliseconds, and hosts give up after ten seconds.
	parseTimeout = 5 * time.Second
	// retryAfter is when a host may send again what could not be taken.
	retryAfter = 10 * time.Second
	// digestWindow is how long a body is a duplicate of the same body, where the
	// host numbers no deliveries: after it, the same push may have happened anew.
	digestWindow = time.Minute
	// maxRemotes bounds the links whose place is remembered.
	maxRemotes = 10_000
)

// errUnknown is the one answer for everything that is not there, so that it
// tells a stranger nothing.
var errUnknown = core.Errorf(core.KindNotFound, "there is no webhook at this address")

// Address is a webhook address that exists.
type Address struct {
	plugin   upstream.Plugin
	instance string
	headers  []string

	// Of the address of one repository; nil for that of an instance.
	webhook *core.InboundWebhook
	repo    core.Repository
}

// Key names the address, for counting what is under way at it.
func (a *Address) Key() string { return a.instance + "/" + a.repo.ID }

// Header returns the part of a request's header that the plugin may see.
func (a *Address) Header(h http.Header) http.Header {
	out := http.Header{}
	for _, name := range append([]string{"Content-Type"}, a.headers...) {
		if values := h.Values(name); len(values) > 0 {
			out[http.CanonicalHeaderKey(name)] = values
		}
	}
	return out
}

// Find returns the address that a path names: of the provider instance, or with
// a token of one repository. It costs no call of a plugin that is running.
//
// Errors: KindNotFound, the same for every reason; KindUpstreamUnavailable: the
// plugin cannot be started.
func (s *Service) Find(ctx context.Context, provider, token string) (*Address, error) {
	// The token is looked up first in any case, so that the time of the answer
	// does not tell which of the two is wrong.
	a := &Address{}
	if token != "" {
		w, err := s.store.InboundWebhookByToken(ctx, token)
		if core.KindOf(err) == core.KindNotFound {
			return nil, errUnknown
		}
		if err != nil {
			return nil, err
		}
		a.webhook = &w
	}
	p, err := s.plugins.Webhook(provider)
	if err != nil {
		return nil, errUnknown
	}
	a.plugin, a.instance = p, p.Name()
	if a.webhook != nil {
		a.repo, err = s.store.RepositoryByID(ctx, a.webhook.RepoID)
		if core.KindOf(err) == core.KindNotFound || err == nil && (a.repo.Upstream == nil || a.repo.Upstream.Instance != a.instance) {
			return nil, errUnknown
		}
		if err != nil {
			return nil, err
		}
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return nil, &core.Error{Kind: core.KindUpstreamUnavailable, Op: "find inbound webhook", Subject: a.instance, Err: err, RetryAfter: retryAfter}
	}
	if !m.Capabilities.Webhooks {
		return nil, errUnknown
	}
	a.headers = m.WebhookHeaders
	return a, nil
}

// Answer is what the host is answered.
type Answer struct {
	Status    int    // 0: taken
	Body      []byte // with Status
	Duplicate bool
}

// Receive verifies one inbound webhook and does what it hints at: a look at the
// repositories that it concerns is asked for when Receive returns. A webhook
// about a repository that nobody mirrors, and one that came before, are taken
// and nothing follows from them.
//
// Errors: KindUnauthenticated (no or a wrong signature), KindPrecondition (no
// secret is set for the address), KindInvalid (what the plugin cannot read, or a
// body about another repository than the address), KindNotFound (the host has no
// webhooks), KindUpstreamUnavailable with RetryAfter (the plugin did not answer).
func (s *Service) Receive(ctx context.Context, a *Address, r providers.WebhookRequest) (Answer, error) {
	began := s.clock.Now()
	r.ReceivedAt = began
	if err := s.prepare(ctx, a, &r); err != nil {
		return Answer{}, err
	}
	callCtx, cancel := context.WithTimeout(ctx, parseTimeout)
	defer cancel()
	result, err := a.plugin.ParseWebhook(callCtx, r)
	if err != nil {
		return Answer{}, parseError(ctx, err)
	}
	if !result.Verified {
		return Answer{}, core.Errorf(core.KindUnauthenticated, "the webhook is not signed with the secret of this address")
	}
	answer := Answer{Status: result.ReplyStatus, Body: result.ReplyBody}
	id := deliveryID(a, r, result)
	if !s.recent.add(a.instance + "\x00" + id) {
		answer.Duplicate = true
		return answer, nil
	}
	repos, err := s.take(ctx, a, id, result, began)
	switch {
	case core.KindOf(err) == core.KindConflict:
		answer.Duplicate = true
		return answer, nil
	case err != nil:
		s.recent.remove(a.instance + "\x00" + id)
		return Answer{}, err
	}
	s.log.Info("inbound webhook", "provider", a.instance, "kind", string(result.Kind), "delivery_id", result.DeliveryID,
		"repositories", repos, "refs", len(result.Refs), "duration", s.clock.Now().Sub(began))
	return answer, nil
}

// prepare adds the secrets of the address and the repository it belongs to.
func (s *Service) prepare(ctx context.Context, a *Address, r *providers.WebhookRequest) error {
	if a.webhook == nil {
		r.Secrets = a.plugin.WebhookSecrets()
	} else {
		r.Secrets = a.webhook.Secrets
		remote, err := s.remote(ctx, a.plugin, *a.repo.Upstream)
		if err != nil {
			return parseError(ctx, err)
		}
		r.Repository = &remote
	}
	if len(r.Secrets) > 0 {
		return nil
	}
	s.mu.Lock()
	warned := s.warned[a.instance]
	s.warned[a.instance] = true
	s.mu.Unlock()
	if !warned {
		s.log.Warn("inbound webhooks are refused: set webhook_secret in a host block of this provider in providers.hcl, and the same secret at the host",
			"provider", a.instance)
	}
	return core.Errorf(core.KindPrecondition, "no webhook secret is set for this provider: set webhook_secret in its host block in providers.hcl")
}

// remote is [Service.locate] for a webhook. Where a link leads does not change
// while the server runs, so that a storm asks once.
func (s *Service) remote(ctx context.Context, p upstream.Plugin, up core.Upstream) (providers.Remote, error) {
	s.mu.Lock()
	remote, ok := s.remotes[up]
	s.mu.Unlock()
	if ok {
		return remote, nil
	}
	remote, err := s.locate(ctx, p, up, nil)
	if err != nil {
		return remote, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.remotes) >= maxRemotes {
		clear(s.remotes)
	}
	s.remotes[up] = remote
	return remote, nil
}

// locate asks the plugin where a repository is, without asking the host.
func (s *Service) locate(ctx context.Context, p upstream.Plugin, up core.Upstream, stored *providers.StoredCredential) (providers.Remote, error) {
	ctx, cancel := context.WithTimeout(ctx, parseTimeout)
	defer cancel()
	remote, err := p.Resolve(ctx, providers.ResolveRequest{
		Locator: providers.Locator{Host: up.Host, Owner: up.Owner, Name: up.Name, ID: up.ID}, Stored: stored,
	})
	if remote.UpstreamID == "" {
		remote.UpstreamID = up.ID
	}
	return remote, err
}

// parseError says what a plugin's refusal means to the host that sent the webhook.
func parseError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // the sender hung up
	}
	e := &core.Error{Op: "read inbound webhook", Err: err}
	switch providers.CodeOf(err) {
	case providers.CodeSignatureInvalid, providers.CodeUnauthenticated:
		e.Kind, e.Message = core.KindUnauthenticated, "the webhook is not signed with the secret of this address"
	case providers.CodeInvalidConfig:
		e.Kind, e.Message = core.KindPrecondition, "the provider is not configured for webhooks"
	case providers.CodeInvalidArgument:
		e.Kind, e.Message = core.KindInvalid, "the webhook cannot be read, or is about another repository than its address"
		if pe, ok := errors.AsType[*providers.Error](err); ok && pe.Message != "" {
			// The plugin's own sentence, after it has verified the signature: that the
			// host sends forms, say, which a person changes there.
			e.Message = "the webhook cannot be read: " + hosterror.Text(pe.Message)
		}
	case providers.CodeUnsupported:
		return errUnknown
	default:
		e.Kind, e.Message, e.RetryAfter = core.KindUpstreamUnavailable, "the webhook cannot be taken now; send it again", retryAfter
		var pe *providers.Error
		if errors.As(err, &pe) && pe.RetryAfter > 0 {
			e.RetryAfter = pe.RetryAfter
		}
	}
	return e
}

// deliveryID returns what duplicates share. An id is the host's own word for
// one event, which it may tell several addresses, so that of a repository keeps
// its own.
func deliveryID(a *Address, r providers.WebhookRequest, result providers.WebhookResult) string {
	id := result.DeliveryID
	if id == "" {
		h := sha256.New()
		for _, name := range a.headers {
			for _, value := range r.Header.Values(name) {
				h.Write([]byte(name + "\x00" + value + "\x00"))
			}
		}
		h.Write(r.Body)
		id = "sha256:" + hex.EncodeToString(h.Sum(nil)) + "@" + strconv.FormatInt(r.ReceivedAt.Unix()/int64(digestWindow.Seconds()), 10)
	}
	if a.repo.ID != "" {
		id = a.repo.ID + "/" + id
	}
	return id
}

package remote

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/upstream"
)

// slot waits until another object may be moved at the upstream's host.
func (c *client) slot(ctx context.Context) (release func(), err error) {
	host := c.repo.Upstream.Host
	limit := defaultTransfers
	policy, err := c.s.up.HostPolicy(*c.repo.Upstream, host)
	if err != nil {
		return nil, err
	}
	if policy.MaxConcurrent > 0 {
		limit = policy.MaxConcurrent
	}
	return c.s.slots.take(ctx, host, limit)
}

// rests returns the refusal of a request to a host that is left alone.
func (c *client) rests() error {
	if c.s.hosts == nil {
		return nil
	}
	until := c.s.hosts.RateLimitedUntil(c.repo.Upstream.Host)
	if until.IsZero() {
		return nil
	}
	return &hosterror.Error{
		Class: core.ClassRateLimited, HostText: "the host limits requests, and is left alone for a while",
		RetryAfter: max(until.Sub(c.s.clock.Now()), time.Second),
	}
}

// record takes in how a request to the upstream's host ended; one at u, if not nil, counts
// only if it is there, and not at a storage service.
func (c *client) record(u *url.URL, err error) {
	host := c.repo.Upstream.Host
	if c.s.hosts == nil || errors.Is(err, context.Canceled) {
		return
	}
	if u != nil {
		if at, bad := hostOf(u); bad != nil || at != host {
			return
		}
	}
	var class core.ErrorClass
	if err != nil {
		class, _ = upstream.Classify(err)
	}
	c.s.hosts.RecordContact(host, c.repo.ID, class, upstream.RetryAfter(err))
}

// current returns the actions of a transfer if they can be used now.
func (c *client) current(t lfs.Transfer, operation lfs.Operation) *actions {
	a, ok := t.Action.(*actions)
	if !ok || a == nil || a.operation != operation || a.link != c.repo.Upstream.URL || a.expired(c.s.clock.Now()) {
		return nil
	}
	return a
}

// refOfTransfer returns the ref that a transfer was asked with.
func refOfTransfer(t lfs.Transfer) string {
	if a, ok := t.Action.(*actions); ok && a != nil {
		return a.ref
	}
	return ""
}

// prepare returns a request for an action: with its own headers, and the credential of the
// remote where the address is of its LFS server and the host wants one there.
func (c *client) prepare(ctx context.Context, operation lfs.Operation, a *actions, l link, method string, fresh bool) (request, error) {
	r := a.remote
	if age := c.s.clock.Now().Sub(a.opened); fresh || age < 0 || age > remoteAge {
		var err error
		if r, err = c.s.up.Open(ctx, c.repo, operationOf(operation), fresh); err != nil {
			return request{}, err
		}
	}
	base, err := server(r)
	if err != nil {
		return request{}, err
	}
	q := request{method: method, url: l.url, header: http.Header{}, own: http.Header{}, remote: r, secrets: l.secrets()}
	for name, values := range l.header {
		if !slices.Contains(hopHeaders, name) {
			q.own[name] = values
		}
	}
	if q.own.Get("Authorization") == "" && !a.authenticated && l.url.User == nil && sameOrigin(base, l.url) {
		for name, values := range credential(r) {
			q.own[name] = values
		}
	}
	return q, nil
}

// hopHeaders are those that an action may not set, as they say how a body travels.
var hopHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Te", "Trailer", "Upgrade", "Range"}

// saysExpired finds what storage services say of a signature that is over.
var saysExpired = regexp.MustCompile(`(?i)\bexpired?\b|has expired|RequestTimeTooSkewed`)

// stale reports whether the refusal of an action may come of its age: a new batch may
// help.
func stale(err error) bool {
	e, ok := errors.AsType[*hosterror.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return true
	}
	return e.Status >= 400 && e.Status < 500 && saysExpired.MatchString(e.HostText)
}

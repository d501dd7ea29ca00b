package remote

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
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

// current returns the actions of a transfer if they can be used now.
func (c *client) current(t lfs.Transfer, operation lfs.Operation) *actions {
	a, ok := t.Action.(*actions)
	if !ok || a == nil || a.operation != operation || a.expired(c.s.clock.Now()) {
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
	r, err := c.s.up.Open(ctx, c.repo, operationOf(operation), fresh)
	if err != nil {
		return request{}, err
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

package middleware

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// maxBuckets bounds the tokens and organisations whose requests are counted. Those that
// have not used anything up are forgotten first; if there are none, all are.
const maxBuckets = 100_000

// StrangerRequests is how many requests in a second one address may send without a
// token. A clone is two. It is not the organisation's limit, which is for its own tokens.
const StrangerRequests = 20

// Rates holds organisations and tokens to their requests in a second. Make one with
// [NewRates]. It is safe for concurrent use.
type Rates struct {
	limits func(ctx context.Context, org string) (core.OrgLimits, error)
	clock  core.Clock

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// NewRates returns rates whose limits come from a function, which is called for each
// request.
func NewRates(limits func(ctx context.Context, org string) (core.OrgLimits, error), clock core.Clock) *Rates {
	return &Rates{limits: limits, clock: clock, buckets: map[string]*rate.Limiter{}}
}

// quota is one limit that holds for a request.
type quota struct {
	name   string // of the policy
	whose  string // for a person
	key    string // of the bucket
	second int    // requests
}

// Take counts a request, and says in the headers RateLimit and RateLimit-Policy (of
// draft-ietf-httpapi-ratelimit-headers) what is left. KindRateLimited: there is none
// left, and RetryAfter says when there is. A nil Rates takes everything.
func (r *Rates) Take(ctx context.Context, header http.Header, id access.Identity) error {
	if r == nil {
		return nil
	}
	quotas, err := r.quotas(ctx, id)
	if err != nil || len(quotas) == 0 {
		return err
	}
	return r.take(header, quotas)
}

// quotas returns the limits that hold for a request.
func (r *Rates) quotas(ctx context.Context, id access.Identity) ([]quota, error) {
	if address := id.Stranger(); address != "" {
		return []quota{{"address", "an address without a token", "a\x00" + address, StrangerRequests}}, nil
	}
	limits, err := r.limits(ctx, id.Org)
	if err != nil {
		return nil, err
	}
	var quotas []quota
	if limits.Requests > 0 {
		quotas = append(quotas, quota{"organisation", fmt.Sprintf("the organisation %q", id.Org), "o\x00" + id.Org, limits.Requests})
	}
	if limits.TokenRequests > 0 && id.TokenHash != "" {
		quotas = append(quotas, quota{"token", "a token of this organisation", "t\x00" + id.Org + "\x00" + id.TokenHash, limits.TokenRequests})
	}
	return quotas, nil
}

// take counts a request for all of the limits, or for none.
func (r *Rates) take(header http.Header, quotas []quota) error {
	now := r.clock.Now()
	var policies, left []string
	var refused *quota
	var wait time.Duration
	r.mu.Lock()
	// All are asked before one is used up: what one refuses costs nothing of the others.
	for i, q := range quotas {
		if tokens := r.bucket(q).TokensAt(now); tokens < 1 {
			if missing := time.Duration((1 - tokens) / float64(q.second) * float64(time.Second)); missing > wait || refused == nil {
				refused, wait = &quotas[i], missing
			}
		}
	}
	for _, q := range quotas {
		b := r.bucket(q)
		if refused == nil {
			b.AllowN(now, 1)
		}
		tokens := max(b.TokensAt(now), 0)
		reset := int(math.Ceil((float64(q.second) - tokens) / float64(q.second)))
		policies = append(policies, fmt.Sprintf(`"%s";q=%d;w=1`, q.name, q.second))
		left = append(left, fmt.Sprintf(`"%s";r=%d;t=%d`, q.name, int(tokens), max(reset, 0)))
	}
	r.mu.Unlock()
	header.Set("RateLimit-Policy", strings.Join(policies, ", "))
	header.Set("RateLimit", strings.Join(left, ", "))
	if refused == nil {
		return nil
	}
	// In whole seconds, as Retry-After has them.
	wait = max(time.Duration(math.Ceil(wait.Seconds()))*time.Second, time.Second)
	return &core.Error{
		Kind: core.KindRateLimited, RetryAfter: wait,
		Message: fmt.Sprintf("%s may send %s a second; try again in %d s", refused.whose, core.Count(refused.second, "request"), int(wait.Seconds())),
	}
}

// bucket returns the bucket of a limit; r.mu is held.
func (r *Rates) bucket(q quota) *rate.Limiter {
	b := r.buckets[q.key]
	if b == nil {
		if len(r.buckets) >= maxBuckets {
			r.forget()
		}
		b = rate.NewLimiter(rate.Limit(q.second), q.second)
		r.buckets[q.key] = b
	}
	if b.Burst() != q.second {
		now := r.clock.Now()
		b.SetLimitAt(now, rate.Limit(q.second))
		b.SetBurstAt(now, q.second)
	}
	return b
}

// forget forgets buckets that are full, which are as new; r.mu is held.
func (r *Rates) forget() {
	now := r.clock.Now()
	for key, b := range r.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(r.buckets, key)
		}
	}
	if len(r.buckets) >= maxBuckets {
		clear(r.buckets)
	}
}

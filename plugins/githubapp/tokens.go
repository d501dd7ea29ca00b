package githubapp

import (
	"time"

	"github.com/headwater-git/headwater/providers"
)

// spare is how much life a cached token must have left at least: less would
// end while the operation that it was asked for begins.
const spare = time.Minute

// tokenKey is what an installation token is for.
type tokenKey struct {
	host string
	path string
	id   int64 // stable id of the repository; 0: not known
	push bool
}

// installationToken opens one repository for about an hour.
type installationToken struct {
	secret  providers.Secret
	expires time.Time
}

// cached returns a token that is good for a while.
func (p *Provider) cached(key tokenKey, validity time.Duration) (installationToken, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, ok := p.tokens[key]
	return token, ok && time.Until(token.expires) >= max(validity, spare)
}

// keep puts a token into the cache and drops those that have ended.
func (p *Provider) keep(key tokenKey, token installationToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, t := range p.tokens {
		if time.Until(t.expires) < spare {
			delete(p.tokens, other)
		}
	}
	p.tokens[key] = token
}

// forget drops the token that the host has refused.
func (p *Provider) forget(key tokenKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tokens, key)
}

package host

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/headwater-git/headwater/providers"
)

const (
	// maxCredentials bounds the cache of one instance.
	maxCredentials = 4096
	// maxCredentialAge is how long a credential without an expiry is believed:
	// a rule of the plugin that changed with its configuration should reach
	// everybody without a restart.
	maxCredentialAge = 5 * time.Minute
	// minLeft is how long a credential must be valid for, whatever the caller
	// asks: git has to connect and authenticate within it.
	minLeft = 30 * time.Second
)

// credentialCache keeps the credentials of one instance in memory.
//
// Its keys hold no secret, as keys tend to show up in messages: the stored
// credential enters by a hash under a key that never leaves this value, so that
// a rotated one is a miss.
type credentialCache struct {
	key     [32]byte
	timeout time.Duration // of one shared call
	looked  func(found bool)
	shared  singleflight.Group

	mu      sync.Mutex
	entries map[string]credentialEntry
}

type credentialEntry struct {
	credential providers.Credential
	stored     time.Time
}

func newCredentialCache(timeout time.Duration, looked func(found bool)) *credentialCache {
	if looked == nil {
		looked = func(bool) {}
	}
	c := &credentialCache{timeout: timeout, looked: looked, entries: map[string]credentialEntry{}}
	_, _ = rand.Read(c.key[:]) // never fails: it ends the program instead
	return c
}

// get returns a cached credential or what ask returns.
func (c *credentialCache) get(ctx context.Context, r providers.CredentialRequest, ask func(context.Context) (providers.Credential, error)) (providers.Credential, error) {
	if err := ctx.Err(); err != nil {
		return providers.Credential{}, err // before a call that would outlive it
	}
	key := c.keyOf(r)
	if !r.Fresh {
		credential, ok := c.load(key, r.MinValidity)
		c.looked(ok)
		if ok {
			return credential, nil
		}
	}
	// Requests that differ share no call: an answer that is good enough for one
	// caller may be too old for the next.
	request := fmt.Sprintf("%s %t %d", key, r.Fresh, r.MinValidity)
	result := c.shared.DoChan(request, func() (any, error) {
		// Another call may have ended between the look above and here.
		if !r.Fresh {
			if credential, ok := c.load(key, r.MinValidity); ok {
				return credential, nil
			}
		}
		// One caller that gives up must not fail the others. The call still
		// ends: by its own time-out, or because the instance is closed.
		lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()
		asked := time.Now()
		credential, err := ask(lasting)
		if err != nil {
			return providers.Credential{}, err
		}
		c.save(key, credential, asked)
		return credential, nil
	})
	select {
	case <-ctx.Done():
		return providers.Credential{}, ctx.Err()
	case out := <-result:
		if out.Err != nil {
			return providers.Credential{}, out.Err
		}
		return out.Val.(providers.Credential), nil
	}
}

// keyOf hashes what a credential depends on.
func (c *credentialCache) keyOf(r providers.CredentialRequest) string {
	mac := hmac.New(sha256.New, c.key[:])
	write := func(s string) {
		// With its length, so that no two lists of parts look the same.
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		_, _ = mac.Write(n[:])
		_, _ = mac.Write([]byte(s))
	}
	write(r.Remote.URL)
	write(r.Remote.UpstreamID)
	write(string(r.Operation))
	if r.Stored != nil {
		write(r.Stored.Username)
		write(r.Stored.Secret.Reveal())
	}
	return string(mac.Sum(nil))
}

func (c *credentialCache) load(key string, minValidity time.Duration) (providers.Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok {
		return providers.Credential{}, false
	}
	if !entry.good(max(minValidity, minLeft)) {
		// It is not deleted: a caller with a lower MinValidity may use it.
		return providers.Credential{}, false
	}
	return entry.credential, true
}

// save keeps a credential that was asked for at a time, unless there is one
// already that came later: a fresh one must not be replaced by the answer that
// was under way when the host refused it.
func (c *credentialCache) save(key string, credential providers.Credential, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok && old.stored.After(asked) && old.good(minLeft) {
		return
	}
	if len(c.entries) >= maxCredentials {
		for k, e := range c.entries {
			if !e.good(minLeft) {
				delete(c.entries, k)
			}
		}
	}
	for k := range c.entries {
		if len(c.entries) < maxCredentials {
			break
		}
		delete(c.entries, k) // any: the order of a map is random
	}
	c.entries[key] = credentialEntry{credential: credential, stored: time.Now()}
}

// good reports whether the entry can be used by someone who needs it for left.
func (e credentialEntry) good(left time.Duration) bool {
	if e.credential.ExpiresAt.IsZero() {
		return time.Since(e.stored) < maxCredentialAge
	}
	return time.Until(e.credential.ExpiresAt) > left
}

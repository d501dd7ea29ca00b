package remote

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

const (
	// expiryMargin is how long before its end an action is not begun any more.
	expiryMargin = 5 * time.Second
	// remoteAge is how long the credential of a batch does for what it named: to open an
	// upstream for each of thousands of small objects would cost more than they do. It is
	// valid for longer when a batch begins, see core/upstream.
	remoteAge = time.Minute
)

// actions are what a batch answered about one object: where to get or put it. Addresses
// and headers hold secrets, so it prints as nothing.
type actions struct {
	operation lfs.Operation
	ref       string
	main      link
	verify    *link  // of an upload; nil: the host wants none
	link      string // the URL of the upstream that was asked
	// remote opened the upstream for the batch, at that time.
	remote git.Remote
	opened time.Time
	// authenticated says that the addresses need no credential of ours.
	authenticated bool
}

// link is an address with what its requests have to say.
type link struct {
	url     *url.URL
	header  http.Header
	expires time.Time // zero: it does not say
}

// Format prints that there is something and nothing of it.
func (*actions) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// MarshalJSON writes that there is something and nothing of it.
func (*actions) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// expired reports whether the action is over, or nearly so.
func (a *actions) expired(now time.Time) bool {
	return !a.main.expires.IsZero() && !now.Add(expiryMargin).Before(a.main.expires)
}

// secrets returns what must not be seen of the link.
func (l link) secrets() []providers.Secret {
	var found []providers.Secret
	for _, values := range l.header {
		for _, v := range values {
			found = append(found, providers.Secret(v).Parts()...)
		}
	}
	return append(found, querySecrets(l.url)...)
}

// querySecrets returns the values of a URL's query and its user info.
func querySecrets(u *url.URL) []providers.Secret {
	if u == nil {
		return nil
	}
	var found []providers.Secret
	if u.RawQuery != "" {
		found = append(found, providers.Secret(u.RawQuery))
	}
	for _, values := range u.Query() {
		for _, v := range values {
			// Shorter ones are versions and the like, and would blot out words.
			if len(v) >= 8 {
				found = append(found, providers.Secret(v))
			}
		}
	}
	if password, ok := u.User.Password(); ok {
		found = append(found, providers.Secret(password))
	}
	return found
}

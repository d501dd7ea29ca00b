package host

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/providers"
)

const (
	// minSecret is the shortest secret that is cut out: cutting shorter ones
	// would tell more about them than it hides.
	minSecret = 4
	// maxRecent bounds the secrets of calls that are remembered.
	maxRecent = 512
)

// redactor cuts known secrets out of text. A plugin must not log a secret, but
// the one that does should not make the server's log a place to find it.
type redactor struct {
	mu     sync.Mutex
	fixed  []string // from providers.hcl; longest first
	recent []string // from calls; oldest first
}

// add remembers secrets for good.
func (r *redactor) add(secrets ...providers.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		for _, form := range forms(s.Reveal()) {
			if !slices.Contains(r.fixed, form) {
				r.fixed = append(r.fixed, form)
			}
		}
	}
	slices.SortStableFunc(r.fixed, func(a, b string) int { return len(b) - len(a) })
}

// see remembers the secret of a call for a while, also in the form that an
// Authorization header has.
func (r *redactor) see(username string, secret providers.Secret) {
	if len(secret) < minSecret {
		return
	}
	basic := base64.StdEncoding.EncodeToString([]byte(username + ":" + secret.Reveal()))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, form := range append(forms(secret.Reveal()), basic) {
		if i := slices.Index(r.recent, form); i >= 0 {
			r.recent = slices.Delete(r.recent, i, i+1)
		}
		r.recent = append(r.recent, form)
	}
	if n := len(r.recent) - maxRecent; n > 0 {
		r.recent = slices.Delete(r.recent, 0, n)
	}
}

// seeCredential remembers what opens a remote: of a header, the token in its
// value as well.
func (r *redactor) seeCredential(c providers.Credential) {
	if c.Kind != providers.CredentialHeader {
		r.see(c.Username, c.Secret)
		return
	}
	for _, part := range c.Secret.Parts() {
		r.see("", part)
	}
}

// clean returns text with every known secret replaced.
func (r *redactor) clean(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range [][]string{r.fixed, r.recent} {
		for _, s := range list {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text
}

// forms returns a secret as it may appear in a log: itself and as the inside of
// a JSON string. A secret of several lines, like a key in PEM, also appears line
// by line.
func forms(secret string) []string {
	var out []string
	add := func(s string) {
		if len(s) >= minSecret && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	add(secret)
	if quoted, err := json.Marshal(secret); err == nil {
		add(strings.Trim(string(quoted), `"`))
	}
	if strings.Contains(secret, "\n") {
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
				add(line)
			}
		}
	}
	return out
}

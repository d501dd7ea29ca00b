package forgetest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Prefixes that tell the kinds of tokens apart.
const (
	installationTokenPrefix = "ghs_"
	appPasswordPrefix       = "ATBB"
)

// TokenOptions says what a token of [Forge.MintToken] may do.
type TokenOptions struct {
	ReadOnly    bool
	Life        time.Duration // 0: does not expire
	Repos       []string      // paths; nil: every repository
	AppPassword bool          // Bitbucket: goes with the account's name instead of x-token-auth
	NoAdmin     bool          // the account administers no repository
	NoHooks     bool          // the token lacks the scope for webhooks
}

// token is a credential that the forge knows.
type token struct {
	TokenOptions
	expires      time.Time
	installation int64 // of a GitHub App; 0: none
}

// Token mints a token of the host that reads and writes every repository and
// does not expire.
func (f *Forge) Token() string { return f.MintToken(TokenOptions{}) }

// MintToken mints a token.
func (f *Forge) MintToken(o TokenOptions) string {
	prefix := f.rules.tokenPrefix
	if o.AppPassword {
		prefix = appPasswordPrefix
	}
	return f.mint(prefix, &token{TokenOptions: o})
}

func (f *Forge) mint(prefix string, t *token) string {
	raw := make([]byte, 20) // 40 hexadecimal digits, as Gitea's are
	_, _ = rand.Read(raw)   // never fails since Go 1.24
	secret := prefix + hex.EncodeToString(raw)
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Life > 0 {
		t.expires = f.now().Add(t.Life)
	}
	f.tokens[secret] = t
	return secret
}

// RevokeToken makes the forge forget a token: from now on it is wrong.
func (f *Forge) RevokeToken(secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tokens, secret)
}

// RevokeTokens makes the forge forget every token.
func (f *Forge) RevokeTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.tokens)
}

// Credential mints a token and returns it with the user name it goes with.
func (f *Forge) Credential() (user, secret string) { return f.rules.user, f.Token() }

// Stored is [Forge.Credential] in the form that a user's stored credential has.
func (f *Forge) Stored() *providers.StoredCredential {
	user, secret := f.Credential()
	return &providers.StoredCredential{Username: user, Secret: providers.Secret(secret)}
}

// lookup returns the live token that a request carries. Given says whether
// the request carries any credential.
func (f *Forge) lookup(r *http.Request) (t *token, given bool) {
	secret := ""
	if c := f.rules.custom; c != nil {
		secret = c.Token(r)
		given = secret != "" || r.Header.Get("Authorization") != ""
	} else if user, password, ok := r.BasicAuth(); ok {
		given, secret = true, f.rules.token(user, password)
	} else if header := r.Header.Get("Authorization"); header != "" {
		given = true
		scheme, value, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "token") {
			secret = value
		}
	} else if value := r.Header.Get("PRIVATE-TOKEN"); value != "" && f.options.HostKind == HostGitLab {
		given, secret = true, value
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t = f.tokens[secret]
	if t == nil || (!t.expires.IsZero() && f.now().After(t.expires)) {
		return nil, given
	}
	if t.installation != 0 && !f.app.alive(t.installation) {
		return nil, given
	}
	return t, given
}

// sees reports whether the token opens a repository.
func (t *token) sees(repo *forgeRepo) bool {
	return t != nil && (t.Repos == nil || slices.Contains(t.Repos, repo.path))
}

// userOf returns the user name of a request's Basic credentials for the
// record, with tokens masked: Gitea takes a token in the place of the name.
func (f *Forge) userOf(r *http.Request) string {
	user, _, ok := r.BasicAuth()
	if !ok {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tokens[user] != nil {
		return "[token]"
	}
	return user
}

// authorize decides whether a git request may go on, and answers it if not.
func (f *Forge) authorize(w http.ResponseWriter, r *http.Request, repo *forgeRepo, push bool) bool {
	t, given := f.lookup(r)
	refuse := func(a answer) bool {
		f.refuse(w, a)
		return false
	}
	switch {
	case push && f.rules.noHTTPSPush:
		return refuse(f.rules.readOnly)
	case given && t == nil && !f.rules.noHTTPSPush:
		return refuse(f.rules.wrong)
	case repo == nil || (repo.private && !t.sees(repo)):
		if t == nil {
			return refuse(f.rules.hidden)
		}
		if push && repo == nil && f.rules.missingPush.status != 0 {
			return refuse(f.rules.missingPush)
		}
		return refuse(f.rules.missing)
	case push && t == nil:
		return refuse(f.rules.anonymousPush)
	case push && (t.ReadOnly || !t.sees(repo)):
		return refuse(f.rules.readOnly)
	case push && repo.archived && f.rules.archived.status != 0:
		return refuse(f.rules.archived)
	}
	return true
}

// refuse sends an answer, with a challenge if it is a 401.
func (f *Forge) refuse(w http.ResponseWriter, a answer) {
	if a.status == http.StatusUnauthorized {
		challenge := f.rules.challenge
		if challenge == "" {
			challenge = `Basic realm="` + f.rules.realm + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	// Git shows the body of an error to its user only if it is plain text.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

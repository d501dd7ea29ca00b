package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

const (
	cookieName = "headwater_console"
	// sessionLife is how long somebody stays signed in; a token that ends before that
	// ends the session, too.
	sessionLife = 12 * time.Hour
	// LinkLife is how long a link of the owner is good.
	LinkLife = 5 * time.Minute
)

// NewSecret returns a secret of 256 bits for a link or a cookie, and its hash, which is
// all that is stored.
func NewSecret() (secret, hash string) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // it ends the process if the system has no entropy
	secret = base64.RawURLEncoding.EncodeToString(raw[:])
	return secret, hashOf(secret)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// session is who looks.
type session struct {
	core.ConsoleSession
	token access.Identity // of the token that signed in; zero for the owner
}

// Owner reports whether every organisation is shown.
func (s *session) Owner() bool { return s.Role == core.ConsoleOwner }

// Writes reports whether forms that change something are shown. What they may do is
// decided where it is done.
func (s *session) Writes() bool { return s.Role != core.ConsoleViewer }

// sees reports whether what belongs to an organisation may be shown.
func (s *session) sees(org string) bool { return s.Owner() || org != "" && s.Org == org }

// identity returns who calls the API about an organisation as a whole.
func (s *session) identity(org string) access.Identity {
	if s.Owner() {
		return access.Identity{Org: org, Subject: s.Subject, Repo: "org", Scopes: access.Scopes(), ExpiresAt: s.ExpiresAt}
	}
	id := s.token
	if s.Role == core.ConsoleViewer {
		id.Scopes = slices.DeleteFunc(slices.Clone(id.Scopes), func(scope access.Scope) bool {
			return scope != access.GitRead && scope != access.OrgRead
		})
		if s.token.Can(access.GitRead) {
			id.Scopes = append(id.Scopes, access.GitRead)
		}
	}
	return id
}

// of returns who calls the API about one repository.
func (s *session) of(repo core.Repository) access.Identity {
	id := s.identity(repo.Org)
	id.Repo = repo.ID
	return id
}

// session returns who sends a request. Errors: KindUnauthenticated; what keeps it from
// being known is returned as it is.
func (c *Console) session(r *http.Request) (*session, error) {
	nobody := core.Errorf(core.KindUnauthenticated, "nobody is signed in")
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil, nobody
	}
	stored, err := c.Store.ConsoleSession(r.Context(), hashOf(cookie.Value), c.Clock.Now())
	if core.KindOf(err) == core.KindNotFound {
		return nil, nobody
	}
	if err != nil {
		return nil, err
	}
	s := &session{ConsoleSession: stored}
	if s.Owner() {
		return s, nil
	}
	if s.token, err = access.Restore(stored.Identity); err != nil {
		return nil, err
	}
	// A token that was revoked since, or whose key is disabled, is out within a second.
	if err := c.Verifier.Recheck(r.Context(), s.token); err != nil {
		return nil, err
	}
	return s, nil
}

// begin signs somebody in: it stores the session and sets the cookie.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, s core.ConsoleSession) error {
	secret, hash := NewSecret()
	now := c.Clock.Now()
	s.ID, s.Hash, s.CreatedAt = core.NewID("ses", now), hash, now
	if end := now.Add(sessionLife); s.ExpiresAt.IsZero() || s.ExpiresAt.After(end) {
		s.ExpiresAt = end
	}
	if err := c.Store.AddConsoleSession(r.Context(), s); err != nil {
		return err
	}
	if err := c.endOldest(r.Context(), s.Org); err != nil {
		return err
	}
	http.SetCookie(w, c.cookie(r, secret, int(s.ExpiresAt.Sub(now).Seconds())))
	return nil
}

// maxSessions bounds those of one organisation, and those of owners.
const maxSessions = 200

// endOldest ends the sessions of an organisation that are too many.
func (c *Console) endOldest(ctx context.Context, org string) error {
	all, err := c.Store.ConsoleSessions(ctx, org, c.Clock.Now()) // of an owner: of everybody
	if err != nil {
		return err
	}
	kept := 0
	for _, s := range all {
		if s.Org != org {
			continue
		}
		if kept++; kept <= maxSessions {
			continue
		}
		if err := c.Store.DeleteConsoleSession(ctx, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// cookie returns the cookie of a session: no script reads it, no other site's form sends
// it, and over TLS it never goes without.
func (c *Console) cookie(r *http.Request, value string, age int) *http.Cookie {
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" || strings.HasPrefix(c.PublicURL, "https:")
	return &http.Cookie{
		Name: cookieName, Value: value, Path: c.base, MaxAge: age, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
}

// record adds to the audit who signed in or out.
func (c *Console) record(r *http.Request, s core.ConsoleSession, action string) error {
	return c.noteWhere(r, s, s, core.AuditEntry{Action: action, Target: string(s.Role), Outcome: core.OutcomeOK})
}

// recordEnd adds to the audit who ended whose session.
func (c *Console) recordEnd(r *http.Request, by, ended core.ConsoleSession) error {
	return c.noteWhere(r, ended, by, core.AuditEntry{Action: "console.end_session", Target: ended.Subject, Outcome: core.OutcomeOK})
}

// noteWhere adds an entry to the audit of each organisation that a session sees; the owner
// is everybody's business.
func (c *Console) noteWhere(r *http.Request, seen, by core.ConsoleSession, e core.AuditEntry) error {
	orgs := []string{seen.Org}
	if seen.Role == core.ConsoleOwner {
		all, err := c.Store.Orgs(r.Context())
		if err != nil {
			return err
		}
		orgs = nil
		for _, o := range all {
			orgs = append(orgs, o.Name)
		}
	}
	for _, org := range orgs {
		if err := c.note(r, org, by, e); err != nil {
			return err
		}
	}
	return nil
}

// refused adds to the audit what a viewer wanted to do.
func (c *Console) refused(r *http.Request, s *session) error {
	_, what, _ := strings.Cut(r.Pattern, Prefix)
	return c.note(r, s.Org, s.ConsoleSession, core.AuditEntry{Action: "console.refuse", Target: what, Outcome: core.OutcomeRefused, Message: "viewers change nothing"})
}

// note adds to the audit of an organisation what somebody did who is signed in.
func (c *Console) note(r *http.Request, org string, s core.ConsoleSession, e core.AuditEntry) error {
	actor := core.Actor{Subject: s.Subject, Org: org}
	if len(s.Identity) > 0 {
		id, err := access.Restore(s.Identity)
		if err != nil {
			return err
		}
		actor = id.Actor()
	}
	now := c.Clock.Now()
	e.ID, e.Org, e.At, e.Actor = core.NewID("aud", now), org, now, actor.From(r.RemoteAddr, r.UserAgent())
	return c.Store.AddAudit(r.Context(), e)
}

// toSignIn leads to the page to sign in, and from there back.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request) {
	target := c.base + "/sign-in"
	if r.Method == http.MethodGet && r.URL.Path != Prefix+"/" {
		target += "?next=" + url.QueryEscape(strings.TrimPrefix(r.URL.RequestURI(), Prefix))
	} else if r.Method != http.MethodGet {
		target += "?expired=1"
	}
	if r.Header.Get("HX-Request") != "" {
		// What is fetched anew in the background leads the whole page there.
		w.Header().Set("HX-Redirect", target)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// next returns a path of the console to go on to, "/" if what is asked for is none.
func next(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(u.Path, "..") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

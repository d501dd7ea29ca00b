package console

import (
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/client"
)

// signIn is the page to sign in.
type signIn struct {
	Next    string
	Expired bool
	Wrong   string // why the token was not taken
	// Of a link:
	Code, Subject string
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) error {
	return c.show(w, r, nil, http.StatusOK, "signin", page{Title: "Sign in", Body: signIn{
		Next: next(r.URL.Query().Get("next")), Expired: r.URL.Query().Has("expired"),
	}})
}

// linkPage names whom a link signs in. It does not sign in: what only looks at links,
// as previews do, uses nothing up, and nobody is signed in by a link of somebody else's
// without seeing whose.
func (c *Console) linkPage(w http.ResponseWriter, r *http.Request) error {
	code := r.PathValue("code")
	link, err := c.Store.ConsoleLink(r.Context(), hashOf(code), c.Clock.Now())
	if core.KindOf(err) == core.KindNotFound {
		return core.Errorf(core.KindNotFound, "this link was used, or is older than five minutes; make another one: headwater console")
	}
	if err != nil {
		return err
	}
	return c.show(w, r, nil, http.StatusOK, "link", page{Title: "Sign in", Body: signIn{Code: code, Subject: link.Subject}})
}

func (c *Console) signInByLink(w http.ResponseWriter, r *http.Request) error {
	link, err := c.Store.TakeConsoleLink(r.Context(), hashOf(r.PostFormValue("code")), c.Clock.Now())
	if core.KindOf(err) == core.KindNotFound {
		return core.Errorf(core.KindNotFound, "this link was used, or is older than five minutes; make another one: headwater console")
	}
	if err != nil {
		return err
	}
	s := core.ConsoleSession{Role: core.ConsoleOwner, Subject: link.Subject}
	if err := c.begin(w, r, s); err != nil {
		return err
	}
	if err := c.record(r, s, "console.sign_in"); err != nil {
		return err
	}
	http.Redirect(w, r, c.base+"/", http.StatusSeeOther)
	return nil
}

// signInByToken signs in with a token of an organisation. Who may list its repositories
// may look.
func (c *Console) signInByToken(w http.ResponseWriter, r *http.Request) error {
	form := signIn{Next: next(r.PostFormValue("next"))}
	id, err := c.Verifier.Verify(r.Context(), strings.TrimSpace(r.PostFormValue("token")))
	if err == nil && !id.OrgWide() {
		err = core.Errorf(core.KindPermission, "the token is for one repository; use one for the organisation: headwater token --repo org --scope org:read,repo:write,git:write")
	}
	if err == nil {
		_, err = c.api.ListRepositories(as(r.Context(), id), &client.ListRepositoriesParams{Limit: new(1)})
	}
	if err != nil {
		form.Wrong = refusal(err)
		return c.show(w, r, nil, c.statusOf(err), "signin", page{Title: "Sign in", Body: form})
	}
	s := core.ConsoleSession{Role: core.ConsoleViewer, Org: id.Org, Subject: id.Subject, ExpiresAt: id.ExpiresAt}
	if id.Can(access.GitWrite) && id.Can(access.RepoWrite) && r.PostFormValue("role") != string(core.ConsoleViewer) {
		s.Role = core.ConsoleOperator
	}
	if s.Identity, err = id.Keep(); err != nil {
		return err
	}
	if err := c.begin(w, r, s); err != nil {
		return err
	}
	if err := c.record(r, s, "console.sign_in"); err != nil {
		return err
	}
	http.Redirect(w, r, c.base+form.Next, http.StatusSeeOther)
	return nil
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := c.Store.DeleteConsoleSession(r.Context(), s.ID); err != nil {
		return err
	}
	http.SetCookie(w, c.cookie(r, "", -1))
	if err := c.record(r, s.ConsoleSession, "console.sign_out"); err != nil {
		return err
	}
	http.Redirect(w, r, c.base+"/sign-in", http.StatusSeeOther)
	return nil
}

// endsSessions is the operation of the API that the end of somebody else's session stands
// for: it takes from others what they are signed in with.
const endsSessions = "revokeTokens"

// endSession ends the session of somebody else of the same organisation, or of anybody.
func (c *Console) endSession(w http.ResponseWriter, r *http.Request, s *session) error {
	all, err := c.Store.ConsoleSessions(r.Context(), s.Org, c.Clock.Now())
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID == r.PostFormValue("session") {
			if err := c.Store.DeleteConsoleSession(r.Context(), other.ID); err != nil {
				return err
			}
			if err := c.recordEnd(r, s.ConsoleSession, other); err != nil {
				return err
			}
		}
	}
	return c.done(w, r, "/organisations", "session")
}

package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// credentialForm is the page of a repository's credential. No secret is ever on it.
type credentialForm struct {
	Repo    core.Repository
	View    client.Repository
	Shared  []client.Shared // those that may be sent to the upstream
	Refusal string          // why these are not known
	Wrong   string
}

func (c *Console) credentialPage(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	return c.showCredential(w, r, s, repo, http.StatusOK, "")
}

func (c *Console) showCredential(w http.ResponseWriter, r *http.Request, s *session, repo core.Repository, status int, wrong string) error {
	v := credentialForm{Repo: repo, Wrong: wrong}
	var err error
	if v.View, err = c.api.GetRepository(as(r.Context(), s.of(repo)), repo.ID); err != nil {
		return err
	}
	if repo.Upstream != nil {
		list, err := c.api.ListSharedCredentials(as(r.Context(), s.identity(repo.Org)))
		v.Refusal = refusal(err)
		for _, shared := range list.Credentials {
			if covers(shared, repo) {
				v.Shared = append(v.Shared, shared)
			}
		}
	}
	return c.show(w, r, s, status, "credential", page{Title: "The credential of " + repo.Name, Nav: "repositories", Body: v})
}

// covers reports whether a shared credential is for the upstream of a repository.
func covers(shared client.Shared, repo core.Repository) bool {
	return repo.Upstream != nil && core.SharedCredential{Host: shared.UpstreamHost, Owner: shared.Owner}.Covers(*repo.Upstream)
}

// storeCredential stores a credential for the upstream, or replaces the one that is
// there, and asks for a sync with it.
func (c *Console) storeCredential(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	username, password := strings.TrimSpace(r.PostFormValue("username")), strings.TrimSpace(r.PostFormValue("password"))
	if password == "" {
		return c.showCredential(w, r, s, repo, http.StatusBadRequest, "give the token or password that the host takes")
	}
	ctx := as(r.Context(), s.of(repo))
	view, err := c.api.GetRepository(ctx, repo.ID)
	if err != nil {
		return err
	}
	if own := view.Credential; own == nil || own.Shared != "" {
		shared := ""
		if own != nil {
			shared = own.Shared
		}
		err = c.createCredential(r, s, repo, shared, client.CreateCredentialRequest{Username: &username, Password: password})
	} else {
		body := client.UpdateCredentialRequest{Password: password}
		if username != "" {
			body.Username = &username
		}
		_, err = c.api.UpdateCredential(ctx, repo.ID, view.Credential.ID, body)
	}
	if err != nil {
		return c.showCredential(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	return c.tryCredential(w, r, s, repo)
}

// createCredential stores a credential in the place of the shared one, "" if there is
// none. If it is not taken, the shared one goes on.
func (c *Console) createCredential(r *http.Request, s *session, repo core.Repository, shared string, body client.CreateCredentialRequest) error {
	if shared != "" {
		if err := c.unassign(r, s, repo, shared); err != nil {
			return err
		}
	}
	_, err := c.api.CreateCredential(as(r.Context(), s.of(repo)), repo.ID, body)
	if err != nil && shared != "" {
		return errors.Join(err, c.assign(r, s, repo, shared, false))
	}
	return err
}

// tryCredential asks for a sync with a new credential. Where none is asked for, as of a
// paused mirror, the page says how it is.
func (c *Console) tryCredential(w http.ResponseWriter, r *http.Request, s *session, repo core.Repository) error {
	if _, err := c.api.PullUpstream(as(r.Context(), s.of(repo)), repo.ID, client.PullUpstreamRequest{}); err != nil {
		return c.done(w, r, "/repositories/"+repo.ID, "credential")
	}
	return c.done(w, r, "/repositories/"+repo.ID, "tried")
}

// assignCredential has a repository use a shared credential of its organisation, or its
// own again.
func (c *Console) assignCredential(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	name := r.PostFormValue("shared")
	switch {
	case r.PostFormValue("end") != "":
		err = c.unassign(r, s, repo, name)
	default:
		err = c.assign(r, s, repo, name, r.PostFormValue("delete") != "")
	}
	if err != nil {
		return c.showCredential(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	if r.PostFormValue("end") != "" {
		return c.done(w, r, "/repositories/"+repo.ID+"/credential", "unassigned")
	}
	return c.tryCredential(w, r, s, repo)
}

// assign has a repository use a shared credential, after its own is deleted if that is
// meant.
func (c *Console) assign(r *http.Request, s *session, repo core.Repository, name string, drop bool) error {
	ctx := as(r.Context(), s.of(repo))
	view, err := c.api.GetRepository(ctx, repo.ID)
	if err != nil {
		return err
	}
	if own := view.Credential; drop && own != nil && own.Shared == "" {
		// Whether there is such a shared one for this upstream, before what is there goes.
		shared, err := c.api.GetSharedCredential(as(r.Context(), s.identity(repo.Org)), name)
		if err != nil {
			return err
		}
		if !covers(shared, repo) {
			return core.Errorf(core.KindInvalid, "the shared credential %q is for repositories of %s/%s, and this one is none; its own credential stays", name, shared.UpstreamHost, shared.Owner)
		}
		if err := c.api.DeleteCredential(ctx, repo.ID, own.ID); err != nil {
			return err
		}
	}
	_, err = c.api.AssignSharedCredential(as(r.Context(), s.identity(repo.Org)), name, client.AssignRequest{Repositories: &[]string{repo.Name}})
	return err
}

// unassign takes a shared credential from a repository.
func (c *Console) unassign(r *http.Request, s *session, repo core.Repository, name string) error {
	_, err := c.api.UnassignSharedCredential(as(r.Context(), s.identity(repo.Org)), name, client.AssignRequest{Repositories: &[]string{repo.Name}})
	return err
}

// credentialsPage is the credentials that repositories of an organisation share.
type credentialsPage struct {
	orgChoice
	Shared    []client.Shared
	Providers []string
	Refusal   string
	Wrong     string
}

func (c *Console) credentials(w http.ResponseWriter, r *http.Request, s *session) error {
	choice, err := c.chosen(r, s)
	if err != nil {
		return err
	}
	return c.showCredentials(w, r, s, http.StatusOK, choice, "")
}

func (c *Console) showCredentials(w http.ResponseWriter, r *http.Request, s *session, status int, choice orgChoice, wrong string) error {
	v := credentialsPage{orgChoice: choice, Wrong: wrong}
	list, err := c.api.ListSharedCredentials(as(r.Context(), s.identity(choice.Org)))
	v.Refusal, v.Shared = refusal(err), list.Credentials
	for _, p := range c.providers(r, s, choice.Org) {
		v.Providers = append(v.Providers, p.Name)
	}
	return c.show(w, r, s, status, "credentials", page{Title: "Shared credentials", Nav: "credentials", Body: v})
}

// sharedForm is a form about shared credentials of an organisation, done by do.
func (c *Console) sharedForm(w http.ResponseWriter, r *http.Request, s *session, code string, do func(r *http.Request, org string) error) error {
	org, err := hookOrg(r, s)
	if err != nil {
		return err
	}
	if err := do(r, org); err != nil {
		return c.showCredentials(w, r, s, c.statusOf(err), orgChoice{Org: org}, refusal(err))
	}
	return c.done(w, r, "/credentials?org="+url.QueryEscape(org), code)
}

// createShared stores a credential that many repositories use.
func (c *Console) createShared(w http.ResponseWriter, r *http.Request, s *session) error {
	return c.sharedForm(w, r, s, "shared", func(r *http.Request, org string) error {
		body := client.CreateSharedRequest{}
		for name, to := range map[string]**string{
			"name": &body.Name, "owner": &body.Owner, "password": &body.Password, "provider": &body.Provider, "host": &body.UpstreamHost, "username": &body.Username,
		} {
			if v := strings.TrimSpace(r.PostFormValue(name)); v != "" {
				*to = &v
			}
		}
		_, err := c.api.CreateSharedCredential(as(r.Context(), s.identity(org)), body)
		return err
	})
}

// rotateShared replaces the secret of a shared credential. The host is asked with the new
// one before it counts.
func (c *Console) rotateShared(w http.ResponseWriter, r *http.Request, s *session) error {
	return c.sharedForm(w, r, s, "rotated", func(r *http.Request, org string) error {
		body := client.RotateSharedRequest{Password: new(strings.TrimSpace(r.PostFormValue("password")))}
		if v := strings.TrimSpace(r.PostFormValue("username")); v != "" {
			body.Username = &v
		}
		if v := r.PostFormValue("overlap"); v != "" {
			seconds, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return core.Errorf(core.KindInvalid, "the overlap must be a number of seconds")
			}
			body.OverlapSeconds = &seconds
		}
		_, err := c.api.RotateSharedCredential(as(r.Context(), s.identity(org)), r.PostFormValue("shared"), body)
		return err
	})
}

// checkShared asks the host about a shared credential.
func (c *Console) checkShared(w http.ResponseWriter, r *http.Request, s *session) error {
	return c.sharedForm(w, r, s, "checked", func(r *http.Request, org string) error {
		_, err := c.api.CheckSharedCredential(as(r.Context(), s.identity(org)), r.PostFormValue("shared"))
		return err
	})
}

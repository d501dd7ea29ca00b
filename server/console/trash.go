package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// trashPage is what was deleted and can be brought back.
type trashPage struct {
	orgChoice
	Deleted []client.Repository
	More    bool   // there are more than are shown
	Refusal string // why they are not known
	Wrong   string // why a form was refused
}

// trash lists the deleted repositories of an organisation.
func (c *Console) trash(w http.ResponseWriter, r *http.Request, s *session) error {
	choice, err := c.chosen(r, s)
	if err != nil {
		return err
	}
	return c.showTrash(w, r, s, http.StatusOK, choice, "")
}

func (c *Console) showTrash(w http.ResponseWriter, r *http.Request, s *session, status int, choice orgChoice, wrong string) error {
	v := trashPage{orgChoice: choice, Wrong: wrong}
	list, err := c.api.ListRepositories(as(r.Context(), s.identity(choice.Org)), &client.ListRepositoriesParams{
		State: new("deleted"), Sort: new("name"), Limit: new(perPage),
	})
	v.Refusal, v.Deleted, v.More = refusal(err), list.Repos, list.HasMore
	return c.show(w, r, s, status, "trash", page{Title: "Deleted repositories", Nav: "repositories", Body: v})
}

// fromTrash is a form about one deleted repository, done by do.
func (c *Console) fromTrash(w http.ResponseWriter, r *http.Request, s *session, code string, do func(repo core.Repository) error) error {
	org, err := hookOrg(r, s)
	if err != nil {
		return err
	}
	repo, err := c.Store.DeletedRepository(r.Context(), org, r.PostFormValue("id"))
	if err != nil {
		return err
	}
	if err := do(repo); err != nil {
		return c.showTrash(w, r, s, c.statusOf(err), orgChoice{Org: org}, repo.Name+": "+refusal(err))
	}
	return c.done(w, r, "/trash?org="+url.QueryEscape(org), code)
}

// undelete brings a deleted repository back, under another name if one is given.
func (c *Console) undelete(w http.ResponseWriter, r *http.Request, s *session) error {
	return c.fromTrash(w, r, s, "undeleted", func(repo core.Repository) error {
		body := client.UndeleteRequest{}
		if name := strings.TrimSpace(r.PostFormValue("name")); name != "" {
			body.Name = &name
		}
		_, err := c.api.UndeleteRepository(as(r.Context(), s.of(repo)), repo.ID, body)
		return err
	})
}

// purgeDeleted removes a deleted repository for good, which its name confirms.
func (c *Console) purgeDeleted(w http.ResponseWriter, r *http.Request, s *session) error {
	return c.fromTrash(w, r, s, "removed", func(repo core.Repository) error {
		if strings.TrimSpace(r.PostFormValue("name")) != strings.TrimSpace(repo.Name) {
			return core.Errorf(core.KindInvalid, "write the name of the repository to remove it for good")
		}
		_, err := c.api.PurgeDeletedRepository(as(r.Context(), s.of(repo)), repo.ID)
		return err
	})
}

package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
)

// deletedRepository is the answer to a deletion.
type deletedRepository struct {
	RepoID    string          `json:"repo_id"`
	RepoName  string          `json:"repo_name"`
	URL       string          `json:"url"`
	Message   string          `json:"message"`
	KeptUntil *core.Timestamp `json:"kept_until,omitempty"` // undeleteRepository works until then; absent: it is gone
}

func viewDeleted(r core.Repository, message string) deletedRepository {
	return deletedRepository{RepoID: r.ID, RepoName: r.Name, URL: r.Name, Message: message, KeptUntil: instant(r.KeptUntil)}
}

// deleteRepository answers with the same words whether or not the repository can be
// brought back: clients of before compare them.
func (s *server) deleteRepository(c *call) error {
	query := params{c.r.URL.Query()}
	now, err := query.flag("now")
	if err != nil {
		return err
	}
	gone, err := s.Repositories.DeleteRepository(c.ctx(), c.repo, now)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewDeleted(gone, "repository deleted"))
}

// inTrash finds what the path and the claim "repo" name in the trash. Both name it as it
// was called, or by its id; a token for another repository learns nothing.
func (s *server) inTrash(c *call) error {
	name, err := c.segment("name")
	if err != nil {
		return err
	}
	found, err := s.Repositories.DeletedRepository(c.ctx(), c.identity.Org, name)
	if err == nil && c.identity.Repo != found.Name && c.identity.Repo != found.ID || core.KindOf(err) == core.KindNotFound && c.identity.Repo != name {
		return core.Errorf(core.KindPermission, "%s", s.access.OtherRepository)
	}
	c.repo = found
	return err
}

// undeleteBody is the body of an undelete.
type undeleteBody struct {
	Name string `json:"name"` // "" is the one that it had
}

func (s *server) undeleteRepository(c *call) error {
	var body undeleteBody
	if err := c.body(&body); err != nil {
		return err
	}
	back, err := s.Repositories.UndeleteRepository(c.ctx(), c.repo, body.Name)
	if err != nil {
		return err
	}
	c.repo = back
	return s.getRepository(c)
}

func (s *server) purgeDeletedRepository(c *call) error {
	if err := s.Repositories.PurgeDeleted(c.ctx(), c.repo); err != nil {
		return err
	}
	return c.answer(http.StatusOK, deletedRepository{RepoID: c.repo.ID, RepoName: c.repo.Name, URL: c.repo.Name, Message: "repository removed"})
}

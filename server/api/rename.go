package api

import "github.com/headwater-git/headwater/core"

// renameBody is the body of a rename.
type renameBody struct {
	Name string `json:"name"`
}

func (s *server) renameRepository(c *call) error {
	var body renameBody
	if err := c.change(&body); err != nil {
		return err
	}
	if body.Name == "" {
		return core.Errorf(core.KindInvalid, "name, the new name, is required")
	}
	c.changed = body.Name
	renamed, err := s.Repositories.RenameRepository(c.ctx(), c.repo, body.Name)
	if err != nil {
		return err
	}
	c.repo = renamed
	return s.getRepository(c)
}

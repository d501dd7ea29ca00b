package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
)

// createBranchBody is the body of the creation of a branch, in both vocabularies.
type createBranchBody struct {
	TargetBranch      string  `json:"target_branch"`
	BaseRef           *string `json:"base_ref"`
	BaseBranch        *string `json:"base_branch"`
	BaseIsEphemeral   bool    `json:"base_is_ephemeral"`
	TargetIsEphemeral bool    `json:"target_is_ephemeral"`
	Force             bool    `json:"force"`
}

// createdBranch is the answer to the creation of a branch.
type createdBranch struct {
	Message           string        `json:"message"`
	TargetBranch      string        `json:"target_branch"`
	TargetIsEphemeral bool          `json:"target_is_ephemeral"`
	CommitSHA         core.ObjectID `json:"commit_sha"`
}

func (s *server) createBranch(c *call) error {
	var body createBranchBody
	if err := c.body(&body); err != nil {
		return err
	}
	branch := commit.NewBranch{
		Caller: c.caller(), Branch: body.TargetBranch, Ephemeral: body.TargetIsEphemeral,
		Base: either(body.BaseRef, body.BaseBranch), BaseEphemeral: body.BaseIsEphemeral, Force: body.Force,
	}
	id, created, err := s.Commits.CreateBranch(c.ctx(), branch)
	if err != nil {
		return err
	}
	message := "branch created"
	if !created {
		message = "branch exists already at this commit"
	}
	// Not 201: the published Python client takes nothing but 200 here, and for tags.
	return c.answer(http.StatusOK, createdBranch{message, body.TargetBranch, body.TargetIsEphemeral, id})
}

// deleteBranchBody is the body of the deletion of a branch, in both vocabularies.
type deleteBranchBody struct {
	TargetBranch      *string `json:"target_branch"`
	Name              *string `json:"name"`
	TargetIsEphemeral *bool   `json:"target_is_ephemeral"`
	Ephemeral         *bool   `json:"ephemeral"`
}

// deletedBranch is the answer to the deletion of a branch.
type deletedBranch struct {
	Name         string `json:"name"`
	TargetBranch string `json:"target_branch"`
	Message      string `json:"message"`
	Ephemeral    bool   `json:"ephemeral"`
}

func (s *server) deleteBranch(c *call) error {
	var body deleteBranchBody
	if err := c.body(&body); err != nil {
		return err
	}
	name, ephemeral := either(body.TargetBranch, body.Name), either(body.TargetIsEphemeral, body.Ephemeral)
	if err := s.Commits.DeleteBranch(c.ctx(), c.caller(), name, ephemeral); err != nil {
		return err
	}
	return c.answer(http.StatusOK, deletedBranch{name, name, "branch deleted", ephemeral})
}

// createTagBody is the body of the creation of a tag, in both vocabularies.
type createTagBody struct {
	Name   string  `json:"name"`
	Ref    *string `json:"ref"`
	Target *string `json:"target"`
}

// createdTag is the answer to the creation of a tag.
type createdTag struct {
	Name    string        `json:"name"`
	SHA     core.ObjectID `json:"sha"`
	Message string        `json:"message"`
}

func (s *server) createTag(c *call) error {
	var body createTagBody
	if err := c.body(&body); err != nil {
		return err
	}
	// The older field takes nothing but a full id, so that a branch that looks
	// like one cannot be meant.
	if body.Ref == nil && body.Target != nil && !core.ObjectID(*body.Target).Valid() {
		return core.Errorf(core.KindInvalid, `the field "target" must be the full id of a commit; use "ref" for anything else`)
	}
	id, err := s.Commits.CreateTag(c.ctx(), c.caller(), body.Name, either(body.Ref, body.Target))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, createdTag{body.Name, id, "tag created"})
}

// deleteTagBody is the body of the deletion of a tag.
type deleteTagBody struct {
	Name string `json:"name"`
}

// deleteTag takes the name from the path, the body or the query: clients differ.
func (s *server) deleteTag(c *call) error {
	name, err := c.segment("tag")
	if err != nil {
		return err
	}
	if name == "" {
		var body deleteTagBody
		if err := c.body(&body); err != nil {
			return err
		}
		if name = body.Name; name == "" {
			name = c.r.URL.Query().Get("name")
		}
	}
	if err := s.Commits.DeleteTag(c.ctx(), c.caller(), name); err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]string{"name": name, "message": "tag deleted"})
}

package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
)

// mergeBody is the body of a merge, in both vocabularies.
type mergeBody struct {
	SourceRef         *string         `json:"source_ref"`
	SourceBranch      *string         `json:"source_branch"`
	TargetBranch      string          `json:"target_branch"`
	Strategy          commit.Strategy `json:"strategy"`
	SourceIsEphemeral bool            `json:"source_is_ephemeral"`
	TargetIsEphemeral bool            `json:"target_is_ephemeral"`
	ExpectedTargetSHA string          `json:"expected_target_sha"`
	CommitMessage     string          `json:"commit_message"`
	Author            *personBody     `json:"author"`
	Committer         *personBody     `json:"committer"`
	AllowUnrelated    bool            `json:"allow_unrelated_histories"`
	Squash            bool            `json:"squash"`
}

// mergeAnswer is the answer to a merge.
type mergeAnswer struct {
	Result    commit.Outcome `json:"result"`
	CommitSHA core.ObjectID  `json:"commit_sha"`
	TreeSHA   core.ObjectID  `json:"tree_sha"`
	Source    mergeSource    `json:"source"`
	Target    mergeTarget    `json:"target"`
	MergeBase core.ObjectID  `json:"merge_base_sha,omitempty"`
	Promoted  int            `json:"promoted_commits"`
}

func (s *server) merge(c *call) error {
	var body mergeBody
	if err := c.body(&body); err != nil {
		return err
	}
	source := either(body.SourceRef, body.SourceBranch)
	m, err := s.Commits.Merge(c.ctx(), commit.Merge{
		Caller: c.caller(),
		Signed: commit.Signed{Message: body.CommitMessage, Author: body.Author.person(), Committer: body.Committer.person()},
		Source: source, SourceEphemeral: body.SourceIsEphemeral,
		Target: body.TargetBranch, TargetEphemeral: body.TargetIsEphemeral,
		Strategy: body.Strategy, Squash: body.Squash, AllowUnrelated: body.AllowUnrelated, Expected: body.ExpectedTargetSHA,
	})
	if failed, ok := errors.AsType[*commit.MergeError](err); ok {
		return &mergeFailure{failed}
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, mergeAnswer{
		m.Outcome, m.New, m.Tree,
		mergeSource{strings.TrimPrefix(source, "refs/heads/"), source, body.SourceIsEphemeral, m.Source},
		mergeTarget{strings.TrimPrefix(body.TargetBranch, "refs/heads/"), body.TargetIsEphemeral, m.Old, m.New},
		m.Base, m.Promoted,
	})
}

type mergeSource struct {
	Branch    string        `json:"branch"`
	Ref       string        `json:"ref"`
	Ephemeral bool          `json:"ephemeral"`
	SHA       core.ObjectID `json:"sha"`
}

type mergeTarget struct {
	Branch    string        `json:"branch"`
	Ephemeral bool          `json:"ephemeral"`
	OldSHA    core.ObjectID `json:"old_sha"`
	NewSHA    core.ObjectID `json:"new_sha"`
}

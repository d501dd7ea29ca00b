package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/server/middleware"
)

// commitMetadata is what commit calls say of the commit, in both vocabularies.
type commitMetadata struct {
	TargetBranch  string      `json:"target_branch"`
	CommitMessage string      `json:"commit_message"`
	Author        *personBody `json:"author"`
	Committer     *personBody `json:"committer"`

	ExpectedTargetSHA *string `json:"expected_target_sha"`
	ExpectedHeadSHA   *string `json:"expected_head_sha"`

	BaseBranch        string `json:"base_branch"`
	TargetIsEphemeral *bool  `json:"target_is_ephemeral"`
	Ephemeral         *bool  `json:"ephemeral"`
	BaseIsEphemeral   *bool  `json:"base_is_ephemeral"`
	EphemeralBase     *bool  `json:"ephemeral_base"`
}

func (m commitMetadata) commit(c *call) commit.Commit {
	return commit.Commit{
		Caller:    c.caller(),
		Signed:    commit.Signed{Message: m.CommitMessage, Author: m.Author.person(), Committer: m.Committer.person()},
		Branch:    m.TargetBranch,
		Ephemeral: either(m.TargetIsEphemeral, m.Ephemeral),
		Base:      m.BaseBranch, BaseEphemeral: either(m.BaseIsEphemeral, m.EphemeralBase),
		Expected: either(m.ExpectedTargetSHA, m.ExpectedHeadSHA),
	}
}

// fileBody is one change of commit-pack.
type fileBody struct {
	Path      string `json:"path"`
	ContentID string `json:"content_id"`
	Operation string `json:"operation"`
	Mode      string `json:"mode"`
}

func (f fileBody) file() (commit.File, error) {
	file := commit.File{Path: f.Path, Content: f.ContentID, Mode: f.Mode}
	switch f.Operation {
	case "", "upsert":
	case "delete":
		file.Delete, file.Mode = true, ""
	default:
		return file, core.Errorf(core.KindInvalid, `operation %q is unknown; use "upsert" or "delete"`, f.Operation)
	}
	return file, nil
}

// commitPackMetadata is the first line of commit-pack.
type commitPackMetadata struct {
	commitMetadata
	Files []fileBody `json:"files"`
	// LFS is "auto" to have the files that .gitattributes gives to Git LFS stored as its
	// objects, and committed as pointers.
	LFS string `json:"lfs"`
}

// commitFiles serves commit-pack.
func (s *server) commitFiles(c *call) error {
	var meta commitPackMetadata
	return s.commitStream(c, blobField, &meta, &meta.commitMetadata, func(w commit.Commit, chunks commit.Chunks) (commit.Result, error) {
		switch meta.LFS {
		case "":
		case "auto":
			w.LFS = true
		default:
			return commit.Result{}, core.Errorf(core.KindInvalid, `lfs %q is unknown; use "auto", or leave it out`, meta.LFS)
		}
		files := make([]commit.File, len(meta.Files))
		for i, f := range meta.Files {
			var err error
			if files[i], err = f.file(); err != nil {
				return commit.Result{}, err
			}
		}
		return s.Commits.CommitFiles(c.ctx(), w, files, chunks)
	})
}

// commitPatch serves diff-commit.
func (s *server) commitPatch(c *call) error {
	var meta commitMetadata
	return s.commitStream(c, diffField, &meta, &meta, func(w commit.Commit, chunks commit.Chunks) (commit.Result, error) {
		return s.Commits.CommitDiff(c.ctx(), w, chunks)
	})
}

// commitStream serves a commit whose contents are streamed: it decodes the first
// line into dest, of which meta is a part, and leaves the rest to run.
func (s *server) commitStream(c *call, field string, dest any, meta *commitMetadata, run func(commit.Commit, commit.Chunks) (commit.Result, error)) error {
	body := middleware.NewPaced(c.w, c.r, s.StreamGrace)
	in := newStream(body, field)
	err := in.metadata(dest)
	var made commit.Result
	if err == nil {
		made, err = run(meta.commit(c), in)
	}
	if err != nil {
		body.Discard(drainLimit, drainTime)
		return &commitFailure{err: err, branch: meta.TargetBranch, conflict: true}
	}
	return c.answer(http.StatusCreated, commitAnswer(c, made, &made.Blobs))
}

// restoreBody is the body of restore-commit.
type restoreBody struct {
	Metadata restoreMetadata `json:"metadata"`
}

// restoreMetadata says what is restored besides what any commit says.
type restoreMetadata struct {
	commitMetadata
	BaseRef         *string `json:"base_ref"`
	TargetCommitSHA *string `json:"target_commit_sha"`
}

// restoreCommit serves restore-commit.
func (s *server) restoreCommit(c *call) error {
	var body restoreBody
	err := c.body(&body)
	var made commit.Result
	if err == nil {
		made, err = s.Commits.Restore(c.ctx(), body.Metadata.commit(c), either(body.Metadata.BaseRef, body.Metadata.TargetCommitSHA))
	}
	if err != nil {
		return &commitFailure{err: err, branch: body.Metadata.TargetBranch}
	}
	return c.answer(http.StatusCreated, commitAnswer(c, made, nil))
}

// madeView is a commit that was made, in answers.
type madeView struct {
	CommitSHA    core.ObjectID `json:"commit_sha"`
	TreeSHA      core.ObjectID `json:"tree_sha"`
	TargetBranch string        `json:"target_branch"`
	PackBytes    int64         `json:"pack_bytes"`
	BlobCount    *int          `json:"blob_count,omitempty"`
}

// commitResult is a commit that was made, and how its branch moved.
type commitResult struct {
	Commit madeView  `json:"commit"`
	Result refResult `json:"result"`
}

// commitAnswer is the answer to a commit that was made.
func commitAnswer(c *call, r commit.Result, blobs *int) any {
	return commitResult{
		madeView{r.Commit, r.Tree, r.Branch, r.PackBytes, blobs},
		refResult{Branch: r.Branch, TargetBranch: r.Branch, OldSHA: orZeros(r.Old, c.repo), NewSHA: r.Commit, Success: true, Status: "ok"},
	}
}

// orZeros writes "absent" as zeros.
func orZeros(id core.ObjectID, r core.Repository) core.ObjectID {
	switch {
	case !id.IsZero():
		return id
	case r.ObjectFormat == "sha256":
		return core.ZeroSHA1 + core.ZeroSHA1[:24]
	}
	return core.ZeroSHA1
}

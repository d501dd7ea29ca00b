package api

import (
	"errors"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
)

// resultWords is the one table from kinds of failure to the words of
// "result.status" that published clients know.
var resultWords = map[core.Kind]string{
	core.KindInvalid:             "invalid",
	core.KindUnauthenticated:     "unauthorized",
	core.KindPermission:          "forbidden",
	core.KindNotFound:            "not_found",
	core.KindConflict:            "conflict",
	core.KindSyncing:             "unavailable",
	core.KindPrecondition:        "precondition_failed",
	core.KindStale:               "conflict",
	core.KindTooLarge:            "invalid",
	core.KindUnsupported:         "failed",
	core.KindUpstreamRejected:    "failed",
	core.KindLocked:              "unavailable",
	core.KindRateLimited:         "unavailable",
	core.KindUpstreamUnavailable: "unavailable",
	core.KindUpstreamTimeout:     "timeout",
	core.KindTimeout:             "timeout",
	core.KindNotFresh:            "unavailable",
	core.KindResource:            "unavailable",
	core.KindRebuilding:          "unavailable",
	core.KindDamaged:             "unavailable",
	core.KindReadOnly:            "unavailable",
	core.KindInternal:            "internal",
}

// resultWord is the word of an error.
func resultWord(err error) string {
	if word, ok := resultWords[core.KindOf(err)]; ok {
		return word
	}
	return "failed"
}

// refResult is the field "result" of calls that move a branch.
type refResult struct {
	Branch       string        `json:"branch"`
	TargetBranch string        `json:"target_branch"`
	OldSHA       core.ObjectID `json:"old_sha"`
	NewSHA       core.ObjectID `json:"new_sha"`
	Success      bool          `json:"success"`
	Status       string        `json:"status"`
	Message      string        `json:"message,omitempty"`
}

// commitFailure is a failed commit-pack, diff-commit or restore-commit. Clients
// read its result before anything else.
type commitFailure struct {
	err    error
	branch string
	// conflict answers 409 for a branch that is not where it was expected, as
	// these calls do; restore answers 412.
	conflict bool
}

func (f *commitFailure) Error() string { return f.err.Error() }
func (f *commitFailure) Unwrap() error { return f.err }

// commitProblem is what a commit that failed is answered with.
type commitProblem struct {
	errorBody
	Commit *struct{} `json:"commit"` // null: there is none
	Result refResult `json:"result"`
}

func (f *commitFailure) shape(body errorBody) (int, any) {
	if f.conflict && body.Code == core.KindPrecondition {
		body.Status, body.Title = http.StatusConflict, http.StatusText(http.StatusConflict)
	}
	result := refResult{Branch: f.branch, TargetBranch: f.branch, Status: resultWord(f.err), Message: body.Error}
	if at, ok := errors.AsType[*commit.TipError](f.err); ok {
		result.OldSHA = at.Tip
	}
	return body.Status, commitProblem{body, nil, result}
}

// noteResult is the field "result" of note calls.
type noteResult struct {
	Success bool   `json:"success"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// noteProblem is what a change of a note that failed is answered with. It has no
// field "error": the published Python client looks at that first, and would not
// read the result.
type noteProblem struct {
	Status int       `json:"status"`
	Title  string    `json:"title"`
	Type   string    `json:"type"`
	Detail string    `json:"detail"`
	Code   core.Kind `json:"code"`

	SHA        string        `json:"sha"` // the object as the request named it
	TargetRef  string        `json:"target_ref"`
	NotesRef   string        `json:"notes_ref"`
	BaseCommit core.ObjectID `json:"base_commit,omitempty"`
	NewRefSHA  core.ObjectID `json:"new_ref_sha"`
	Result     noteResult    `json:"result"`
}

// noteFailure is a failed change of a note.
type noteFailure struct {
	err         error
	object, ref string
}

func (f *noteFailure) Error() string { return f.err.Error() }
func (f *noteFailure) Unwrap() error { return f.err }

func (f *noteFailure) shape(body errorBody) (int, any) {
	problem := noteProblem{
		Status: body.Status, Title: body.Title, Type: body.Type, Detail: body.Detail, Code: body.Code,
		SHA: f.object, TargetRef: f.ref, NotesRef: f.ref, Result: noteResult{Status: resultWord(f.err), Message: body.Error},
	}
	if at, ok := errors.AsType[*commit.TipError](f.err); ok {
		problem.BaseCommit = at.Tip
	}
	return body.Status, problem
}

// mergeFailure is a merge that could not be made.
type mergeFailure struct{ err *commit.MergeError }

func (f *mergeFailure) Error() string { return f.err.Error() }
func (f *mergeFailure) Unwrap() error { return f.err }

func (f *mergeFailure) shape(body errorBody) (int, any) {
	body.Status, body.Title = http.StatusConflict, http.StatusText(http.StatusConflict)
	answer := struct {
		errorBody
		ConflictType  commit.Conflict `json:"conflict_type"`
		ConflictPaths []string        `json:"conflict_paths"`
		MergeBase     core.ObjectID   `json:"merge_base_sha,omitempty"`
	}{body, f.err.Conflict, f.err.Paths, f.err.Base}
	if answer.ConflictPaths == nil {
		answer.ConflictPaths = []string{}
	}
	return body.Status, answer
}

package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
)

// noteBody is the body of note calls, in both vocabularies.
type noteBody struct {
	ObjectRef           *string     `json:"object_ref"`
	SHA                 *string     `json:"sha"`
	Action              string      `json:"action"`
	Note                string      `json:"note"`
	NotesRef            *string     `json:"notes_ref"`
	Ref                 *string     `json:"ref"`
	ExpectedNotesRefSHA *string     `json:"expected_notes_ref_sha"`
	ExpectedRefSHA      *string     `json:"expected_ref_sha"`
	Author              *personBody `json:"author"`
}

// noteAnswer is the answer to note calls.
type noteAnswer struct {
	SHA        core.ObjectID `json:"sha"`
	TargetRef  string        `json:"target_ref"`
	NotesRef   string        `json:"notes_ref"`
	BaseCommit core.ObjectID `json:"base_commit,omitempty"`
	NewRefSHA  core.ObjectID `json:"new_ref_sha"`
	Result     noteResult    `json:"result"`
}

// writeNote serves the adding of and to notes.
func (s *server) writeNote(c *call) error {
	return s.changeNote(c, func(body noteBody) (func(context.Context, commit.Note) (commit.NoteResult, error), error) {
		switch body.Action {
		case "", "add":
			return s.Commits.AddNote, nil
		case "append":
			return s.Commits.AppendNote, nil
		}
		return nil, core.Errorf(core.KindInvalid, `action %q is unknown; use "add" or "append"`, body.Action)
	})
}

func (s *server) deleteNote(c *call) error {
	return s.changeNote(c, func(noteBody) (func(context.Context, commit.Note) (commit.NoteResult, error), error) {
		return s.Commits.DeleteNote, nil
	})
}

// changeNote makes the change that choose names.
func (s *server) changeNote(c *call, choose func(noteBody) (func(context.Context, commit.Note) (commit.NoteResult, error), error)) error {
	var body noteBody
	err := c.body(&body)
	var change func(context.Context, commit.Note) (commit.NoteResult, error)
	if err == nil {
		change, err = choose(body)
	}
	object, ref := either(body.ObjectRef, body.SHA), either(body.NotesRef, body.Ref)
	var r commit.NoteResult
	if err == nil {
		r, err = change(c.ctx(), commit.Note{
			Caller: c.caller(), Object: object, Ref: ref, Text: body.Note,
			Expected: either(body.ExpectedNotesRefSHA, body.ExpectedRefSHA), Author: body.Author.person(),
		})
	}
	if err != nil {
		if full, bad := content.NotesRefName(ref); bad == nil {
			ref = full
		}
		return &noteFailure{err: err, object: object, ref: ref}
	}
	return c.answer(http.StatusOK, noteAnswer{
		SHA: r.Object, TargetRef: r.Ref, NotesRef: r.Ref, BaseCommit: r.Old, NewRefSHA: r.New, Result: noteResult{Success: true, Status: "ok"},
	})
}

package commit

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/limit"
)

const (
	// maxNote is the size limit of a note, in bytes.
	maxNote = 16 << 20
	// notesFanout is how many entries a folder of notes has before new notes
	// go into folders below it, named by the next two digits of the id.
	notesFanout = 256
)

// Note is a change of the note of one object.
type Note struct {
	Caller
	Object   string // a full id, or a revision that names a commit
	Ref      string // see [content.NotesRefName]
	Text     string
	Expected string  // what the notes ref must be at; see pin
	Author   *Person // nil: the server
}

// NoteResult is a note that was changed.
type NoteResult struct {
	Object   core.ObjectID
	Ref      string
	Old, New core.ObjectID // the notes ref before ("" if it was not there) and now
}

// AddNote gives an object its note. Errors: KindConflict if it has one;
// KindInvalid, KindNotFound for the object, KindPrecondition for the guard, and
// those of [RefWriter]. They are [*TipError]s where the tip is known.
func (s *Service) AddNote(ctx context.Context, n Note) (NoteResult, error) {
	return s.writeNote(ctx, n, "Notes added by the API", true, func(old []byte, exists bool) ([]byte, error) {
		if exists {
			return nil, core.Errorf(core.KindConflict, "the object has a note already; append to it or delete it first")
		}
		return noteText(n.Text)
	})
}

// AppendNote adds a paragraph to the note of an object, or gives it one. Errors:
// as [Service.AddNote].
func (s *Service) AppendNote(ctx context.Context, n Note) (NoteResult, error) {
	return s.writeNote(ctx, n, "Notes appended by the API", true, func(old []byte, exists bool) ([]byte, error) {
		text, err := noteText(n.Text)
		if err != nil || len(old) == 0 {
			return text, err
		}
		if old[len(old)-1] != '\n' {
			old = append(old, '\n')
		}
		return append(append(old, '\n'), text...), nil
	})
}

// DeleteNote takes the note of an object away. Errors: KindNotFound if it has
// none; else as [Service.AddNote].
func (s *Service) DeleteNote(ctx context.Context, n Note) (NoteResult, error) {
	return s.writeNote(ctx, n, "Notes removed by the API", false, func(_ []byte, exists bool) ([]byte, error) {
		if !exists {
			return nil, core.Errorf(core.KindNotFound, "the object has no note")
		}
		return nil, nil
	})
}

// noteText ends a note with a line feed, as git does.
func noteText(text string) ([]byte, error) {
	if strings.TrimSpace(text) == "" {
		return nil, core.Errorf(core.KindInvalid, "note is required")
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return []byte(text), nil
}

// writeNote replaces a note by what change makes of it; nil takes it away. With
// mustExist the object must be there: only its note outlives an object.
func (s *Service) writeNote(ctx context.Context, n Note, message string, mustExist bool, change func(old []byte, exists bool) ([]byte, error)) (NoteResult, error) {
	var r NoteResult
	var err error
	if r.Ref, err = content.NotesRefName(n.Ref); err != nil {
		return r, err
	}
	d := Signed{Message: message, Author: &Person{"Headwater", "headwater@localhost"}}
	if n.Author != nil {
		d.Author = n.Author
	}
	if err := d.check(); err != nil {
		return r, err
	}
	if err := s.check(ctx, n.Caller, core.Default, core.RefUpdate{Name: r.Ref, New: core.ObjectID(firstID(n.Repo))}); err != nil {
		return r, err
	}
	if n.Expected, err = s.pin(ctx, n.Repo, core.Default, r.Ref, n.Expected); err != nil {
		return r, err
	}
	if n.Object == "" {
		return r, core.Errorf(core.KindInvalid, "object_ref is required")
	}
	if r.Object, err = s.noted(ctx, n, mustExist); err != nil {
		return r, err
	}
	ctx, unlock, err := s.turn(ctx, n.Caller, core.Default, r.Ref)
	if err != nil {
		return r, err
	}
	defer unlock()
	p := s.newPack(n.Repo)
	defer p.close()
	for attempt := 1; ; attempt++ {
		err := s.noteOnce(ctx, n, &r, p, d, change)
		if err == nil {
			return r, nil
		}
		if !again(err, n.Caller, core.Default, r.Ref, n.Expected, attempt) {
			return r, &TipError{Tip: r.Old, Err: stale(err, n.Expected)}
		}
	}
}

// noted returns the id of the object that a note is about. A full id may mean
// any object. Errors: KindInvalid, KindNotFound.
func (s *Service) noted(ctx context.Context, n Note, mustExist bool) (core.ObjectID, error) {
	id := core.ObjectID(strings.ToLower(n.Object))
	if !id.Valid() || len(id) != idDigits(n.Repo) {
		return s.revisions.Resolve(ctx, n.Repo, core.Default, n.Object)
	}
	if !mustExist {
		return id, nil
	}
	if err := limit.Take(ctx, n.Repo.ID); err != nil {
		return "", err
	}
	objects, err := s.objects.Info(ctx, s.repos.Path(n.Repo.ID), string(id))
	served := true
	if err == nil {
		served, err = s.revisions.Served(ctx, n.Repo, id)
	}
	if err == nil && (!served || !objects[0].Found()) {
		err = core.Errorf(core.KindNotFound, "object %s does not exist in this repository", id)
	}
	return id, err
}

func (s *Service) noteOnce(ctx context.Context, n Note, r *NoteResult, p *pack, d Signed, change func(old []byte, exists bool) ([]byte, error)) error {
	var err error
	if r.Old, err = s.ref(ctx, n.Repo, core.Default, r.Ref); err != nil {
		return err
	}
	if err := holds(n.Expected, r.Ref, r.Old); err != nil {
		return err
	}
	var base head
	var parents []core.ObjectID
	if r.Old != "" {
		if base, err = s.head(ctx, n.Repo, r.Old); err != nil {
			return err
		}
		parents = []core.ObjectID{r.Old}
	}
	dir := s.repos.Path(n.Repo.ID)
	e, err := s.edit(ctx, dir, p, base.tree)
	if err != nil {
		return err
	}
	path, blob, err := e.findNote(ctx, string(r.Object))
	if err != nil {
		return err
	}
	var old []byte
	if blob != "" {
		objects, err := s.objects.Contents(ctx, dir, maxNote, blob)
		if err != nil {
			return err
		}
		old = objects[0].Data
	}
	text, err := change(old, blob != "")
	if err != nil {
		return err
	}
	if text == nil {
		_, err = e.remove(ctx, path)
	} else {
		err = e.putNote(ctx, path, text)
	}
	if err != nil {
		return err
	}
	tree, err := e.write()
	if err != nil {
		return err
	}
	if r.New, err = p.add(typeCommit, d.encode(tree, parents, s.clock.Now())); err != nil {
		return err
	}
	if err := s.store(ctx, dir, p); err != nil {
		return err
	}
	return s.move(ctx, n.Caller, core.Default, core.RefUpdate{Name: r.Ref, Old: r.Old, New: r.New})
}

func (e *editor) putNote(ctx context.Context, path string, text []byte) error {
	if len(text) > maxNote {
		return core.Errorf(core.KindTooLarge, "the note would be larger than %d bytes", maxNote)
	}
	id, err := e.pack.add(typeBlob, text)
	if err != nil {
		return err
	}
	return e.put(ctx, path, modeFile, id)
}

// findNote returns where the note of an object is and its blob, or where it
// would be put and "". git takes notes from folders of any depth, "ab/cd/ef...",
// and from several at once; it rebalances them when it writes itself.
func (e *editor) findNote(ctx context.Context, object string) (path, blob string, err error) {
	at, rest, prefix := e.root, object, ""
	for {
		if note := at.get(rest); note != nil && !note.isFolder() {
			return prefix + rest, hex.EncodeToString([]byte(note.id)), nil
		}
		if len(rest) <= 2 {
			return prefix + rest, "", nil
		}
		sub := at.get(rest[:2])
		switch {
		case sub != nil && sub.isFolder():
			if at, err = e.enter(ctx, sub); err != nil {
				return "", "", err
			}
		case len(at.entries) >= notesFanout:
			return prefix + rest[:2] + "/" + rest[2:], "", nil
		default:
			return prefix + rest, "", nil
		}
		prefix, rest = prefix+rest[:2]+"/", rest[2:]
	}
}

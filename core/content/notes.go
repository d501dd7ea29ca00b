package content

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
)

const (
	notesPrefix  = "refs/notes/"
	defaultNotes = "refs/notes/commits"
	// maxNote is the size limit of a note that is read, in bytes.
	maxNote = 16 << 20
)

// Note is the note of one object in one notes ref.
type Note struct {
	Object core.ObjectID // it is about
	Text   string
	Tip    core.ObjectID // of the notes ref
}

// NotesRefName returns the full name of a notes ref: "reviews",
// "notes/reviews" and "refs/notes/reviews" are the same; "" is the default
// one. Errors: KindInvalid.
func NotesRefName(name string) (string, error) {
	if name == "" {
		return defaultNotes, nil
	}
	full := notesPlace(name)
	if err := core.ValidateRefName(full); err != nil || !strings.HasPrefix(full, notesPrefix) {
		return "", core.Errorf(core.KindInvalid, "invalid notes ref %q", name)
	}
	return full, nil
}

// notesPlace puts a bare name below refs/notes/.
func notesPlace(name string) string {
	switch {
	case strings.HasPrefix(name, "refs/"):
		return name
	case strings.HasPrefix(name, "notes/"):
		return "refs/" + name
	}
	return notesPrefix + name
}

// Note reads the note of an object, which may be named by any revision. Errors:
// KindInvalid, KindNotFound.
func (s *Service) Note(ctx context.Context, repo core.Repository, object, notesRef string) (Note, error) {
	ref, err := NotesRefName(notesRef)
	if err != nil {
		return Note{}, err
	}
	if object == "" {
		return Note{}, core.Errorf(core.KindInvalid, "name the object that the note is about")
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return Note{}, err
	}
	id, err := s.noted(ctx, dir, repo, object)
	if err != nil {
		return Note{}, err
	}
	// Notes lie in folders named by the first digits of the id, the more
	// folders the more notes there are: ab/cd/ef012...
	hex := string(id)
	names := []string{ref + "^{commit}"}
	prefix := ref + ":"
	for i := 0; i+2 < len(hex); i += 2 {
		names = append(names, prefix+hex[i:])
		prefix += hex[i:i+2] + "/"
	}
	objects, err := s.cat.Info(ctx, dir, names...)
	if err != nil {
		return Note{}, err
	}
	tip := objects[0]
	for _, o := range objects[1:] {
		if !tip.Found() || o.Type != "blob" {
			continue
		}
		note, err := s.cat.Contents(ctx, dir, maxNote, string(o.ID))
		if err != nil {
			return Note{}, err
		}
		return Note{Object: id, Text: string(note[0].Data), Tip: tip.ID}, nil
	}
	return Note{}, core.Errorf(core.KindNotFound, "%s has no note in %s", object, ref)
}

// noted returns the id of the object that a note is about. A full id need not
// exist: notes outlive objects.
func (s *Service) noted(ctx context.Context, dir string, repo core.Repository, object string) (core.ObjectID, error) {
	if id := core.ObjectID(strings.ToLower(object)); id.Valid() {
		return id, nil
	}
	rev, err := s.resolve(ctx, dir, repo, At{Ref: object})
	return rev.Commit, err
}

// NotesRefs lists the refs that hold notes. It returns the prefix that it took
// a bare one for. Errors: KindInvalid.
func (s *Service) NotesRefs(ctx context.Context, repo core.Repository, prefix string, p RefsPage) (refs []NotesRef, next, full string, err error) {
	full = notesPrefix
	if prefix != "" {
		full = notesPlace(prefix)
	}
	// What it is a prefix of must be able to be a name.
	if core.ValidateRefName(strings.TrimRight(full, "/.")+"x") != nil || !strings.HasPrefix(full, notesPrefix) {
		return nil, "", "", core.Errorf(core.KindInvalid, "invalid prefix %q: only refs below refs/notes/ are listed", prefix)
	}
	after, err := parseCursor("notes", p.Cursor)
	if err != nil {
		return nil, "", "", err
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return nil, "", "", err
	}
	found, err := s.refs(ctx, dir, core.Default, full, after.after, p.Limit)
	if err != nil {
		return nil, "", "", err
	}
	found, next = page(found, "notes", p.Limit)
	refs = make([]NotesRef, len(found))
	for i, ref := range found {
		refs[i] = NotesRef{Name: ref.Name, Tip: ref.ID, Cursor: cursor{kind: "notes", after: ref.Name}.String()}
	}
	return refs, next, full, nil
}

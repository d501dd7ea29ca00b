package git

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// fullyPeeled is in the header of packed refs in which each tag has its peeled value,
// see [packedHeader].
const fullyPeeled = " fully-peeled "

// refsOnDisk are the refs of a repository, read without a process.
type refsOnDisk struct {
	refs   map[string]packedRef
	peeled bool // whether the peeled values are known, too
}

// readRefs reads the refs below some prefixes (see [matchesRef]; none are all) where
// they are stored as files: those below refs, and packed-refs for what has no file
// (gitrepository-layout(5)). Starting a git for that costs a hundred times as much, and
// nearly every operation lists refs.
//
// It reads only what is as git writes it. For anything else the second result is false,
// and git itself is to be asked, which knows older forms and says what is wrong: another
// ref format, symbolic refs, bad names, broken contents, a folder that is no repository.
func readRefs(dir string, prefixes []string) (refsOnDisk, bool) {
	idLength, ok := plainRepository(dir)
	if !ok || slices.ContainsFunc(prefixes, func(p string) bool { return strings.ContainsAny(p, `*?[\`) }) {
		return refsOnDisk{}, false
	}
	r := refReader{dir: dir, prefixes: prefixes, idLength: idLength, refs: map[string]packedRef{}}
	// The files first: a ref that is packed meanwhile is found in packed-refs then. The
	// other way round it would be in neither.
	if !r.loose("refs") {
		return refsOnDisk{}, false
	}
	allPacked := len(r.refs) == 0
	fully, ok := r.packed()
	return refsOnDisk{r.refs, allPacked && fully}, ok
}

// plainRepository returns the length of object ids in a repository in which refs are
// files, as far as its configuration can be read without a parser: what names another
// ref format or takes in other files is left to git, and so is a folder that git would
// not take for a repository (setup.c: is_git_directory).
func plainRepository(dir string) (idLength int, ok bool) {
	config, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		return 0, false
	}
	config = bytes.ToLower(config)
	idLength = len(core.ZeroSHA1)
	if bytes.Contains(config, []byte("refstorage")) || bytes.Contains(config, []byte("include")) {
		return 0, false
	}
	if bytes.Contains(config, []byte("objectformat")) {
		if !bytes.Contains(config, []byte("\n\tobjectformat = sha256\n")) {
			return 0, false
		}
		idLength = 64
	}
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil || !bytes.HasPrefix(head, []byte("ref: refs/")) && !core.ObjectID(bytes.TrimSpace(head)).Valid() {
		return 0, false
	}
	objects, err := os.Stat(filepath.Join(dir, "objects"))
	return idLength, err == nil && objects.IsDir()
}

// refReader collects refs.
type refReader struct {
	dir      string
	prefixes []string
	idLength int
	refs     map[string]packedRef
}

// wants reports whether a name is asked for.
func (r *refReader) wants(name string) bool {
	return len(r.prefixes) == 0 || slices.ContainsFunc(r.prefixes, func(p string) bool { return matchesRef(p, name) })
}

// matchesRef reports whether for-each-ref takes the name for the pattern: it is the
// name, or a folder of it.
func matchesRef(pattern, name string) bool {
	rest, ok := strings.CutPrefix(name, pattern)
	return ok && (rest == "" || strings.HasSuffix(pattern, "/") || rest[0] == '/')
}

// mayHold reports whether what is asked for can be in the folder.
func (r *refReader) mayHold(folder string) bool {
	return len(r.prefixes) == 0 || slices.ContainsFunc(r.prefixes, func(p string) bool {
		return matchesRef(p, folder) || matchesRef(folder, p)
	})
}

// loose reads the files of a folder.
func (r *refReader) loose(folder string) bool {
	entries, err := os.ReadDir(filepath.Join(r.dir, folder))
	if err != nil {
		// A folder goes with its last ref; without refs there is no repository.
		return errors.Is(err, fs.ErrNotExist) && folder != "refs"
	}
	for _, e := range entries {
		name := folder + "/" + e.Name()
		switch {
		case strings.HasPrefix(e.Name(), "."), strings.HasSuffix(e.Name(), ".lock"):
			// No refs for git either (refs/files-backend.c).
		case e.IsDir():
			if r.mayHold(name) && !r.loose(name) {
				return false
			}
		case !r.wants(name):
		case !e.Type().IsRegular() || !r.looseRef(name):
			return false
		}
	}
	return true
}

// looseRef reads the file of one ref. One that has gone since is packed or deleted.
func (r *refReader) looseRef(name string) bool {
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	id, ok := strings.CutSuffix(string(content), "\n")
	return err == nil && ok && r.add(name, id)
}

// add adds a ref, if that is what it is.
func (r *refReader) add(name, id string) bool {
	if len(id) != r.idLength || !core.ObjectID(id).Valid() || core.ObjectID(id).IsZero() || core.ValidateRefName(name) != nil {
		return false
	}
	r.refs[name] = packedRef{id: core.ObjectID(id)}
	return true
}

// packed adds what packed-refs has beside the files, and reports whether the file has
// all peeled values.
func (r *refReader) packed() (fully, ok bool) {
	content, err := os.ReadFile(filepath.Join(r.dir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, true
	}
	if err != nil || len(content) > 0 && content[len(content)-1] != '\n' {
		return false, false
	}
	// One string, of which names and ids are parts.
	rest := string(content)
	last := "" // the ref of the line before, if it was added
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		first := len(rest) == len(content)
		rest = after
		switch {
		case first && strings.HasPrefix(line, "# pack-refs with:"):
			fully = strings.Contains(line, fullyPeeled)
			continue
		case strings.HasPrefix(line, "^"):
			if len(line) != 1+r.idLength || !core.ObjectID(line[1:]).Valid() {
				return false, false
			}
			if last != "" {
				ref := r.refs[last]
				ref.peeled = core.ObjectID(line[1:])
				r.refs[last] = ref
			}
			continue
		}
		id, name, found := strings.Cut(line, " ")
		if !found || !strings.HasPrefix(name, "refs/") {
			return false, false
		}
		last = ""
		if _, file := r.refs[name]; !file && r.wants(name) {
			if !r.add(name, id) {
				return false, false
			}
			last = name
		}
	}
	return fully, true
}

package forgetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// listings remembers git's answers to requests for listings, with the state of the
// repository that they are of: most requests of a test ask for a listing that was
// asked for before, and each costs a process.
type listings struct {
	mu     sync.Mutex
	byFile map[string]listing // by folder and request
}

// listing is one answer of git's.
type listing struct {
	state  [sha256.Size]byte
	header http.Header
	body   []byte
}

// maxRefFiles bounds the loose refs of a repository whose listings are remembered:
// with more of them, reading them costs what git does.
const maxRefFiles = 300

// serve answers a request for a listing from memory, or by serve, whose answer it
// remembers unless the repository changed meanwhile. The writer holds what is written.
func (l *listings) serve(w *replyWriter, dir, request string, serve func(w http.ResponseWriter)) {
	before, err := stateOf(dir)
	if err != nil {
		serve(w)
		return
	}
	key := dir + "\x00" + request
	l.mu.Lock()
	known, ok := l.byFile[key]
	l.mu.Unlock()
	if !ok || known.state != before {
		serve(w)
		if after, err := stateOf(dir); err == nil && after == before && w.status == http.StatusOK {
			l.mu.Lock()
			if l.byFile == nil {
				l.byFile = map[string]listing{}
			}
			header := w.Header().Clone()
			header.Del("Date") // of this answer alone
			l.byFile[key] = listing{state: before, header: header, body: bytes.Clone(w.held.Bytes())}
			l.mu.Unlock()
		}
		return
	}
	for name, values := range known.header {
		w.Header()[name] = values
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(known.body)
}

// stateOf is a digest of all that a listing of a bare repository depends on. It is
// an error if there is too much of it, or if it changes meanwhile.
func stateOf(dir string) (state [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range []string{"HEAD", "config", "packed-refs", "shallow"} {
		if err := addFile(h, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return state, err
		}
	}
	// An object that is missing takes its ref out of the listing.
	for _, name := range []string{"objects", "objects/pack"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return state, err
		}
		fmt.Fprintf(h, "%s %d\n", name, info.ModTime().UnixNano())
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		if files++; files > maxRefFiles {
			return errors.New("too many loose refs")
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return addFile(h, dir, name)
	})
	h.Sum(state[:0])
	return state, err
}

// addFile adds a file's name and content to a digest.
func addFile(h hash.Hash, dir, name string) error {
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "%s %d\n", name, len(content))
	_, err = h.Write(content)
	return err
}

package mirror

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// findPlace bounds the search for the path of a refused object: after it the
// sentence says how to find it by hand.
const findPlace = 2 * time.Minute

// keptPlaces is of how many refused objects the search's outcome is kept. A mirror that
// waits for its owner is tried again and again, and meets the same object.
const keptPlaces = 256

// places are the paths of refused objects, by repository and object.
type places struct {
	mu    sync.Mutex
	paths map[string]string // "" is one that was not found
}

// of returns what find returned for the object the first time.
func (p *places) of(repoID string, id core.ObjectID, find func() string) string {
	key := repoID + " " + string(id)
	p.mu.Lock()
	path, ok := p.paths[key]
	p.mu.Unlock()
	if ok {
		return path
	}
	path = find()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.paths) >= keptPlaces {
		clear(p.paths)
	}
	p.paths[key] = path
	return path
}

// placed adds to the failure of a fetch into a folder the path of the object that git
// refused. Git itself does not know it then: it looks at each object as it comes, and
// drops them all. Who follows an upstream may have no clone of it to search.
func (m *Mirror) placed(ctx context.Context, r core.Repository, dir string, specs []string, err error) error {
	exit := git.Exit(err)
	if exit == nil {
		return err
	}
	refusal, ok := hosterror.FindRefusal(exit.Stderr)
	if !ok || !refusal.OfFolder() {
		return err
	}
	path := m.places.of(r.ID, refusal.Object, func() string {
		path, cause := m.findPlace(ctx, r, dir, specs, refusal.Object)
		if cause != nil {
			m.log.Warn("the place of a refused object was not found", "repo_id", r.ID, "object", refusal.Object, "error", cause)
		}
		return path
	})
	if path == "" {
		return err
	}
	refusal.Path = path
	return &fsck.RefusedError{Refusal: refusal, Err: err}
}

// errNoPlace is why there is no path: nothing that came leads to the object.
var errNoPlace = errors.New("no path leads to it")

// findPlace fetches the same once more, unchecked and without files, into a folder that
// is thrown away, and returns the first path there that leads to the object.
func (m *Mirror) findPlace(ctx context.Context, r core.Repository, dir string, specs []string, id core.ObjectID) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, findPlace)
	defer cancel()
	apart, err := os.MkdirTemp(m.repos.TempDir(), "refused-object-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(apart)) }()
	if err := m.git.Init(ctx, apart, "main", r.ObjectFormat); err != nil {
		return "", err
	}
	// What is here need not come again.
	alternates := filepath.Join(apart, "objects", "info", "alternates")
	if err := os.WriteFile(alternates, []byte(filepath.Join(dir, "objects")+"\n"), 0o600); err != nil {
		return "", err
	}
	named := make([]string, len(specs))
	for i, spec := range specs {
		if named[i] = spec; !strings.Contains(spec, ":") {
			named[i] += ":refs/refused/" + strconv.Itoa(i) // an id alone makes no ref
		}
	}
	if err := m.fetchUnder(ctx, r, named, git.Command{
		Dir:   apart,
		Flags: []string{"--filter=blob:none"}, // a host that cannot leave out files sends them
		// Nothing of it stays.
		Config: []git.Config{git.Set("fetch.fsckObjects", "false"), git.NoRefFlush(), git.Set("core.fsync", "none")},
	}); err != nil {
		return "", err
	}
	out, err := m.git.Stream(ctx, git.Command{
		Name: "rev-list", Dir: apart,
		Flags: []string{
			"--objects", "--all",
			"--not", "--alternate-refs", // what is here already was not refused
			"--missing=allow-any", // the files that were left out; none is fetched
		},
	})
	if err != nil {
		return "", err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found, ok := strings.CutPrefix(lines.Text(), string(id)+" "); ok {
			return fsck.FolderPath(found), nil
		}
	}
	return "", cmp.Or(lines.Err(), out.Wait(), errNoPlace)
}

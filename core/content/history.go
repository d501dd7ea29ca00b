package content

import (
	"bufio"
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
)

// lastCommitsLimit is how many answers "last commit of a path" are kept; about
// 200 bytes each.
const lastCommitsLimit = 16384

// lastCommits remembers which commit touched a path last, as seen from another
// commit. Neither can change, so nothing is ever stale. It keeps the entries
// used last.
type lastCommits struct {
	mu    sync.Mutex
	limit int
	order *list.List // of lastCommit, newest use first
	known map[lastKey]*list.Element
}

type lastKey struct {
	repo string
	from core.ObjectID
	path string
}

type lastCommit struct {
	key   lastKey
	touch touch
}

// touch is a commit that touched a path.
type touch struct {
	id   core.ObjectID
	when time.Time // of the committer
}

func newLastCommits(limit int) *lastCommits {
	return &lastCommits{limit: limit, order: list.New(), known: map[lastKey]*list.Element{}}
}

func (l *lastCommits) get(key lastKey) (touch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.known[key]
	if !ok {
		return touch{}, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lastCommit).touch, true
}

func (l *lastCommits) put(key lastKey, t touch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[key]; ok {
		return
	}
	l.known[key] = l.order.PushFront(lastCommit{key, t})
	if l.order.Len() > l.limit {
		oldest := l.order.Back()
		l.order.Remove(oldest)
		delete(l.known, oldest.Value.(lastCommit).key)
	}
}

// forget drops what is known of a repository.
func (l *lastCommits) forget(repoID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.known {
		if key.repo == repoID {
			l.order.Remove(e)
			delete(l.known, key)
		}
	}
}

// lastTouch returns the last commit that touched one path, which must exist in
// the commit.
func (s *Service) lastTouch(ctx context.Context, repo core.Repository, dir string, commit core.ObjectID, path string) (touch, error) {
	key := lastKey{repo.ID, commit, path}
	t, ok := s.last.get(key)
	s.looked(ok)
	if ok {
		return t, nil
	}
	ctx, cancel := limited(ctx, historyTimeout, "the walk over history")
	defer cancel()
	ids, err := s.ids(ctx, git.Command{
		Name: "rev-list", Dir: dir, Flags: []string{"--max-count=1"}, Args: []string{string(commit)}, Paths: []string{path}, Env: literal(),
	})
	if err != nil {
		return touch{}, err
	}
	if len(ids) == 0 {
		return touch{}, core.Errorf(core.KindNotFound, "path %q not found", path)
	}
	commits, err := s.commits(ctx, dir, ids[0])
	if err != nil {
		return touch{}, err
	}
	t = touch{ids[0], commits[0].Committer.When}
	s.last.put(key, t)
	return t, nil
}

// history finds the last commit of many paths in one walk from a commit.
//
// The walk keeps, for each commit, which of the paths look there as they do at
// its start. Going back in time, a path moves on to the first parent in which
// it looks the same; where there is none, the commit is the answer. That is
// what "git log -1 -- path" finds, too, for one path per walk.
type history struct {
	s       *Service
	dir     string
	files   []Entry          // wanted
	index   map[string]int32 // of files by path
	waiting map[core.ObjectID]map[int32]struct{}
	found   []core.ObjectID // by index of files
	left    int
	looked  map[core.ObjectID][]Entry // trees of merges' parents, for this walk
}

// lastTouches returns the last commits of the entries of a commit, in their
// order. All of them must be below the folder.
func (s *Service) lastTouches(ctx context.Context, dir string, commit core.ObjectID, folder string, files []Entry) ([]core.ObjectID, error) {
	if len(files) == 0 {
		return nil, nil
	}
	h := &history{
		s: s, dir: dir, files: files, index: make(map[string]int32, len(files)), found: make([]core.ObjectID, len(files)), left: len(files),
		waiting: map[core.ObjectID]map[int32]struct{}{}, looked: map[core.ObjectID][]Entry{},
	}
	all := make(map[int32]struct{}, len(files))
	for i, f := range files {
		h.index[f.Path] = int32(i)
		all[int32(i)] = struct{}{}
	}
	h.waiting[commit] = all
	// The walk ends at a commit that added everything. What only older commits
	// had is not looked at here: git's ceiling of memory and the time limit are
	// all that bounds those.
	if err := s.unfold.Check(ctx, dir, narrowFiles, string(commit)+":"+folder); err != nil {
		return nil, err
	}
	return h.found, h.run(ctx, commit, folder)
}

func (h *history) run(ctx context.Context, commit core.ObjectID, folder string) error {
	// A word that nobody can have put into a file name tells the lines of
	// commits from names.
	mark := rand.Text()
	c := git.Command{
		Name: "log",
		Dir:  h.dir,
		Flags: []string{
			// No commit comes before one of its children, so a path has come
			// from all of them when its commit is looked at.
			"--topo-order",
			// One comparison per commit; other parents of merges are looked at
			// for the few paths that need it.
			"--diff-merges=first-parent", "--no-renames", "--name-only", "-z",
			// Every commit, also those that change nothing below the folder:
			// the paths must be handed on through them.
			"--full-history", "--sparse",
			"--format=" + mark + " %H %P",
		},
		Args: []string{string(commit)},
		Env:  literal(),
	}
	if folder != "" {
		c.Paths = []string{folder}
	}
	done, err := limit.Work(ctx)
	if err != nil {
		return err
	}
	defer done()
	out, err := h.s.git.Stream(ctx, c)
	if err != nil {
		return err
	}
	defer out.Close()
	read := bufio.NewReaderSize(out, 128<<10)
	var ids []core.ObjectID // of the commit and its parents
	var changed []int32
	for {
		word, err := read.ReadString(0)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := err != nil
		line, isCommit := strings.CutPrefix(strings.TrimSuffix(word, "\x00"), mark+" ")
		if end || isCommit {
			if len(ids) > 0 {
				if err := h.commit(ctx, ids[0], ids[1:], changed); err != nil || h.left == 0 {
					return err
				}
			}
			if end {
				break
			}
			ids, changed = ids[:0], changed[:0]
			for id := range strings.SplitSeq(strings.TrimSpace(line), " ") {
				ids = append(ids, core.ObjectID(id))
			}
			continue
		}
		// The first name comes after a line feed.
		name := strings.TrimSuffix(word, "\x00")
		if len(changed) == 0 {
			name = strings.TrimPrefix(name, "\n")
		}
		if i, ok := h.index[name]; ok {
			changed = append(changed, i)
		}
	}
	if err := out.Wait(); err != nil {
		return err
	}
	return core.Errorf(core.KindInternal, "the walk over history ended without an answer for %s", core.Count(h.left, "path"))
}

// commit takes one commit: changed is what differs from its first parent.
func (h *history) commit(ctx context.Context, id core.ObjectID, parents []core.ObjectID, changed []int32) error {
	here := h.waiting[id]
	delete(h.waiting, id)
	if len(here) == 0 {
		return nil
	}
	if len(parents) == 0 {
		for i := range here {
			h.settle(i, id)
		}
		return nil
	}
	for _, i := range changed {
		if _, ok := here[i]; !ok {
			continue
		}
		delete(here, i)
		parent, err := h.same(ctx, parents[1:], h.files[i])
		if err != nil {
			return err
		}
		if parent == "" {
			h.settle(i, id)
			continue
		}
		if h.waiting[parent] == nil {
			h.waiting[parent] = map[int32]struct{}{}
		}
		h.waiting[parent][i] = struct{}{}
	}
	h.hand(parents[0], here)
	return nil
}

// hand gives paths on to a commit: the smaller set into the larger one.
func (h *history) hand(to core.ObjectID, paths map[int32]struct{}) {
	if len(paths) == 0 {
		return
	}
	there := h.waiting[to]
	if len(there) < len(paths) {
		there, paths = paths, there
	}
	for i := range paths {
		there[i] = struct{}{}
	}
	h.waiting[to] = there
}

func (h *history) settle(i int32, id core.ObjectID) {
	h.found[i] = id
	h.left--
}

// lookedLimit is how many trees a walk keeps for its look at merges.
const lookedLimit = 256

// same returns the first of the commits in which the entry looks the same.
func (h *history) same(ctx context.Context, commits []core.ObjectID, file Entry) (core.ObjectID, error) {
	for _, commit := range commits {
		entry, ok, err := h.entryAt(ctx, commit, file.Path)
		if err != nil {
			return "", err
		}
		if ok && entry.ID == file.ID && entry.Mode == file.Mode {
			return commit, nil
		}
	}
	return "", nil
}

// entryAt is [Service.entry] with a memory for folders.
func (h *history) entryAt(ctx context.Context, commit core.ObjectID, path string) (Entry, bool, error) {
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		folder, name = path[:i], path[i+1:]
	}
	objects, err := h.s.cat.Info(ctx, h.dir, string(commit)+":"+folder)
	if err != nil || objects[0].Type != "tree" {
		return Entry{}, false, err
	}
	entries, ok := h.looked[objects[0].ID]
	if !ok {
		trees, err := h.s.trees(ctx, h.dir, objects[0].ID)
		if err != nil {
			return Entry{}, false, err
		}
		if len(h.looked) >= lookedLimit {
			clear(h.looked)
		}
		entries = trees[0]
		h.looked[objects[0].ID] = entries
	}
	for _, e := range entries {
		if e.Path == name {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.RepositoryStore
	core.TrashStore
	core.AliasStore
	core.JournalStore
	core.SettingsStore
	core.AuditStore
	core.ForgottenStore
	core.Transactor
}

// Options configures [Open].
type Options struct {
	Root   string // data directory; repos/ and tmp/ are made in it
	Git    *git.Git
	Store  Store
	Clock  core.Clock
	Locker Locker
	Logger hclog.Logger
	// Objects reads commits without a process for each; nil: git is started.
	Objects *catfile.Pool
	// CommitPoint makes what changes of refs become true by; nil: the disk, then SQL.
	CommitPoint func(o CommitPointOptions) CommitPoint
	// Failpoint is called at named steps of a ref change, so that crash tests
	// can stop the process there. Nil in production.
	Failpoint func(name string)
}

// Repos is the set of repositories of one data directory.
type Repos struct {
	root    string
	git     *git.Git
	store   Store
	clock   core.Clock
	locks   Locker
	objects *catfile.Pool
	log     hclog.Logger
	fail    func(string)
	// describeMu is held while a repository's description is written.
	describeMu sync.Mutex
	mu         sync.Mutex
	watch      map[string][]*Watch
	// unsettled are the refs, by repository id and name on disk, of which nobody
	// knows what became of their last update at the upstream.
	unsettled map[string]map[string]bool
	notify    func(repoID string, moved int)
	point     CommitPoint
	left      func(Unfinished)
}

// Open prepares the folders under the data directory.
func Open(o Options) (*Repos, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Failpoint == nil {
		o.Failpoint = func(string) {}
	}
	// Git runs inside the repositories, where a relative path means another place.
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("locate the data directory: %w", err)
	}
	o.Root = root
	for _, d := range []string{"repos", "tmp"} {
		if err := os.MkdirAll(filepath.Join(o.Root, d), 0o700); err != nil {
			return nil, fmt.Errorf("prepare the data directory: %w", err)
		}
	}
	r := &Repos{
		root: o.Root, git: o.Git, store: o.Store, clock: o.Clock, locks: o.Locker, objects: o.Objects, log: o.Logger.Named("repo"),
		fail: o.Failpoint, watch: map[string][]*Watch{}, unsettled: map[string]map[string]bool{}, notify: func(string, int) {},
		left: func(Unfinished) {},
	}
	if o.CommitPoint == nil {
		o.CommitPoint = newDiskFirst
	}
	r.point = o.CommitPoint(CommitPointOptions{Git: o.Git, Store: o.Store, Path: r.Path, Failpoint: o.Failpoint})
	return r, nil
}

// OnApplied sets the function that is called for every applied ref transaction
// with how many refs it moved. It is called without locks and must not block;
// maintenance is planned from it. Call it before the first change.
func (r *Repos) OnApplied(f func(repoID string, moved int)) { r.notify = f }

// Locks returns the locker, for the writers' own parts.
func (r *Repos) Locks() Locker { return r.locks }

// Failpoint names a step of a ref change; see [Options.Failpoint].
func (r *Repos) Failpoint(name string) { r.fail(name) }

// Repository finds a repository of an organisation by public name, by one that it had
// before, or by internal id, in this order. KindNotFound: there is none.
func (r *Repos) Repository(ctx context.Context, org, nameOrID string) (core.Repository, error) {
	found, err := r.store.Repository(ctx, org, nameOrID)
	if core.KindOf(err) != core.KindNotFound {
		return found, err
	}
	if found, aliasErr := r.store.RepositoryByAlias(ctx, org, nameOrID); core.KindOf(aliasErr) != core.KindNotFound {
		return found, aliasErr
	}
	if !strings.HasPrefix(nameOrID, "repo_") {
		return found, err
	}
	byID, idErr := r.store.RepositoryByID(ctx, nameOrID)
	if idErr != nil || byID.Org != org {
		return core.Repository{}, err
	}
	return byID, nil
}

// Path returns the folder of a repository.
func (r *Repos) Path(id string) string { return PathIn(r.root, id) }

// PathIn returns the folder of a repository in a data directory.
func PathIn(dataDir, id string) string {
	n := len(id)
	if n < 4 || strings.ContainsAny(id, "/\\.") {
		// Ids are made by core.NewID; anything else is a bug that must not
		// become a path.
		panic("repo: bad repository id")
	}
	return filepath.Join(dataDir, "repos", id[n-2:], id[n-4:n-2], id+".git")
}

// Current makes the local copy the newest there is; every read path calls it. On
// one machine it always is, so that costs nothing. See [CommitPoint].
func (r *Repos) Current(ctx context.Context, repo core.Repository) error {
	return r.point.ComeForward(ctx, repo.ID)
}

// Create makes an empty repository on disk: in tmp/, then by rename, so that it
// is there whole or not at all.
func (r *Repos) Create(ctx context.Context, id, branch, objectFormat string) error {
	return r.CreateFrom(ctx, id, branch, objectFormat, func(context.Context, string) error { return nil })
}

// CreateFrom is Create with content: fill puts it into the folder before
// anybody can see the repository.
func (r *Repos) CreateFrom(ctx context.Context, id, branch, objectFormat string, fill func(ctx context.Context, dir string) error) error {
	tmp := filepath.Join(r.root, "tmp", "create-"+id+".git")
	defer os.RemoveAll(tmp)
	if err := r.git.Init(ctx, tmp, branch, objectFormat); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	if err := fill(ctx, tmp); err != nil {
		return err
	}
	return r.moveInto(tmp, r.Path(id))
}

// TempDir is where temporary files of the data directory go; a start empties it.
func (r *Repos) TempDir() string { return filepath.Join(r.root, "tmp") }

// Reformat replaces a repository that has no refs by an empty one of another
// object format: an upstream's format is known only when it is first seen.
func (r *Repos) Reformat(ctx context.Context, id, branch, objectFormat string) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if refs, err := r.git.Refs(ctx, r.Path(id)); err != nil || len(refs) > 0 {
		if err == nil {
			err = core.Errorf(core.KindConflict, "the upstream uses %s objects, but the repository already has refs in another format", objectFormat)
		}
		return err
	}
	old := filepath.Join(r.root, "tmp", reformatPrefix+id+".git")
	if err := rename(r.Path(id), old); err != nil {
		return err
	}
	r.fail("reformat-moved")
	if err := r.Create(ctx, id, branch, objectFormat); err != nil {
		return errors.Join(err, rename(old, r.Path(id)))
	}
	return os.RemoveAll(old)
}

// reformatPrefix begins the name that a repository has in tmp/ while one of
// another object format takes its place.
const reformatPrefix = "reformat-"

// moveInto flushes a finished folder, of which git has flushed the objects and refs,
// and renames it to its place.
func (r *Repos) moveInto(from, to string) error {
	if err := durable.SyncFolders(from); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	return rename(from, to)
}

// rename renames a folder and flushes the folders that named it and that name it now,
// so that a power cut finds it in one of them.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(filepath.Dir(to)), durable.SyncDir(filepath.Dir(from)))
}

// Exists reports whether the repository's folder is there.
func (r *Repos) Exists(id string) bool {
	_, err := os.Stat(filepath.Join(r.Path(id), "HEAD"))
	return err == nil
}

// Watch collects the refs that write sessions move while a sync runs: a
// listing of the upstream that was taken before such a move must not take the
// ref back. One is enough in memory, since a crash ends the sync as well.
type Watch struct {
	repos *Repos
	id    string
	moved map[string]bool
}

// Watch starts collecting; the caller must Close it.
func (r *Repos) Watch(id string) *Watch {
	w := &Watch{repos: r, id: id, moved: map[string]bool{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watch[id] = append(r.watch[id], w)
	return w
}

// Moved reports whether a write session moved the ref since the watch began,
// or holds its lock and may be about to. The ref is named as on disk.
func (w *Watch) Moved(ref string) bool {
	if w.repos.locks.RefLocked(w.id, ref) {
		return true
	}
	// After the lock: a session tells its watches before it lets go of its refs.
	w.repos.mu.Lock()
	defer w.repos.mu.Unlock()
	return w.moved[ref]
}

// Any reports whether a write session moved any ref since the watch began.
func (w *Watch) Any() bool {
	w.repos.mu.Lock()
	defer w.repos.mu.Unlock()
	return len(w.moved) > 0
}

// Sessions reports whether a write session was at work at any time since the watch
// began. The locks are looked at first, for the reason that Moved has.
func (w *Watch) Sessions() bool { return w.repos.locks.AnyRefLocked(w.id) || w.Any() }

// Close ends the watch.
func (w *Watch) Close() {
	w.repos.mu.Lock()
	defer w.repos.mu.Unlock()
	all := w.repos.watch[w.id]
	for i, o := range all {
		if o == w {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(all) == 0 {
		delete(w.repos.watch, w.id)
		return
	}
	w.repos.watch[w.id] = all
}

// SetUnsettled says whether it is open what became of the last update of a ref,
// which is locked as long as it is. The ref is named as on disk.
func (r *Repos) SetUnsettled(id, ref string, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	refs := r.unsettled[id]
	switch {
	case open && refs == nil:
		r.unsettled[id] = map[string]bool{ref: true}
	case open:
		refs[ref] = true
	default:
		if delete(refs, ref); len(refs) == 0 {
			delete(r.unsettled, id)
		}
	}
}

// Unsettled reports whether it is open what became of the last update of a ref.
// Who would wait for its lock waits for minutes.
func (r *Repos) Unsettled(id, ref string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unsettled[id][ref]
}

// touched tells the watches of a repository.
func (r *Repos) touched(j core.JournalEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watch[j.RepoID] {
		for _, u := range j.Updates {
			w.moved[j.Namespace.Path(u.Name)] = true
		}
	}
}

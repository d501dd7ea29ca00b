package forgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoRepository is the error about a path that the forge has no repository at.
var ErrNoRepository = errors.New("the forge has no such repository")

// forgeRepo is one repository of a forge. Copies are handed out, so that a
// request sees one state.
type forgeRepo struct {
	id       int64
	path     string // "owner/name", "group/sub/name", "~owner/name"
	folder   string // below the forge's root; never moves
	private  bool
	archived bool
	fork     bool
	refusals []Refusal
}

func (r *forgeRepo) owner() string { return r.path[:max(0, strings.LastIndex(r.path, "/"))] }
func (r *forgeRepo) name() string  { return r.path[strings.LastIndex(r.path, "/")+1:] }

// key folds a path the way the host compares paths.
func (f *Forge) key(path string) string {
	if f.rules.anyCase {
		return strings.ToLower(path)
	}
	return path
}

// CreateRepo creates an empty repository, default branch main, at a path like
// "acme/widget". At a host with GitHub Apps its owner gets an installation of
// the App if it has none.
func (f *Forge) CreateRepo(path string, private bool) error {
	f.mu.Lock()
	if f.repos[f.key(path)] != nil {
		f.mu.Unlock()
		return fmt.Errorf("create repository %q: %w", path, fs.ErrExist)
	}
	f.lastID++
	repo := &forgeRepo{id: f.lastID, path: path, private: private, folder: strconv.FormatInt(f.lastID, 10) + ".git"}
	f.mu.Unlock()

	folder := filepath.Join(f.root, repo.folder)
	if err := f.initRepository(folder); err != nil {
		return err
	}
	f.mu.Lock()
	f.repos[f.key(path)] = repo
	f.mu.Unlock()
	if f.app != nil {
		f.app.install(repo.owner())
	}
	return nil
}

// DeleteRepo deletes a repository.
func (f *Forge) DeleteRepo(path string) error {
	repo, err := f.change(path, func(*forgeRepo) {})
	if err != nil {
		return err
	}
	f.mu.Lock()
	delete(f.repos, f.key(path))
	f.mu.Unlock()
	f.announce(repo, Event{Kind: EventDeleted})
	f.mu.Lock()
	delete(f.webhooks.byRepo, repo.id)
	f.mu.Unlock()
	return os.RemoveAll(filepath.Join(f.root, repo.folder))
}

// RenameRepo moves a repository. The old path answers 301 from now on, until
// another repository takes it; the stable id stays.
func (f *Forge) RenameRepo(path, to string) error {
	f.mu.Lock()
	repo := f.repos[f.key(path)]
	if repo == nil {
		f.mu.Unlock()
		return fmt.Errorf("rename %q: %w", path, ErrNoRepository)
	}
	delete(f.repos, f.key(path))
	e := Event{Kind: EventRenamed, From: repo.path}
	owner := repo.owner()
	repo.path = to
	if repo.owner() != owner {
		e.Kind = EventTransferred
	}
	f.repos[f.key(to)] = repo
	f.moved[f.key(path)] = to
	snapshot := *repo
	f.mu.Unlock()
	f.announce(&snapshot, e)
	return nil
}

// RedirectRepo makes every git request to a path answer 302 to a URL, which
// replaces the clone URL of the repository: of another host, for instance.
func (f *Forge) RedirectRepo(path, url string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved[f.key(path)] = url
}

// SetPrivate makes a repository private or public.
func (f *Forge) SetPrivate(path string, private bool) error {
	changed := false
	repo, err := f.change(path, func(r *forgeRepo) { changed, r.private = r.private != private, private })
	if err == nil && changed {
		f.announce(repo, Event{Kind: EventVisibility})
	}
	return err
}

// SetDefaultBranch makes another branch the default, by its short name.
func (f *Forge) SetDefaultBranch(path, branch string) error {
	repo, err := f.change(path, func(*forgeRepo) {})
	if err != nil {
		return err
	}
	before := f.branchOf(repo)
	if _, err := f.Git(path, "symbolic-ref", "HEAD", "refs/heads/"+branch); err != nil {
		return err
	}
	if before != branch {
		f.announce(repo, Event{Kind: EventDefaultBranch, From: before})
	}
	return nil
}

// SetArchived makes a repository archived or not. An archived one takes no
// pushes.
func (f *Forge) SetArchived(path string, archived bool) error {
	changed := false
	repo, err := f.change(path, func(r *forgeRepo) { changed, r.archived = r.archived != archived, archived })
	if err == nil && changed {
		f.announce(repo, Event{Kind: EventArchived})
	}
	return err
}

// RepoID returns the stable id of a repository, as the API gives it.
func (f *Forge) RepoID(path string) (string, error) {
	repo, err := f.change(path, func(*forgeRepo) {})
	if err != nil {
		return "", err
	}
	return f.stableID(repo), nil
}

// RepoDir returns the folder of the bare repository.
func (f *Forge) RepoDir(path string) (string, error) {
	repo, err := f.change(path, func(*forgeRepo) {})
	if err != nil {
		return "", err
	}
	return filepath.Join(f.root, repo.folder), nil
}

// change edits a repository and returns a copy of it.
func (f *Forge) change(path string, edit func(*forgeRepo)) (*forgeRepo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	repo := f.repos[f.key(path)]
	if repo == nil {
		return nil, fmt.Errorf("repository %q: %w", path, ErrNoRepository)
	}
	edit(repo)
	snapshot := *repo
	snapshot.refusals = slices.Clone(repo.refusals)
	return &snapshot, nil
}

// find returns a copy of the repository at a path, nil if there is none.
func (f *Forge) find(path string) *forgeRepo {
	repo, err := f.change(path, func(*forgeRepo) {})
	if err != nil {
		return nil
	}
	return repo
}

// findID returns a copy of the repository with a stable id, nil if there is none.
func (f *Forge) findID(id string) *forgeRepo {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, repo := range f.repos {
		if f.stableID(repo) == id {
			snapshot := *repo
			return &snapshot
		}
	}
	return nil
}

// stableID returns the id in the form of the host: Bitbucket has UUIDs.
func (f *Forge) stableID(repo *forgeRepo) string {
	if f.options.HostKind == HostBitbucket {
		return fmt.Sprintf("{00000000-0000-4000-8000-%012d}", repo.id)
	}
	return strconv.FormatInt(repo.id, 10)
}

// Git runs git in a repository of the forge, past its rules and its HTTP, and
// returns what it prints without the last newline.
func (f *Forge) Git(repo string, args ...string) (string, error) {
	folder, err := f.RepoDir(repo)
	if err != nil {
		return "", err
	}
	return f.git(folder, nil, args...)
}

func (f *Forge) git(folder string, stdin io.Reader, args ...string) (string, error) {
	// Refs are looked at after Close, too.
	cmd := exec.CommandContext(context.WithoutCancel(f.ctx), "git", args...)
	cmd.Dir = folder
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, f.env...)
	cmd.Stdin = stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// Ref returns the object id that a full ref name points at, "" if the ref is
// absent.
func (f *Forge) Ref(repo, name string) (string, error) {
	refs, err := f.Refs(repo)
	return refs[name], err
}

// Refs returns every ref of a repository with its object id, tags unpeeled.
func (f *Forge) Refs(repo string) (map[string]string, error) {
	folder, err := f.RepoDir(repo)
	if err != nil {
		return nil, err
	}
	return ReadRefs(folder)
}

// DefaultBranch returns the short name that HEAD points at.
func (f *Forge) DefaultBranch(repo string) (string, error) {
	folder, err := f.RepoDir(repo)
	if err != nil {
		return "", err
	}
	return readHead(folder)
}

package push

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// A lock of Git LFS says that one person works on a path. git-lfs asks for the locks
// before it pushes, but a client without it, an old one, or an API write does not.
// So each write looks too: at what each commit changes that no ref here had before, as
// git-lfs does. What a merge or a rebase brings from another branch of this
// repository was let in there, and is no change of whoever pushes it.

// lockPage is how many locks are read at a time.
const lockPage = 1000

// hiddenRefs are of no branch that anybody sees: what only they keep is new when it is
// pushed again, and lost when the last branch leaves it.
const hiddenRefs = "--exclude=" + core.InternalPrefix + "*"

// allRefs is --all without HEAD, which would bring back the branch that is left out.
const allRefs = "--glob=refs/*"

// checkLocked refuses updates of a local repository that touch what another one has
// locked. Those of a mirror are its upstream's to refuse. A deletion touches no path.
func (s *Service) checkLocked(ctx context.Context, w Session, b *results) error {
	if w.Repo.Upstream != nil {
		return nil
	}
	locks, err := s.locksOfOthers(ctx, w)
	if err != nil || len(locks) == 0 {
		return err
	}
	var idx []int
	for _, i := range b.pending() {
		if !w.Updates[i].IsDelete() {
			idx = append(idx, i)
		}
	}
	if err := s.checkAdded(ctx, w, b, idx, locks); err != nil {
		return err
	}
	return s.checkLost(ctx, w, b, idx, locks)
}

// locksOfOthers returns the locks that the session has to respect, by path.
func (s *Service) locksOfOthers(ctx context.Context, w Session) (map[string]core.LFSLock, error) {
	f := core.LFSLockFilter{RepoID: w.Repo.ID, NotOwner: w.Actor.LockOwner(), Limit: lockPage}
	locks := map[string]core.LFSLock{}
	for {
		page, err := s.store.LFSLocks(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, l := range page {
			// What no tree can have would have git refuse to compare anything.
			if fs.ValidPath(l.Path) && l.Path != "." && !strings.ContainsAny(l.Path, "\x00\r\n") {
				locks[l.Path] = l
			}
		}
		if len(page) < lockPage {
			break
		}
		f.After = page[len(page)-1].ID
	}
	if len(locks) == 0 {
		return nil, nil
	}
	// Nobody can unlock where LFS is switched off.
	settings, err := s.store.Settings(ctx, w.Repo.ID)
	if err != nil || settings.LFS == core.LFSOff {
		return nil, err
	}
	return locks, nil
}

// checkAdded refuses those updates whose new commits touch a locked path: one walk for
// all of them, and halves of it as long as there is something to find.
func (s *Service) checkAdded(ctx context.Context, w Session, b *results, idx []int, locks map[string]core.LFSLock) error {
	if len(idx) == 0 {
		return nil
	}
	var tips []string
	for _, i := range idx {
		tips = append(tips, string(w.Updates[i].New))
	}
	l, found, err := s.touched(ctx, w, tips, []string{"--not", hiddenRefs, allRefs}, locks)
	switch {
	case err != nil || !found:
		return err
	case len(idx) == 1:
		s.refuseLocked(b, idx[0], l)
		return nil
	}
	half := len(idx) / 2
	if err := s.checkAdded(ctx, w, b, idx[:half], locks); err != nil {
		return err
	}
	return s.checkAdded(ctx, w, b, idx[half:], locks)
}

// checkLost refuses those updates that leave commits behind which no other ref has and
// which touch a locked path: they take its owner's work away.
func (s *Service) checkLost(ctx context.Context, w Session, b *results, idx []int, locks map[string]core.LFSLock) error {
	var moved []int
	for _, i := range idx {
		if b.open[i] && !w.Updates[i].IsCreate() {
			moved = append(moved, i)
		}
	}
	descends := s.descends(ctx, w, moved)
	for _, i := range moved {
		u := w.Updates[i]
		ok, err := descends(u)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && ok || !b.open[i] {
			continue
		}
		l, found, err := s.touched(ctx, w, []string{string(u.Old), "^" + string(u.New)},
			[]string{"--not", hiddenRefs, "--exclude=" + w.Namespace.Path(u.Name), allRefs}, locks)
		if err != nil {
			return err
		}
		if found {
			s.refuseLocked(b, i, l)
		}
	}
	return nil
}

// touched returns a lock whose path a commit changes that the revisions select. It ends at
// the first one, and holds no more than a name at a time.
func (s *Service) touched(ctx context.Context, w Session, revisions, without []string, locks map[string]core.LFSLock) (core.LFSLock, bool, error) {
	var in strings.Builder
	for _, r := range revisions {
		in.WriteString(r + "\n")
	}
	in.WriteString("--\n")
	for path := range locks {
		in.WriteString(path + "\n")
	}
	out, err := s.git.Stream(ctx, git.Command{
		Name: "log", Dir: s.repos.Path(w.Repo.ID), Stdin: strings.NewReader(in.String()),
		Flags: append([]string{
			// An update whose object is missing is refused by git itself, in its words.
			"--ignore-missing",
			// Also what a merge has left out again, as git-lfs looks at every commit.
			"--full-history",
			// Of a merge only what is as in none of its parents.
			"--diff-merges=combined",
			// A renamed file is one path less and one more.
			"--no-renames", "--name-only", "-z", "--format=", "--stdin",
		}, without...),
		Env: []string{"GIT_LITERAL_PATHSPECS=1"},
	})
	if err != nil {
		return core.LFSLock{}, false, fmt.Errorf("look for locked paths: %w", err)
	}
	defer out.Close()
	names := bufio.NewReader(out)
	for {
		name, err := names.ReadString(0)
		// A line feed comes before the names of some commits.
		if l, ok := locks[strings.TrimPrefix(strings.TrimSuffix(name, "\x00"), "\n")]; ok {
			return l, true, nil
		}
		if errors.Is(err, io.EOF) {
			if err := out.Wait(); err != nil {
				return core.LFSLock{}, false, fmt.Errorf("look for locked paths: %w", err)
			}
			return core.LFSLock{}, false, nil
		}
		if err != nil {
			return core.LFSLock{}, false, fmt.Errorf("look for locked paths: %w", err)
		}
	}
}

// refuseLocked refuses an update for a lock.
func (s *Service) refuseLocked(b *results, i int, l core.LFSLock) {
	b.refuse(i, core.KindPermission, fmt.Sprintf("%s is locked by %s; ask them to run git lfs unlock %s, or remove the lock with git lfs unlock --force %s",
		l.Path, l.Owner, core.ShellWord(l.Path), core.ShellWord(l.Path)))
}

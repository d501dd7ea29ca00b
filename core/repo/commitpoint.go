package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// CommitPoint is where a change of refs becomes true, together with what is
// recorded of it in SQL. On one machine the refs on the disk are the truth and
// the record follows ([Repos] uses that one unless [Options.CommitPoint] names
// another); on many nodes the rows are, and every disk is a copy.
//
// Commit and Replaced are called under the repository's write lock, the others without it. All
// are safe for concurrent use.
type CommitPoint interface {
	// Prepare makes durable the objects that the updates point to, before the
	// upstream gets them. An error means that they cannot be committed; it is a
	// [*git.RefError] where one update is the reason.
	Prepare(ctx context.Context, repoID string, updates []core.RefUpdate) error
	// Commit moves the refs and runs the record. Its errors are those of
	// [Repos.Transact]'s local part: a [*git.RefError] means that nothing moved, an
	// [*AppliedError] that all of it moved, and any other that nobody can say.
	Commit(ctx context.Context, c Change) error
	// ComeForward makes the copy on the disk the newest there is. Whoever reads
	// refs or objects calls it first; where nothing is missing it must cost nothing.
	ComeForward(ctx context.Context, repoID string) error
	// Replaced is called under the write lock, before another folder takes the place of
	// a repository's: the refs on the disk are its refs from then on.
	Replaced(ctx context.Context, repoID string) error
}

// CommitPointOptions are what a [CommitPoint] is made from.
type CommitPointOptions struct {
	Git       *git.Git
	Store     core.Transactor
	Path      func(repoID string) string // folder of a repository
	Failpoint func(name string)          // called at named steps, see [Options]; never nil
}

// Change is what a [CommitPoint] commits: refs by their names on disk, and what is
// recorded with them.
type Change struct {
	RepoID string
	// Deletes come first, in a transaction of their own: git cannot delete "foo"
	// and create "foo/bar" in one. They include the hidden refs that keep the tips
	// of what is deleted.
	Deletes []git.RefChange
	Sets    []git.RefChange
	// Bulk says that there are very many and that nobody reads the repository yet.
	Bulk bool
	// Head is the full name of the branch that HEAD points at afterwards; "" leaves
	// it. HEAD stays where a branch that does not exist is named.
	Head string
	// Unborn says that the branch need not exist, and that the change is about HEAD:
	// if that does not move, nothing is recorded.
	Unborn bool
	// Record writes what becomes true together with the refs, in one SQL transaction.
	// headErr is why HEAD did not move where it was to. Nil: there is nothing.
	Record func(q core.Queries, headErr error) error
}

// AppliedError says that the refs of a transaction have moved, but that not
// all that belongs to it was done.
type AppliedError struct {
	// Recorded: journal, version and events were written, only HEAD did not move.
	// Else the journal entry is still open.
	Recorded bool
	Err      error
}

// Error gives the cause.
func (e *AppliedError) Error() string { return "refs have moved, but: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *AppliedError) Unwrap() error { return e.Err }

// diskFirst is the commit point of one machine: git's refs, then SQL. A crash
// between the two leaves the journal entry open, and recovery reads from the refs
// how far it came.
type diskFirst struct {
	path  func(repoID string) string
	git   *git.Git
	store core.Transactor
	fail  func(string)
}

var _ CommitPoint = (*diskFirst)(nil)

func newDiskFirst(o CommitPointOptions) CommitPoint {
	return &diskFirst{path: o.Path, git: o.Git, store: o.Store, fail: o.Failpoint}
}

// Prepare implements [CommitPoint]. Git flushes objects when it stores them (see
// core.fsync in core/git), so nothing is left to do.
func (d *diskFirst) Prepare(context.Context, string, []core.RefUpdate) error { return nil }

// Replaced implements [CommitPoint]: nothing but the folder tells of refs.
func (d *diskFirst) Replaced(context.Context, string) error { return nil }

// ComeForward implements [CommitPoint]: the disk is the truth.
func (d *diskFirst) ComeForward(context.Context, string) error { return nil }

// Commit implements [CommitPoint].
func (d *diskFirst) Commit(ctx context.Context, c Change) error {
	dir := d.path(c.RepoID)
	step := d.fail
	if c.Record == nil || c.Unborn {
		step = func(string) {} // no transaction of a writer
	}
	if err := d.move(ctx, dir, c, step); err != nil {
		return err
	}
	step("refs-applied")
	var headErr error
	if c.Head != "" {
		headErr = d.follow(ctx, dir, c)
		step("head-moved")
	}
	if headErr != nil && c.Unborn {
		return headErr
	}
	if c.Record != nil {
		if err := d.store.Tx(ctx, func(q core.Queries) error { return c.Record(q, headErr) }); err != nil {
			return &AppliedError{Err: fmt.Errorf("record applied refs: %w", errors.Join(err, headErr))}
		}
	}
	if headErr != nil {
		return &AppliedError{Recorded: true, Err: fmt.Errorf("follow the default branch: %w", headErr)}
	}
	return nil
}

// move makes the updates on disk: all, or none with a [*git.RefError].
func (d *diskFirst) move(ctx context.Context, dir string, c Change, step func(name string)) error {
	if c.Bulk {
		return d.git.WriteRefs(ctx, dir, c.Deletes, c.Sets)
	}
	if len(c.Deletes)+len(c.Sets) >= manyChanges {
		return d.updateMany(ctx, dir, c, step)
	}
	if err := d.update(ctx, dir, c.Deletes); err != nil {
		return err
	}
	step("refs-deleted")
	err := d.update(ctx, dir, c.Sets)
	if err == nil || len(c.Deletes) == 0 {
		return err
	}
	// The two transactions are one to the caller: what was deleted comes back.
	// Tracking refs need not; the next sync brings them.
	var back []git.RefChange
	for _, ch := range c.Deletes {
		if !strings.HasPrefix(ch.Name, core.TrackingPrefix) {
			back = append(back, git.RefChange{RefUpdate: core.RefUpdate{Name: ch.Name, Old: ch.New, New: ch.Old}})
		}
	}
	if _, undo := d.git.UpdateRefs(context.WithoutCancel(ctx), dir, back); undo != nil {
		// Without the RefError in the chain: something did move.
		return fmt.Errorf("bring back deleted refs: %s; they were deleted before: %s", undo, err) //nolint:errorlint // see above
	}
	return err
}

// manyChanges is from how many changes on refs are written in one file: a file for
// each costs more then than the other refs of a large repository in that one.
const manyChanges = 200

// updateMany makes a change of many refs in one transaction.
func (d *diskFirst) updateMany(ctx context.Context, dir string, c Change, step func(name string)) error {
	err := d.git.UpdateManyRefs(ctx, dir, step, c.Deletes, c.Sets)
	if !trackingLocked(err) {
		return err
	}
	deletes, sets := withoutTracking(c.Deletes), withoutTracking(c.Sets)
	if len(deletes)+len(sets) == 0 {
		return err // they are what the change is about
	}
	return d.git.UpdateManyRefs(ctx, dir, step, deletes, sets)
}

// trackingLocked reports whether another process had a tracking ref locked.
func trackingLocked(err error) bool {
	re, ok := IsRefError(err)
	return ok && re.Kind == git.RefLocked && strings.HasPrefix(re.Ref, core.TrackingPrefix)
}

func withoutTracking(changes []git.RefChange) []git.RefChange {
	return slices.DeleteFunc(slices.Clone(changes), func(c git.RefChange) bool { return strings.HasPrefix(c.Name, core.TrackingPrefix) })
}

// update makes the changes, without those of tracking refs if a fetch has them
// locked: git from 2.51 on keeps all tracking refs of a fetch locked at once. What
// the upstream has taken already must not wait for that, and the next sync brings
// tracking refs up to date.
func (d *diskFirst) update(ctx context.Context, dir string, changes []git.RefChange) error {
	_, err := d.git.UpdateRefs(ctx, dir, changes)
	if !trackingLocked(err) {
		return err
	}
	others := withoutTracking(changes)
	if len(others) == 0 {
		return err // they are what the change is about
	}
	_, err = d.git.UpdateRefs(ctx, dir, others)
	return err
}

// follow points HEAD where the change wants it.
func (d *diskFirst) follow(ctx context.Context, dir string, c Change) error {
	if !c.Unborn {
		have, err := d.git.RefsNamed(ctx, dir, []string{c.Head})
		if err != nil || len(have) == 0 {
			return err
		}
	}
	return d.git.SetHead(ctx, dir, c.Head)
}

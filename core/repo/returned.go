package repo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// returned is what refs lead to again although it was forgotten on purpose.
type returned struct {
	Refs     []string        `json:"refs"`          // of those that were examined, the ones that lead to it
	Changed  int             `json:"refs_changed"`  // how many refs the change set
	Examined int             `json:"refs_examined"` // how many of them were looked at one by one: the first hundred
	Objects  int             `json:"objects"`       // how many there are, of all refs that the change set
	IDs      []core.ObjectID `json:"ids"`           // some of them
}

// maxReturnedIDs bounds the ids in an event, and maxReturnedRefs how many refs are looked
// at one by one.
const (
	maxReturnedIDs  = 20
	maxReturnedRefs = 100
)

// returned finds out whether the updates of an entry bring back what was forgotten
// here: the host leads to it again, or somebody has pushed it. It is served then, since
// clones would break without it, and people should know. nil: they do not. Only in a
// repository that has forgotten something does this start git.
func (r *Repos) returned(ctx context.Context, t *transaction, j core.JournalEntry) (*returned, error) {
	if any, err := r.store.AnyForgotten(ctx, t.Repo.ID); err != nil || !any || t.First {
		return nil, err
	}
	var all []core.RefUpdate
	for _, u := range j.Updates {
		if !u.IsDelete() {
			all = append(all, u)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	found, err := r.forgottenIn(ctx, t.Repo.ID, r.brings(t, j, all), false)
	if err != nil || len(found) == 0 {
		return nil, r.untold(t.Repo.ID, err)
	}
	back := &returned{
		Refs: []string{}, Changed: len(all), Examined: min(len(all), maxReturnedRefs),
		Objects: len(found), IDs: found[:min(len(found), maxReturnedIDs)],
	}
	for _, u := range all[:back.Examined] {
		if len(all) > 1 {
			one, err := r.forgottenIn(ctx, t.Repo.ID, r.brings(t, j, []core.RefUpdate{u}), true)
			if err != nil {
				return nil, r.untold(t.Repo.ID, err)
			}
			if len(one) == 0 {
				continue
			}
		}
		back.Refs = append(back.Refs, u.Name)
	}
	r.log.Warn("refs lead again to objects that were forgotten here on purpose; they are served", "repo_id", t.Repo.ID, "refs", back.Refs, "objects", back.Objects)
	return back, nil
}

// untold lets a change go on of which git could not say what it brings.
func (r *Repos) untold(id string, err error) error {
	if errors.Is(err, errWalk) {
		r.log.Warn("cannot tell whether a change leads to what was forgotten", "repo_id", id, "error", err)
		return nil
	}
	return err
}

// brings lists what the updates lead to and the refs of before do not.
func (r *Repos) brings(t *transaction, j core.JournalEntry, updates []core.RefUpdate) git.Command {
	// Tracking refs may have moved already: what they lead to is not served.
	flags := []string{"--objects", "--no-object-names", "--not", "--exclude=" + core.InternalPrefix + "*"}
	if t.resumed {
		// So may the refs themselves, before the crash.
		for _, u := range j.Updates {
			flags = append(flags, "--exclude="+j.Namespace.Path(u.Name))
		}
	}
	var in strings.Builder
	for _, u := range updates {
		fmt.Fprintln(&in, u.New)
		if !u.Old.IsZero() {
			fmt.Fprintln(&in, "^"+u.Old)
		}
	}
	return git.Command{
		// The second --not ends the first for what comes from standard input.
		Name: "rev-list", Dir: r.Path(t.Repo.ID), Flags: append(flags, "--all", "--not", "--stdin"), Stdin: strings.NewReader(in.String()),
	}
}

// errWalk says that git could not list what leads from a tip.
var errWalk = errors.New("git could not list the objects")

// forgottenIn returns which objects of those that a command lists were forgotten on
// purpose; if one will do, it stops at the first. errWalk: git failed.
func (r *Repos) forgottenIn(ctx context.Context, id string, c git.Command, one bool) (all []core.ObjectID, err error) {
	out, err := r.git.Stream(ctx, c)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	lines := bufio.NewScanner(out)
	const batch = 1000
	var ids []core.ObjectID
	for more := true; more; {
		if more = lines.Scan(); more {
			ids = append(ids, core.ObjectID(lines.Text()))
		}
		if len(ids) < batch && more {
			continue
		}
		found, err := r.store.Forgotten(ctx, id, ids)
		if err != nil {
			return nil, err
		}
		if all = append(all, found...); one && len(all) > 0 {
			return all, nil
		}
		ids = ids[:0]
	}
	if err := errors.Join(lines.Err(), out.Wait()); err != nil {
		return nil, fmt.Errorf("%w: %w", errWalk, err)
	}
	return all, nil
}

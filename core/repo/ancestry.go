package repo

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/progress"
)

// nearby is how many commits a look at ancestry reads by itself before it
// starts git: pushes and most syncs bring fewer on a branch.
const nearby = 32

// maxCommit is the size in bytes of a commit that is read for its parents; git
// is asked about a larger one.
const maxCommit = 64 << 10

// Descends reports whether a commit has another among its ancestors, or is it.
// Following first parents for a while answers for a usual push without starting
// a process. Errors: an object is missing, or ctx ended.
func (r *Repos) Descends(ctx context.Context, id string, from, to core.ObjectID) (bool, error) {
	if from == to {
		return true, nil
	}
	dir := r.Path(id)
	if r.objects != nil {
		at := to
		for range nearby {
			found, err := r.objects.Contents(ctx, dir, maxCommit, string(at))
			if err != nil || len(found) != 1 || found[0].Type != "commit" {
				break // git says it better
			}
			parents := parentsOf(found[0].Data)
			for _, p := range parents {
				if p == from {
					return true, nil
				}
			}
			if len(parents) == 0 {
				break // a root; another branch of a merge may still lead there
			}
			at = parents[0]
		}
	}
	return r.git.IsAncestor(ctx, dir, from, to)
}

// parentsOf reads the parents out of a commit object, see git-commit-tree(1):
// they follow the tree in the header.
func parentsOf(commit []byte) []core.ObjectID {
	var parents []core.ObjectID
	for line := range bytes.Lines(commit) {
		word, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		switch word {
		case "tree":
		case "parent":
			parents = append(parents, core.ObjectID(value))
		default:
			return parents
		}
	}
	return parents
}

// many is from how many moves on one walk is made for all of them first.
const many = 64

// Forced returns the names of the updates that move a ref to where its old
// value is not part of its history. A tag that moves always does. Creations and
// deletions are not among them. Errors: an object is missing, or ctx ended.
func (r *Repos) Forced(ctx context.Context, id string, updates []core.RefUpdate) (map[string]bool, error) {
	forced := map[string]bool{}
	var moves []core.RefUpdate
	for _, u := range updates {
		switch {
		case u.Old.IsZero(), u.New.IsZero(), u.Old == u.New:
		case strings.HasPrefix(u.Name, "refs/tags/"):
			forced[u.Name] = true
		default:
			moves = append(moves, u)
		}
	}
	left := map[core.ObjectID]bool{}
	if len(moves) >= many {
		var err error
		if left, err = r.leftBehind(ctx, id, moves); err != nil {
			return nil, err
		}
	}
	for _, u := range moves {
		if left[u.Old] {
			forced[u.Name] = true
			continue
		}
		ok, err := r.Descends(ctx, id, u.Old, u.New)
		if err != nil {
			return nil, err
		}
		if !ok {
			forced[u.Name] = true
		}
	}
	return forced, nil
}

// leftBehind returns the old values that are part of no new value's history,
// whichever update that belongs to: all of them in one walk. Where a whole
// repository was rewritten, that is every one.
func (r *Repos) leftBehind(ctx context.Context, id string, moves []core.RefUpdate) (map[core.ObjectID]bool, error) {
	old := make(map[core.ObjectID]bool, len(moves))
	var in strings.Builder
	for _, u := range moves {
		old[u.Old] = true
		in.WriteString(string(u.Old) + "\n^" + string(u.New) + "\n")
	}
	left := map[core.ObjectID]bool{}
	lines := progress.NewLineWriter(func(line []byte, _ bool) {
		if old[core.ObjectID(line)] {
			left[core.ObjectID(line)] = true
		}
	})
	err := r.git.Run(ctx, git.Command{
		Name: "rev-list", Dir: r.Path(id), Flags: []string{"--stdin"}, Stdin: strings.NewReader(in.String()), Stdout: lines,
	})
	_ = lines.Close() // it has no error of its own
	if err != nil {
		return nil, fmt.Errorf("look for what updates leave behind: %w", err)
	}
	return left, nil
}

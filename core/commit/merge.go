package commit

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
)

// Strategy says what kind of merge a caller wants.
type Strategy string

// The strategies.
const (
	StrategyMerge             Strategy = "merge"     // always a merge commit, unless there is nothing to merge
	StrategyFastForwardOnly   Strategy = "ff_only"   // move the target, or refuse
	StrategyPreferFastForward Strategy = "ff_prefer" // move the target if that can be, else a merge commit
)

// mergeTimeout bounds what one merge may take from the others.
const mergeTimeout = 2 * time.Minute

// Merge is the wish to merge.
type Merge struct {
	Caller
	Signed
	Source          string // any revision
	SourceEphemeral bool
	Target          string // short name of a branch
	TargetEphemeral bool
	Strategy        Strategy
	Squash          bool   // one commit whose only parent is the target's tip
	AllowUnrelated  bool   // merge histories that share no commit
	Expected        string // where Target must be; see pin
}

// Outcome says what a merge did.
type Outcome string

// The outcomes.
const (
	OutcomeMergeCommit Outcome = "merge_commit"
	OutcomeFastForward Outcome = "fast_forward"
	OutcomeNothing     Outcome = "no_op"
	OutcomeSquash      Outcome = "squash"
)

// Merged is a merge that was made.
type Merged struct {
	Outcome  Outcome
	Tree     core.ObjectID // of the target now
	Source   core.ObjectID
	Old, New core.ObjectID // the target before and now
	Base     core.ObjectID // the merge base; "" if there is none
	Promoted int           // commits of the source that the target did not have
}

// Conflict says what kept a merge from being made.
type Conflict string

// The conflicts.
const (
	ConflictContent Conflict = "merge_conflict" // the changes do not go together
	ConflictMoved   Conflict = "target_moved"   // the target is not where it was
)

// MergeError is a merge that could not be made. Its kind is that of Err.
type MergeError struct {
	Conflict Conflict
	Paths    []string // in conflict, in git's order
	Base     core.ObjectID
	Err      error
}

// Error gives the reason.
func (e *MergeError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *MergeError) Unwrap() error { return e.Err }

func (m Merge) ref() string { return "refs/heads/" + m.Target }

// check checks everything that needs no repository. Errors: KindInvalid.
func (m Merge) check() error {
	switch m.Strategy {
	case StrategyMerge, StrategyPreferFastForward:
	case StrategyFastForwardOnly:
		if m.Squash {
			return core.Errorf(core.KindInvalid, "squash makes a commit, which the strategy ff_only forbids")
		}
	case "":
		return core.Errorf(core.KindInvalid, "strategy is required: merge, ff_only or ff_prefer")
	default:
		return core.Errorf(core.KindInvalid, "strategy %q is not one of merge, ff_only and ff_prefer", m.Strategy)
	}
	if m.Source == "" {
		return core.Errorf(core.KindInvalid, "source_branch is required")
	}
	if err := checkBranch("target_branch", m.Target); err != nil {
		return err
	}
	return m.Signed.check()
}

// Merge merges a source into a target branch. The source is the commit that it
// was at the beginning, however often the target moves meanwhile. Errors:
// KindInvalid, also if a commit must be made and message or author are missing;
// KindNotFound for source and target; a [*MergeError] of KindConflict,
// KindPrecondition or KindStale; and those of [RefWriter].
func (s *Service) Merge(ctx context.Context, m Merge) (Merged, error) {
	m.Target = shortName(m.Target)
	if err := m.check(); err != nil {
		return Merged{}, err
	}
	// The time of the merge counts from where it has a slot.
	if err := limit.Take(ctx, m.Repo.ID); err != nil {
		return Merged{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mergeTimeout, core.Errorf(core.KindTimeout, "the merge took longer than %s", mergeTimeout))
	defer cancel()
	ns := namespace(m.TargetEphemeral)
	if err := s.check(ctx, m.Caller, ns, core.RefUpdate{Name: m.ref(), Old: core.ObjectID(firstID(m.Repo)), New: core.ObjectID(firstID(m.Repo))}); err != nil {
		return Merged{}, err
	}
	var err error
	if m.Expected, err = s.pin(ctx, m.Repo, ns, m.ref(), m.Expected); err != nil {
		return Merged{}, err
	}
	source, err := s.resolveWhole(ctx, m.Repo, namespace(m.SourceEphemeral), m.Source)
	if err != nil {
		return Merged{}, err
	}
	ctx, unlock, err := s.turn(ctx, m.Caller, ns, m.ref())
	if err != nil {
		return Merged{}, err
	}
	defer unlock()
	p := s.newPack(m.Repo)
	defer p.close()
	for attempt := 1; ; attempt++ {
		merged, err := s.mergeOnce(ctx, m, p, ns, source)
		if err == nil {
			return merged, nil
		}
		if again(err, m.Caller, ns, m.ref(), m.Expected, attempt) {
			continue
		}
		if kind := core.KindOf(err); kind == core.KindStale || kind == core.KindPrecondition {
			err = &MergeError{Conflict: ConflictMoved, Base: merged.Base, Err: stale(err, m.Expected)}
		}
		return Merged{}, err
	}
}

// mergeOnce merges into the target as it is now. With an error it returns what
// it found out.
func (s *Service) mergeOnce(ctx context.Context, m Merge, p *pack, ns core.Namespace, source head) (Merged, error) {
	r := Merged{Source: source.commit, Tree: source.tree, New: source.commit}
	var err error
	if r.Old, err = s.ref(ctx, m.Repo, ns, m.ref()); err != nil {
		return r, err
	}
	if err := holds(m.Expected, "branch "+quote(m.Target), r.Old); err != nil {
		return r, err
	}
	if r.Old == "" {
		return r, core.Errorf(core.KindNotFound, "target branch %q does not exist", m.Target)
	}
	target, err := s.head(ctx, m.Repo, r.Old)
	if err != nil {
		return r, err
	}
	dir := s.repos.Path(m.Repo.ID)
	if r.Base, err = s.mergeBase(ctx, dir, r.Old, source.commit); err != nil {
		return r, err
	}
	if r.Base == source.commit {
		r.Outcome, r.Tree, r.New = OutcomeNothing, target.tree, r.Old
		return r, nil
	}
	if r.Promoted, err = s.count(ctx, dir, r.Old, source.commit); err != nil {
		return r, err
	}
	forward := r.Base == r.Old
	switch {
	case forward && !m.Squash && m.Strategy != StrategyMerge:
		r.Outcome = OutcomeFastForward
		return r, s.move(ctx, m.Caller, ns, core.RefUpdate{Name: m.ref(), Old: r.Old, New: r.New})
	case m.Strategy == StrategyFastForwardOnly:
		return r, &MergeError{Conflict: ConflictContent, Base: r.Base,
			Err: core.Errorf(core.KindConflict, "the target has commits that the source has not; it cannot be fast-forwarded")}
	case r.Base == "" && !m.AllowUnrelated:
		return r, &MergeError{Conflict: ConflictContent, Err: core.Errorf(core.KindConflict, "source and target share no commit; set allow_unrelated_histories to merge them")}
	case m.missing():
		return r, core.Errorf(core.KindInvalid, "a commit has to be made: commit_message and author are required")
	}
	if !forward {
		if r.Tree, err = s.mergeTrees(ctx, m, p, r); err != nil {
			return r, err
		}
	}
	r.Outcome = OutcomeMergeCommit
	parents := []core.ObjectID{r.Old, source.commit}
	if m.Squash {
		r.Outcome, parents = OutcomeSquash, parents[:1]
	}
	if r.New, err = p.add(typeCommit, m.encode(r.Tree, parents, s.clock.Now())); err != nil {
		return r, err
	}
	if err := s.store(ctx, dir, p); err != nil {
		return r, err
	}
	return r, s.move(ctx, m.Caller, ns, core.RefUpdate{Name: m.ref(), Old: r.Old, New: r.New})
}

// mergeBase returns the best common ancestor, "" if there is none.
func (s *Service) mergeBase(ctx context.Context, dir string, a, b core.ObjectID) (core.ObjectID, error) {
	out, err := s.git.Output(ctx, git.Command{Name: "merge-base", Dir: dir, Args: []string{string(a), string(b)}})
	if code, _, ok := exitCode(err); ok && code == 1 {
		return "", nil
	}
	return core.ObjectID(bytes.TrimSpace(out)), err
}

// count counts the commits that b has and a has not.
func (s *Service) count(ctx context.Context, dir string, a, b core.ObjectID) (int, error) {
	out, err := s.git.Output(ctx, git.Command{Name: "rev-list", Dir: dir, Flags: []string{"--count"}, Args: []string{string(a) + ".." + string(b)}})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(out)))
}

// mergeTrees merges two commits and returns the tree; new objects go into the
// pack. Errors: a [*MergeError] if the changes do not go together.
func (s *Service) mergeTrees(ctx context.Context, m Merge, p *pack, r Merged) (core.ObjectID, error) {
	q, err := s.newQuarantine(s.repos.Path(m.Repo.ID))
	if err != nil {
		return "", err
	}
	defer q.close() //nolint:errcheck // the next start removes what is left
	base := r.Base
	if base == "" {
		base = treeobject.Empty(r.Old)
	}
	// A merge goes into every folder that one of the sides changed.
	if err := s.unfold.CheckDiff(ctx, s.repos.Path(m.Repo.ID), "merge in smaller steps", [2]string{string(base), string(r.Old)}, [2]string{string(base), string(r.Source)}); err != nil {
		return "", err
	}
	var out bytes.Buffer
	// --no-messages: the paths are what callers can use; git's sentences about
	// them are not stable.
	flags := []string{"--write-tree", "-z", "--name-only", "--no-messages"}
	if m.AllowUnrelated {
		flags = append(flags, "--allow-unrelated-histories")
	}
	err = s.git.Run(ctx, q.command(git.Command{
		Name: "merge-tree", Flags: flags, Args: []string{string(r.Old), string(r.Source)}, Stdout: &out,
	}))
	fields := strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00")
	if code, _, ok := exitCode(err); ok && code == 1 {
		paths := []string{}
		for _, path := range fields[1:] {
			if path != "" {
				paths = append(paths, path)
			}
		}
		return "", &MergeError{Conflict: ConflictContent, Paths: paths, Base: r.Base, Err: core.Errorf(core.KindConflict, "merge conflict in %s", core.Count(len(paths), "path"))}
	}
	if err != nil {
		return "", fmt.Errorf("merge trees: %w", err)
	}
	tree := core.ObjectID(strings.TrimSpace(fields[0]))
	if !tree.Valid() {
		return "", fmt.Errorf("merge trees: git answered %q", fields[0])
	}
	return tree, q.collect(p)
}

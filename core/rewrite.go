package core

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// KeptPrefix holds the old tips of rewritten refs, each under the id of its
// [Rewrite]. It is internal: never advertised, never pushed.
const KeptPrefix = InternalPrefix + "kept/"

// RewriteState is the state of a rewrite.
type RewriteState string

// The states of a rewrite.
const (
	RewriteFollowed  RewriteState = "followed"  // the ref moved; nothing was kept
	RewriteRetained  RewriteState = "retained"  // the ref moved; the old tip is kept until ExpiresAt
	RewriteHeld      RewriteState = "held"      // the ref has not moved; a person decides
	RewriteFrozen    RewriteState = "frozen"    // the ref does not move, by policy
	RewriteApproved  RewriteState = "approved"  // was held; a person let it through
	RewriteDismissed RewriteState = "dismissed" // a person wants no more of it: a held ref stays, a kept tip is let go
	RewriteReplaced  RewriteState = "replaced"  // was held; the upstream moved the ref again, or back
	RewriteRestored  RewriteState = "restored"  // the old tip was made a branch again
	RewriteExpired   RewriteState = "expired"   // the old tip is not kept any more
)

// Rewrite is a forced move or a deletion of a mirrored ref: one row of the ref
// journal. Rows are never deleted before their repository is.
type Rewrite struct {
	ID        string // "rw_" and a ULID
	RepoID    string
	JournalID string // of the move; "" while held
	Ref       string // full name
	Old       ObjectID
	New       ObjectID // zero: deleted
	Source    Source
	Actor     string // token subject, or [SystemSubject]
	State     RewriteState
	Bytes     int64     // what the kept tip alone holds, as counted last; 0 unknown
	CreatedAt time.Time // when it was noticed
	DecidedAt time.Time // when a person decided, or it ended
	DecidedBy string    // token subject
	ExpiresAt time.Time // of a retained tip
	Restored  string    // branch that the tip was restored as
	// AwaitsLFS is set for a held one that loses no history: it is held until the LFS
	// objects of the new tip are here. Old is zero for a ref that is not here yet.
	AwaitsLFS bool
}

// KeptRef returns the hidden ref that holds the old tip.
func (r Rewrite) KeptRef() string { return KeptPrefix + r.ID }

// HoldReason says why the ref is not where the upstream has it, and what to do, of
// one that is held, frozen or dismissed.
func (r Rewrite) HoldReason() string {
	did := fmt.Sprintf("the upstream has moved %s to %.12s", r.Ref, r.New)
	if r.New.IsZero() {
		did = "the upstream has deleted " + r.Ref
	}
	if r.AwaitsLFS {
		return fmt.Sprintf("%s, and it follows when the LFS objects of that are here: approve %s to have it follow now", did, r.ID)
	}
	switch r.State {
	case RewriteFrozen:
		return fmt.Sprintf("%s, and a policy freezes it at %.12s: change the policy to let it through", did, r.Old)
	case RewriteDismissed:
		return fmt.Sprintf("%s, and %s has dismissed that (%s): it stays at %.12s until the upstream moves it again", did, cmp.Or(r.DecidedBy, "a person"), r.ID, r.Old)
	}
	return fmt.Sprintf("%s, and a policy holds it at %.12s: approve %s to let it through", did, r.Old, r.ID)
}

// RewriteFilter selects rewrites of one repository, newest first.
type RewriteFilter struct {
	RepoID string
	Ref    string         // "" is all
	States []RewriteState // empty is all
	Before string         // cursor: only ids below; "" starts at the newest
	Limit  int            // must be positive
}

// NewestHeld returns the question about each ref that keeps it where it is,
// answered or not, of what [RewriteStore.HeldRewrites] lists.
func NewestHeld(rows []Rewrite) map[string]Rewrite {
	newest := make(map[string]Rewrite, len(rows))
	for _, row := range rows {
		// A dismissed one with a journal entry was a kept tip, not a question.
		if row.JournalID == "" && row.ID > newest[row.Ref].ID {
			newest[row.Ref] = row
		}
	}
	return newest
}

// RewriteStore keeps the ref journal.
type RewriteStore interface {
	// AddRewrite inserts; KindConflict: the id is there already.
	AddRewrite(ctx context.Context, r Rewrite) error
	Rewrite(ctx context.Context, repoID, id string) (Rewrite, error)
	Rewrites(ctx context.Context, f RewriteFilter) ([]Rewrite, error)
	// SaveRewrite writes state, journal id, new id, bytes, decision, expiry and Restored.
	SaveRewrite(ctx context.Context, r Rewrite) error
	// HeldRewrites lists the held and frozen ones of a repository, and the
	// dismissed ones whose ref still differs from the upstream: the newest of
	// each ref.
	HeldRewrites(ctx context.Context, repoID string) ([]Rewrite, error)
	// ExpiredRewrites lists retained ones that expired by now, of all
	// repositories, at most limit.
	ExpiredRewrites(ctx context.Context, now time.Time, limit int) ([]Rewrite, error)
}

package core

import (
	"context"
	"time"
)

// LFSPending is an object that a repository with [LFSMirror] has still to fetch.
type LFSPending struct {
	LFSObject
	// Path is where it is in the repository, or one of the places.
	Path     string
	FoundAt  time.Time
	Attempts int       // that failed
	NextAt   time.Time // when it is tried next; zero: at once
	// Missing is set once the host has said that it does not have the object. It is
	// asked for again all the same.
	Missing bool
	Class   ErrorClass // of the last attempt; "" before the first
	Error   string     // of it, in the host's words
}

// LFSBacklog sums up what a repository with [LFSMirror] has still to fetch. The zero
// value is that of one that fetches on demand.
type LFSBacklog struct {
	// Objects and Bytes wait to be fetched; Missing are those that the host says it does
	// not have, and Failing those of Objects whose last attempt failed. Missing ones are
	// not among Objects.
	Objects, Bytes, Failing, Missing int64
	OldestAt                         time.Time // when the first of Objects was found; zero: there is none
	NextAt                           time.Time // when the next one, missing or not, is due; zero: at once, or none is pending
	ScannedAt                        time.Time // when pointers were last looked for; zero: never
	// A round begins when pointers are found while nothing waits, and ends when nothing
	// waits any more. What it began with, and has found since; RoundAt is zero between two.
	RoundAt                  time.Time
	RoundObjects, RoundBytes int64
}

// LFSMirrorStore keeps what repositories with [LFSMirror] have still to fetch.
type LFSMirrorStore interface {
	// LFSMirrors lists the repositories whose settings say [LFSMirror], ids above after,
	// in order.
	LFSMirrors(ctx context.Context, after string, limit int) ([]string, error)
	// LFSTips returns the commits whose pointers have been looked for.
	LFSTips(ctx context.Context, repoID string) ([]ObjectID, error)
	// AddLFSPending records objects that are to be fetched, and returns how many are new:
	// neither here nor pending. KindNotFound: no such repository.
	AddLFSPending(ctx context.Context, repoID string, objects []LFSPending, at time.Time) (int, error)
	// EndLFSScan records that pointers have been looked for: come are tips whose pointers
	// were, gone those that count no more. KindNotFound: no such repository.
	EndLFSScan(ctx context.Context, repoID string, come, gone []ObjectID, at time.Time) error
	// DueLFSPending lists what is to be fetched by now: what was not tried yet first, then
	// the longest due.
	DueLFSPending(ctx context.Context, repoID string, now time.Time, limit int) ([]LFSPending, error)
	// PendingLFS lists all that is pending, ids above after, in order; with tried, only
	// what failed once, or is missing.
	PendingLFS(ctx context.Context, repoID string, tried bool, after string, limit int) ([]LFSPending, error)
	// PendingLFSOf returns those of the ids that are pending.
	PendingLFSOf(ctx context.Context, repoID string, oids []string) ([]LFSPending, error)
	// SaveLFSPending writes Attempts, NextAt, Missing, Class and Error of what is still
	// pending.
	SaveLFSPending(ctx context.Context, repoID string, objects []LFSPending) error
	// HurryLFSPending has all that is pending due at once.
	HurryLFSPending(ctx context.Context, repoID string) error
	LFSBacklog(ctx context.Context, repoID string) (LFSBacklog, error)
	// EndLFSRound ends the round under way. KindNotFound: there is none.
	EndLFSRound(ctx context.Context, repoID string) error
	// ClearLFSMirror forgets all of it.
	ClearLFSMirror(ctx context.Context, repoID string) error
}

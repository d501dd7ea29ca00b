package core

import (
	"context"
	"time"
)

// MirrorSet is an owner at a host whose repositories are mirrored all together.
type MirrorSet struct {
	ID           string // "mset_" and a ULID
	Org          string
	Provider     string // the word of the wire
	Public       bool   // without a credential, where the provider has both
	Host         string
	Owner        string
	Prefix       string   // of the names of its repositories here; "" is none
	Include      []string // patterns of paths below the owner; none: all
	Exclude      []string // patterns of paths below the owner
	Archived     bool     // archived repositories, too
	Forks        bool     // forks, too
	CredentialID string   // of a shared credential; "": none
	Follow       bool     // look again from time to time
	NextLookAt   time.Time
	LookedAt     time.Time // end of the last complete look; zero: there was none
	Failures     int       // looks in a row that failed
	LastError    string    // of the last look, redacted; "": it worked
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// MirrorAction is what a look decided of a repository.
type MirrorAction string

// The actions of a look.
const (
	MirrorCreate   MirrorAction = "create"   // it is to be made here
	MirrorKeep     MirrorAction = "keep"     // it is here
	MirrorMove     MirrorAction = "move"     // it is here, and the host has it at another path now
	MirrorSkip     MirrorAction = "skip"     // it is left out: Reason says why
	MirrorConflict MirrorAction = "conflict" // its name here is taken, or cannot be used
	MirrorFailed   MirrorAction = "failed"   // it could not be made; the next look tries again
	MirrorGone     MirrorAction = "gone"     // the host lists it no more; what is here stays
)

// MirrorEntry is one repository of a mirror set.
type MirrorEntry struct {
	SetID      string
	UpstreamID string
	Path       string // at the host
	Name       string // of the repository here, as it is or would be
	RepoID     string // "": there is none
	Action     MirrorAction
	Reason     string // one sentence; "" if there is nothing to say
	SeenAt     time.Time
	GoneAt     time.Time // zero: the host lists it

	// How the repository here is doing, when read.
	Exists    bool
	Ready     bool // it had a first sync
	Failures  int  // syncs in a row that failed
	LastClass ErrorClass
	LastError string
}

// MirrorSetStore keeps mirror sets.
type MirrorSetStore interface {
	// SaveMirrorSet makes a set or, if the organisation has one of the owner, replaces
	// what it wishes for. It returns the set as it is.
	SaveMirrorSet(ctx context.Context, s MirrorSet) (MirrorSet, error)
	MirrorSet(ctx context.Context, org, id string) (MirrorSet, error)
	// MirrorSets returns those of an organisation, by host and owner.
	MirrorSets(ctx context.Context, org string) ([]MirrorSet, error)
	// DueMirrorSets returns those with a NextLookAt until now, longest due first.
	DueMirrorSets(ctx context.Context, now time.Time) ([]MirrorSet, error)
	// NextMirrorLook returns the earliest NextLookAt; zero: there is none.
	NextMirrorLook(ctx context.Context) (time.Time, error)
	// RecordMirrorLook writes NextLookAt, LookedAt, Failures and LastError.
	RecordMirrorLook(ctx context.Context, s MirrorSet) error
	DeleteMirrorSet(ctx context.Context, org, id string) error
	// SaveMirrorEntry makes or replaces the entry of its set and upstream id.
	SaveMirrorEntry(ctx context.Context, e MirrorEntry) error
	// MirrorEntries returns the entries of a set by path.
	MirrorEntries(ctx context.Context, setID string) ([]MirrorEntry, error)
}

package lfs

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.LFSStore
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
}

var _ Store = (core.Store)(nil)

// Options configures [New]. All is required but Upstream, Failure,
// Room, Changed and Failpoint.
type Options struct {
	Dir   string // of objects; one server at a time
	Store Store
	// Upstream returns the LFS of a repository's upstream; nil: no upstream's is served.
	Upstream func(ctx context.Context, repo core.Repository) (Upstream, error)
	// Failure gives an error of Upstream its kind, see core/upstream: Failure.
	Failure func(op string, err error) error
	// Room is an error if nothing may be added to a repository.
	Room func(ctx context.Context, repo core.Repository) error
	// Changed is called when a repository has other objects than before.
	Changed   func(repoID string)
	Clock     core.Clock
	Logger    hclog.Logger
	Failpoint func(name string)
}

// Service serves the LFS objects and locks of repositories. It is safe for concurrent
// use.
type Service struct {
	o     Options
	files *Folder
	blobs Blobs

	// adopting is held for reading from when bytes are stored until the row that names
	// them is there, and for writing while an unused object is removed. It is held over
	// I/O, because that is what it guards.
	adopting sync.RWMutex

	// life ends with the service: a fetch goes on when the client that asked leaves.
	life    context.Context //nolint:containedctx // that of the service's own work
	end     context.CancelFunc
	working sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	fetches map[key]*fetch
	offers  map[key]offer
	proofs  map[OID]time.Time // when objects were last found sound
	locking turns             // of locks at upstreams

	proveFirst int64 // see the constant; less in tests
	// proving has a token for each object that is read to prove it.
	proving chan struct{}
}

// key names an object of a repository.
type key struct {
	repo string
	oid  OID
}

// New opens the folder of objects. What a crash left in the middle is removed.
func New(o Options) (*Service, error) {
	files, err := OpenFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Room == nil {
		o.Room = func(context.Context, core.Repository) error { return nil }
	}
	if o.Failure == nil {
		o.Failure = func(_ string, err error) error { return err }
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	if o.Failpoint == nil {
		o.Failpoint = func(string) {}
	}
	s := &Service{o: o, files: files, blobs: files, fetches: map[key]*fetch{}, offers: map[key]offer{}, proofs: map[OID]time.Time{}, proveFirst: proveFirst, proving: make(chan struct{}, proofsAtOnce)}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Close ends the fetches that run. It may be called twice.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.working.Wait()
	return nil
}

// Answer is what may be done with one object of a batch.
type Answer struct {
	Pointer Pointer
	// Err says why it cannot be transferred: KindNotFound, KindInvalid, or what the
	// upstream says. nil: it can be.
	Err error
	// Present is set for an upload if the object is here already, and at the upstream.
	Present bool
}

// Check is KindNotFound if the repository's LFS is switched off.
func (s *Service) Check(ctx context.Context, repo core.Repository) error {
	settings, err := s.o.Store.Settings(ctx, repo.ID)
	if err != nil {
		return err
	}
	if settings.LFS == core.LFSOff {
		return core.Errorf(core.KindNotFound, "Git LFS is switched off for repository %q: set lfs to %q to have it", repo.Name, core.LFSOnDemand)
	}
	return nil
}

// has returns which of the objects the repository has a row for and whose bytes are
// here. A row without bytes, as after a restored backup, is as none: the object can be
// fetched or uploaded again.
func (s *Service) has(ctx context.Context, repo core.Repository, objects []Pointer) (map[OID]int64, error) {
	var oids []string
	for _, p := range objects {
		oids = append(oids, string(p.OID))
	}
	rows, err := s.o.Store.HasLFSObjects(ctx, repo.ID, oids)
	if err != nil {
		return nil, err
	}
	have := make(map[OID]int64, len(rows))
	for _, row := range rows {
		switch size, err := s.blobs.Size(ctx, OID(row.OID)); {
		case core.KindOf(err) == core.KindNotFound:
		case err != nil:
			return nil, err
		case size != row.Size:
			s.o.Logger.Error("an LFS object has another size than was proven", "oid", row.OID, "size", size, "proven", row.Size)
		default:
			have[OID(row.OID)] = size
		}
	}
	return have, nil
}

// keep stores a proven draft and the row that says that the repository has it.
func (s *Service) keep(ctx context.Context, repo core.Repository, d *draft) error {
	s.adopting.RLock()
	defer s.adopting.RUnlock()
	if err := s.blobs.Adopt(ctx, d.want.OID, d.file.Name()); err != nil {
		return err
	}
	s.proven(d.want.OID)
	s.o.Failpoint("lfs-object-stored")
	rows := []core.LFSObject{{OID: string(d.want.OID), Size: d.want.Size}}
	if err := s.o.Store.AddLFSObjects(ctx, repo.ID, rows, s.o.Clock.Now()); err != nil {
		return err
	}
	s.o.Failpoint("lfs-object-recorded")
	s.o.Changed(repo.ID)
	return nil
}

// upstream returns the LFS of the repository's upstream, nil if it has no upstream.
// KindPrecondition: it must not be asked now.
func (s *Service) upstream(ctx context.Context, repo core.Repository) (Upstream, error) {
	switch {
	case repo.Upstream == nil:
		return nil, nil //nolint:nilnil // a local repository
	case repo.Paused():
		return nil, core.Errorf(core.KindPrecondition, "%s", core.PausedSentence)
	case s.o.Upstream == nil:
		return nil, core.Errorf(core.KindUnsupported, "this server does not reach the Git LFS of upstreams")
	}
	up, err := s.o.Upstream(ctx, repo)
	if err != nil {
		return nil, s.o.Failure("reach the LFS of the upstream", err)
	}
	return failing{up, s.o.Failure}, nil
}

// In returns the repository as the LFS of a namespace knows it. Ephemeral branches are this
// server's alone, and so is what they need: it goes to the upstream when it is pushed there.
func In(ns core.Namespace, repo core.Repository) core.Repository {
	if ns == core.Ephemeral {
		repo.Upstream = nil
	}
	return repo
}

// offer is what an upstream has answered of an object, to be used once.
type offer struct {
	transfer Transfer
	at       time.Time
}

const (
	// offerLife is how long an answer is used: clients come for the objects of a batch
	// one after the other.
	offerLife = 30 * time.Minute
	// maxOffers bounds the answers that are remembered; one that is not costs a batch
	// of its own.
	maxOffers = 50_000
)

// remember keeps what an upstream answered for the requests that follow a batch.
func (s *Service) remember(repo core.Repository, op Operation, transfers []Transfer) {
	now := s.o.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offers)+len(transfers) > maxOffers {
		clear(s.offers)
	}
	for _, t := range transfers {
		if t.Err == nil {
			s.offers[key{string(op) + " " + repo.ID, t.Pointer.OID}] = offer{t, now}
		}
	}
}

// offered returns what an upstream answered of an object and forgets it.
func (s *Service) offered(repo core.Repository, op Operation, p Pointer) (Transfer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{string(op) + " " + repo.ID, p.OID}
	o, ok := s.offers[k]
	delete(s.offers, k)
	return o.transfer, ok && o.transfer.Pointer.Size == p.Size && s.o.Clock.Now().Sub(o.at) < offerLife
}

// transferOf returns how an object is transferred to or from the upstream: as it has
// answered in a batch before, else as it answers now.
func (s *Service) transferOf(ctx context.Context, up Upstream, repo core.Repository, op Operation, p Pointer) (Transfer, error) {
	if t, ok := s.offered(repo, op, p); ok {
		return t, nil
	}
	return s.transfer(ctx, up, p, op)
}

// transfer asks the upstream about one object.
func (s *Service) transfer(ctx context.Context, up Upstream, p Pointer, op Operation) (Transfer, error) {
	all, err := up.Batch(ctx, op, "", []Pointer{p})
	if err != nil {
		return Transfer{}, err
	}
	return all[0], all[0].Err
}

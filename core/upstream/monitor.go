package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/singleflight"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/schedule"
)

// Checker asks hosts by their API what became of upstreams. [*Service] is one.
type Checker interface {
	Check(ctx context.Context, repo core.Repository) (Condition, error)
}

// Scheduler is what a [Monitor] needs of core/schedule.
type Scheduler interface {
	Request(ctx context.Context, repoID, trigger, ref string) (int64, error)
	Halt(ctx context.Context, repoID string) (resume func(), err error)
}

// MonitorStore is what a [Monitor] needs of the store. What it writes, it writes in
// transactions.
type MonitorStore interface {
	core.Transactor
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	SyncState(ctx context.Context, repoID string) (core.SyncState, error)
	CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error)
	SetUpstreamID(ctx context.Context, repoID, id string) error
	SetVisibility(ctx context.Context, repoID string, v core.Visibility) (bool, error)
}

// MonitorOptions configures [NewMonitor].
type MonitorOptions struct {
	Hosts    Checker
	Store    MonitorStore
	Schedule Scheduler
	Clock    core.Clock
	Logger   hclog.Logger
}

// Monitor knows what became of upstreams: which repository answers under the name
// that is followed, and in which state it is. It asks hosts, records their answers,
// and changes links. It is safe for concurrent use.
type Monitor struct {
	hosts    Checker
	store    MonitorStore
	schedule Scheduler
	clock    core.Clock
	log      hclog.Logger

	pauses *loop.Pauses // of the APIs of hosts that limit requests, by host

	mu         sync.Mutex
	identities map[string]*identity // by repository id, as the others
	rechecks   map[string]bool      // upstreams to ask the host about before their next run
	checkedAt  map[string]time.Time // when the host was last asked
	shared     singleflight.Group   // questions for the sake of writes
}

// NewMonitor returns a monitor that knows nothing yet.
func NewMonitor(o MonitorOptions) *Monitor {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Monitor{
		hosts: o.Hosts, store: o.Store, schedule: o.Schedule, clock: o.Clock, log: o.Logger.Named("upstream"),
		identities: map[string]*identity{}, rechecks: map[string]bool{}, checkedAt: map[string]time.Time{}, pauses: loop.NewPauses(o.Clock),
	}
}

// Forget drops what is known in memory of a repository's upstream.
func (m *Monitor) Forget(repoID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rechecks, repoID)
	delete(m.checkedAt, repoID)
	delete(m.identities, repoID)
}

// CredentialChanged requests a run with a new credential, so that one which does not
// work is noticed now. It returns before the upstream is asked. A repository whose
// first sync has not been requested yet is left alone.
func (m *Monitor) CredentialChanged(ctx context.Context, repoID string) error {
	m.mu.Lock()
	delete(m.identities, repoID) // what the old credential could ask says nothing of the new one
	m.mu.Unlock()
	state, err := m.store.SyncState(ctx, repoID)
	if err != nil || state.Served >= state.Wanted && !state.Ready() {
		return err
	}
	return m.requestWithCheck(ctx, repoID, schedule.TriggerCredential)
}

// CheckUpstream requests a run that asks the host what became of the upstream:
// renamed, archived, made private, deleted. It returns before the host has answered.
// Errors: KindNotFound if the repository is not synced.
func (m *Monitor) CheckUpstream(ctx context.Context, repoID string) error {
	return m.requestWithCheck(ctx, repoID, schedule.TriggerWebhook)
}

// requestWithCheck requests a run that asks the host about the upstream before it
// lists refs.
func (m *Monitor) requestWithCheck(ctx context.Context, repoID, trigger string) error {
	m.mu.Lock()
	m.rechecks[repoID] = true
	m.mu.Unlock()
	_, err := m.schedule.Request(ctx, repoID, trigger, "")
	return err
}

// takeRecheck reports whether the host must be asked about the upstream before its
// refs are listed. The next call reports false.
func (m *Monitor) takeRecheck(repoID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	recheck := m.rechecks[repoID]
	delete(m.rechecks, repoID)
	return recheck
}

package engine

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/rebuild"
)

// probePeriod is how long the answer of a probe of the disk holds: readiness is asked
// for often, and by anybody.
const probePeriod = 5 * time.Second

// Readiness knows whether requests can be served. It is safe for concurrent use.
type Readiness struct {
	store interface {
		Orgs(ctx context.Context) ([]core.Org, error)
	}
	rebuild *rebuild.Service
	disk    *disk
}

func newReadiness(store core.OrgStore, r *rebuild.Service, d *disk) *Readiness {
	return &Readiness{store: store, rebuild: r, disk: d}
}

// Check reports whether requests can be served: the store answers, and its disk is mounted
// as far as can be seen. KindDamaged: many repositories are missing at once. A disk that
// cannot be written is no reason: what is here is served all the same.
func (r *Readiness) Check(ctx context.Context) error {
	if _, err := r.store.Orgs(ctx); err != nil {
		return err
	}
	if problems, waiting := r.rebuild.Problems(); waiting {
		return core.Errorf(core.KindDamaged, "%s", problems[0])
	}
	return nil
}

// Writable returns why nothing can be written to the data directory, KindResource, and
// nil if that can be done.
func (r *Readiness) Writable() error { return r.disk.writable() }

// Problems returns what an operator has to look at although requests are served, in one
// sentence each.
func (r *Readiness) Problems() []string {
	problems, _ := r.rebuild.Problems()
	if err := r.disk.writable(); err != nil {
		problems = append(problems, core.MessageOf(err))
	}
	return problems
}

// disk knows whether the data directory can be written.
type disk struct {
	dir   string
	clock core.Clock

	mu     sync.Mutex
	probed time.Time
	err    error
}

// writable returns why nothing can be written to the data directory, nil if that can be
// done, as it was within the last [probePeriod].
func (d *disk) writable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.clock.Now(); d.probed.IsZero() || now.Sub(d.probed) >= probePeriod {
		d.err, d.probed = durable.Probe(d.dir), now
	}
	return d.err
}

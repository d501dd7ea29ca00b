package engine

import (
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// probePeriod is how long the answer of a probe of the disk holds: readiness is asked
// for often, and by anybody.
const probePeriod = 5 * time.Second

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

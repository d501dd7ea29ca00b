package mirror

import (
	"math/rand/v2"
	"time"

	"github.com/headwater-git/headwater/core"
)

// plan is how failures of one class are retried: from first, doubling, up to
// limit. No class ever stops: what people have to mend is tried every few
// hours, so that it resumes by itself once it is mended.
type plan struct{ first, limit time.Duration }

func planOf(class core.ErrorClass) plan {
	switch class {
	case core.ClassNetwork, core.ClassTimeout, core.ClassUnavailable:
		return plan{5 * time.Second, 10 * time.Minute}
	case core.ClassRateLimited:
		return plan{time.Minute, time.Hour}
	case core.ClassDiverged:
		return plan{time.Minute, 10 * time.Minute}
	case core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassRefused:
		return plan{time.Minute, 6 * time.Hour}
	case core.ClassResource:
		// Others that were at work may be done by then; a ceiling that is too low
		// stays so until the operator raises it and starts the server again.
		return plan{time.Minute, time.Hour}
	case core.ClassCorrupt, core.ClassTooLarge, core.ClassInternal:
		return plan{time.Minute, 6 * time.Hour}
	}
	return plan{time.Minute, 6 * time.Hour}
}

// backoff returns how long to wait after the n-th failure in a row (from 1),
// with a tenth of jitter so that many repositories do not come back together.
// What the host asked for is a lower bound, unless it is more than a day.
func backoff(class core.ErrorClass, n int, hostAsked time.Duration) time.Duration {
	p := planOf(class)
	d := p.limit
	if shift := n - 1; shift < 20 {
		d = min(p.first<<max(shift, 0), p.limit)
	}
	d += rand.N(d/10 + 1) //nolint:gosec // jitter needs no secrecy
	return max(d, min(hostAsked, 24*time.Hour))
}

package schedule

import (
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// retryPlan is how failures of one class are retried: after first, doubling up to
// limit. No class is given up: a failure that a person has to repair is retried
// every few hours, so that the repository resumes by itself after the repair.
type retryPlan struct{ first, limit time.Duration }

func planOf(class core.ErrorClass) retryPlan {
	switch class {
	case core.ClassNetwork, core.ClassTimeout, core.ClassUnavailable:
		return retryPlan{5 * time.Second, 10 * time.Minute}
	case core.ClassRateLimited:
		return retryPlan{time.Minute, time.Hour}
	case core.ClassDiverged:
		return retryPlan{time.Minute, 10 * time.Minute}
	case core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassRefused:
		return retryPlan{time.Minute, 6 * time.Hour}
	case core.ClassResource:
		// Other processes may have ended by then; a limit that is too low stays so
		// until the operator raises it and restarts the server.
		return retryPlan{time.Minute, time.Hour}
	case core.ClassCorrupt, core.ClassTooLarge, core.ClassInternal:
		return retryPlan{time.Minute, 6 * time.Hour}
	}
	return retryPlan{time.Minute, 6 * time.Hour}
}

// Backoff returns how long to wait after the n-th consecutive failure (n starts
// at 1), with up to a tenth of jitter so that many repositories do not come back
// together. hostAsked is the pause that the host asked for, a lower bound of up
// to a day.
func Backoff(class core.ErrorClass, n int, hostAsked time.Duration) time.Duration {
	p := planOf(class)
	return max(loop.Later(loop.Doubling(p.first, p.limit, n)), min(hostAsked, maxPause))
}

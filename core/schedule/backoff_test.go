package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestInvariant14_backoffNeverStops(t *testing.T) {
	t.Parallel()
	classes := []core.ErrorClass{
		core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRateLimited, core.ClassNetwork, core.ClassTimeout,
		core.ClassTooLarge, core.ClassRefused, core.ClassDiverged, core.ClassCorrupt, core.ClassUnavailable, core.ClassInternal, "new one",
	}
	for _, class := range classes {
		p := planOf(class)
		for _, n := range []int{1, 2, 10, 64, 1000, 1 << 30} {
			d := Backoff(class, n, 0)
			require.GreaterOrEqual(t, d, p.first, "%s %d", class, n)
			require.LessOrEqual(t, d, p.limit+p.limit/10, "%s %d", class, n)
		}
		require.Less(t, Backoff(class, 1, 0), p.first+p.first/10+2)
		require.Equal(t, 7*time.Hour, Backoff(class, 1, 7*time.Hour), "the host's wish is a lower bound")
		require.Equal(t, 24*time.Hour, Backoff(class, 1, 1000*time.Hour), "within reason")
	}
}

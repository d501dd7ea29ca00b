package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// Readiness says that nothing can be written, looks again after a while, and leaves no
// file behind.
func TestDisk_writable(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	d := &disk{dir: filepath.Join(t.TempDir(), "tmp"), clock: clock}
	err := d.writable()
	require.Equal(t, core.KindResource, core.KindOf(err))
	require.Contains(t, core.MessageOf(err), "the folder tmp of the data directory cannot be written")
	require.NoError(t, os.Mkdir(d.dir, 0o700))
	require.Error(t, d.writable(), "not at every request")
	clock.Advance(probePeriod + time.Second)
	require.NoError(t, d.writable())
	left, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

package servertest

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BrowserProfile returns an empty folder for the profile of a browser that the test starts
// after this call. It goes at the end of the test, when the browser's last process has:
// those write for a moment after the browser has ended, and [testing.T.TempDir] fails the
// test then.
func BrowserProfile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser-")
	require.NoError(t, err)
	t.Cleanup(func() {
		// A late process makes the folder again, so it has to stay away for half a second.
		gone := 0
		require.Eventually(t, func() bool {
			if _, err := os.Stat(dir); os.IsNotExist(err) {
				gone++
			} else {
				gone = 0
			}
			return os.RemoveAll(dir) == nil && gone >= 5
		}, time.Minute, 100*time.Millisecond)
	})
	return dir
}

package push

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Git says no reason when it cannot make the folder of a quarantine: a write there tells.
func TestRefusalWriter_reason(t *testing.T) {
	t.Parallel()
	status := []byte("unpack " + noQuarantine + "\n")
	dir := t.TempDir()
	r := &refusalWriter{dir: dir}
	require.Contains(t, r.reason(status), "the folder objects of the data directory cannot be written")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "objects"), 0o700))
	r = &refusalWriter{dir: dir}
	require.Empty(t, r.reason(status), "git's own words stay")
}

package push_test

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

// A push that this machine has no room for is refused in a sentence that says what ran
// out, and leaves nothing.
func TestService_ReceivePack_shortage(t *testing.T) {
	t.Parallel()
	program, limit := coretest.LimitedGit(t, "receive-pack")
	b := newBench(t, coretest.Options{GitPath: program}, push.Options{})
	r := b.Local("local")
	clone, _ := b.seed(r, "refs/heads/main")
	before := b.Refs(r)
	var text string
	for range 40 { // incompressible, and longer than the limit
		text += rand.Text()
	}
	id := coretest.Commit(t, clone, text)
	require.NoError(t, os.WriteFile(limit, nil, 0o600))
	out, err := b.client(clone, r, string(id)+":refs/heads/large")
	require.Error(t, err)
	require.Contains(t, out, "remote unpack failed: a file in the folder "+r.ID+".git of the data directory reached the largest size that the system allows; the operator has to raise")
	require.NotContains(t, out, b.Dir)
	require.Equal(t, before, b.Refs(r))
	require.Empty(t, b.received())
	require.NoError(t, os.Remove(limit))
	out, err = b.client(clone, r, string(id)+":refs/heads/large")
	require.NoError(t, err, out)
}

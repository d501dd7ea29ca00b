package pktline

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// As long as git has printed nothing, nothing is on the wire that says it did.
func TestNewServiceWriter(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := NewServiceWriter(&out, "git-receive-pack")
	require.Empty(t, out.String())
	for _, text := range []string{"0005a", "0000"} {
		n, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
	require.Equal(t, "001f# service=git-receive-pack\n00000005a0000", out.String())
}

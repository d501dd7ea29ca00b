package serve

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/pktline"
)

// TestUploadPack_fewerHaves holds that git gets no more have lines of the older
// protocols than it has time for, and all of the rest as it was sent.
func TestUploadPack_fewerHaves(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	body := func(haves int) string {
		b := pktline.Appendf(nil, "want %s multi_ack_detailed no-done side-band-64k\n", head)
		b = append(b, pktline.FlushPacket...)
		for n := range haves {
			b = pktline.Appendf(b, "have %040x\n", n+1)
		}
		return string(pktline.Appendf(b, "done\n"))
	}
	for protocol, most := range map[string]int{"": maxHaves, "version=1": maxHaves, "version=2": 2 * maxHaves} {
		for _, haves := range []int{0, most, most + 1, 100_000} {
			text := body(haves)
			if protocol == "version=2" {
				text = "0012command=fetch\n" + strings.ReplaceAll(text, "0009done\n", "0000")
			}
			q, err := s.read(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: strings.NewReader(text)})
			require.NoError(t, err)
			thin := haves > maxHaves && protocol != "version=2"
			require.Equal(t, thin, q.thin, "%d in %q", haves, protocol)
			if thin {
				r, err := q.reader()
				require.NoError(t, err)
				got, err := io.ReadAll(newFewerHaves(r))
				require.NoError(t, err)
				require.Equal(t, body(maxHaves), string(got))
			}
			q.close()
		}
	}
	var out bytes.Buffer
	err := s.UploadPack(t.Context(), Fetch{Repo: local(), Body: strings.NewReader(body(100_000)), Out: func() io.Writer { return &out }})
	require.NoError(t, err)
	require.Contains(t, out.String(), "PACK", "the answer has what was wanted")
	require.Contains(t, out.String(), "0008NAK\n")
}

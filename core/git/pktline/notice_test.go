package pktline_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/pktline"
)

func TestNoticeWriter_Write_placesTheLine(t *testing.T) {
	t.Parallel()
	band := func(b byte, s string) string { return string(pktline.AppendSideband(nil, b, []byte(s))) }
	pkt := func(s string) string { return string(pktline.Appendf(nil, "%s", s)) }
	notice := band(pktline.BandProgress, "old copy\n")
	for _, test := range []struct{ name, in, want string }{
		{"v2 fetch", pkt("acknowledgments\n") + pkt("NAK\n") + pktline.DelimPacket + pkt("packfile\n") + band(2, "Counting") + band(1, "PACK...") + pktline.FlushPacket,
			pkt("acknowledgments\n") + pkt("NAK\n") + pktline.DelimPacket + pkt("packfile\n") + notice + band(2, "Counting") + band(1, "PACK...") + pktline.FlushPacket},
		{"v0 with side-band", pkt("NAK\n") + band(1, "PACK"), pkt("NAK\n") + notice + band(1, "PACK")},
		{"v0 without side-band", pkt("NAK\n") + "PACK0004binary", pkt("NAK\n") + "PACK0004binary"},
		{"listing", pkt("1234 refs/heads/main\n") + pktline.FlushPacket, pkt("1234 refs/heads/main\n") + pktline.FlushPacket},
		{"empty packet", pkt("") + band(1, "x"), pkt("") + notice + band(1, "x")},
		{"fatal", band(3, "no"), notice + band(3, "no")},
		{"cut in mid-header", "00", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 3, 7, 1 << 20} {
				var out bytes.Buffer
				w := pktline.NewNoticeWriter(&out, "old copy")
				in := test.in
				for len(in) > 0 {
					n, err := w.Write([]byte(in[:min(size, len(in))]))
					require.NoError(t, err)
					in = in[n:]
				}
				require.Equal(t, test.want, out.String(), "writes of %d bytes", size)
			}
		})
	}
}

func TestNoticeWriter_Write_cutsLongText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	_, err := pktline.NewNoticeWriter(&out, strings.Repeat("x", 5000)).Write(pktline.AppendSideband(nil, 1, []byte("P")))
	require.NoError(t, err)
	require.Equal(t, "03e8\x02", out.String()[:5], "1000 bytes are the most that every client takes")
}

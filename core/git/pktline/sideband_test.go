package pktline

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func TestAppendSideband_splits(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("abcdefg"), 30000)
	var got []byte
	longest := 0
	for r := NewReader(bytes.NewReader(AppendSideband(nil, BandProgress, data))); ; {
		_, payload, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Equal(t, BandProgress, payload[0])
		longest = max(longest, len(payload)+4)
		got = append(got, payload[1:]...)
	}
	require.Equal(t, 65520, longest)
	require.True(t, bytes.Equal(data, got))
}

const (
	idA = "1111111111111111111111111111111111111111"
	idB = "2222222222222222222222222222222222222222"
)

func pkts(lines ...string) string {
	var b []byte
	for _, l := range lines {
		if l == FlushPacket || l == DelimPacket {
			b = append(b, l...)
		} else {
			b = appendPacket(b, []byte(l))
		}
	}
	return string(b)
}

func TestParseReceiveCommands_heads(t *testing.T) {
	t.Parallel()
	zero := string(core.ZeroSHA1)
	cases := []struct {
		name string
		in   string
		rest string
		want ReceiveRequest
		kind core.Kind
	}{
		{
			name: "two commands", rest: "PACK....",
			in: pkts(zero+" "+idA+" refs/heads/a\x00 report-status-v2 side-band-64k atomic object-format=sha1 agent=git/2.39.5", idA+" "+idB+" refs/heads/b\n", FlushPacket),
			want: ReceiveRequest{
				Updates: []core.RefUpdate{
					{Name: "refs/heads/a", Old: core.ZeroSHA1, New: idA},
					{Name: "refs/heads/b", Old: idA, New: idB},
				},
				Capabilities: []string{"report-status-v2", "side-band-64k", "atomic", "object-format=sha1", "agent=git/2.39.5"},
			},
		},
		{
			name: "push options", rest: "PACK",
			in: pkts(zero+" "+idA+" refs/heads/a\x00push-options", FlushPacket, "ci.skip", "reviewer=a b", FlushPacket),
			want: ReceiveRequest{
				Updates:      []core.RefUpdate{{Name: "refs/heads/a", Old: core.ZeroSHA1, New: idA}},
				Capabilities: []string{"push-options"},
				PushOptions:  []string{"ci.skip", "reviewer=a b"},
			},
		},
		{
			name: "shallow", rest: "PACK",
			in: pkts("shallow "+idB, zero+" "+idA+" refs/heads/a\x00report-status", FlushPacket),
			want: ReceiveRequest{
				Updates:      []core.RefUpdate{{Name: "refs/heads/a", Old: core.ZeroSHA1, New: idA}},
				Capabilities: []string{"report-status"},
				Shallow:      []core.ObjectID{idB},
			},
		},
		{
			name: "capabilities behind a later command count too",
			in:   pkts(zero+" "+idA+" refs/heads/a", zero+" "+idA+" refs/heads/b\x00atomic", FlushPacket),
			want: ReceiveRequest{
				Updates: []core.RefUpdate{
					{Name: "refs/heads/a", Old: core.ZeroSHA1, New: idA},
					{Name: "refs/heads/b", Old: core.ZeroSHA1, New: idA},
				},
				Capabilities: []string{"atomic"},
			},
		},
		{name: "probe", in: FlushPacket, want: ReceiveRequest{}},
		{
			name: "signed", rest: "PACK",
			in:   pkts("push-cert\x00report-status", "certificate version 0.1\n", "\n", zero+" "+idA+" refs/heads/a\n", "push-cert-end\n", FlushPacket),
			want: ReceiveRequest{Capabilities: []string{"report-status"}, Signed: true},
		},
		{name: "nothing", in: "", kind: core.KindInvalid},
		{name: "no flush", in: pkts(zero + " " + idA + " refs/heads/a"), kind: core.KindInvalid},
		{name: "open certificate", in: pkts("push-cert\x00", FlushPacket), kind: core.KindInvalid},
		{name: "no ref", in: pkts(zero+" "+idA, FlushPacket), kind: core.KindInvalid},
		{name: "short id", in: pkts("12 "+idA+" refs/heads/a", FlushPacket), kind: core.KindInvalid},
		{name: "ids of two formats", in: pkts(zero+" "+strings.Repeat("1", 64)+" refs/heads/a", FlushPacket), kind: core.KindInvalid},
		{name: "bad shallow", in: pkts("shallow x", FlushPacket), kind: core.KindInvalid},
		{name: "delimiter", in: DelimPacket, kind: core.KindInvalid},
		{name: "not pkt-lines", in: "PACK\x00\x00", kind: core.KindInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := bufio.NewReader(strings.NewReader(c.in + c.rest))
			got, err := ParseReceiveCommands(NewReader(body))
			require.Equal(t, c.kind, core.KindOf(err))
			if err != nil {
				return
			}
			c.want.Raw = []byte(c.in)
			require.Empty(t, cmp.Diff(c.want, got))
			rest, err := io.ReadAll(body)
			require.NoError(t, err)
			require.Equal(t, c.rest, string(rest))
		})
	}
}

func TestParseReceiveCommands_boundsTheHead(t *testing.T) {
	t.Parallel()
	line := pkts(string(core.ZeroSHA1) + " " + idA + " refs/heads/" + strings.Repeat("x", 60000))
	_, err := ParseReceiveCommands(NewReader(strings.NewReader(strings.Repeat(line, 600))))
	require.Equal(t, core.KindTooLarge, core.KindOf(err))
}

// What we report must be, byte for byte, what git itself reports.
func TestReceiveRequest_AppendReport_likeGit(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"report-status", "report-status-v2", "report-status side-band-64k", "report-status-v2 side-band-64k", "side-band-64k", ""} {
		t.Run("with "+caps, func(t *testing.T) {
			t.Parallel()
			dir := gittest.NewBare(t)
			a := gittest.AddCommit(t, dir, "refs/heads/a", "one")
			gittest.Run(t, dir, "update-ref", "refs/heads/b", a)
			gittest.Run(t, dir, "config", "receive.denyDeletes", "true")
			gittest.Run(t, dir, "config", "receive.denyDeleteCurrent", "ignore")
			zero := string(core.ZeroSHA1)
			in := pkts(
				zero+" "+a+" refs/heads/new\x00"+caps+" agent=test",
				a+" "+zero+" refs/heads/b",
				zero+" "+a+" refs/heads/also",
				FlushPacket) + emptyPack
			cmd := exec.CommandContext(t.Context(), "git", "receive-pack", "--stateless-rpc", dir)
			cmd.Env, cmd.Stdin = gittest.Env(), strings.NewReader(in)
			want, err := cmd.Output()
			require.NoError(t, err)
			// Leave band 2 out: it is git's talk, not the report.
			want = withoutProgress(t, want, strings.Contains(caps, "side-band-64k"))

			req, err := ParseReceiveCommands(NewReader(strings.NewReader(in)))
			require.NoError(t, err)
			got := req.AppendReport(nil, "ok", []RefReport{
				{Ref: "refs/heads/new"}, {Ref: "refs/heads/b", Reason: "deletion prohibited"}, {Ref: "refs/heads/also"},
			})
			require.Equal(t, string(want), string(got))
		})
	}
}

// emptyPack is a pack of no objects: version 2, count 0, SHA-1 of that.
const emptyPack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"

func withoutProgress(t *testing.T, in []byte, sideband bool) []byte {
	t.Helper()
	if !sideband {
		return in
	}
	var out []byte
	for r := NewReader(bytes.NewReader(in)); ; {
		kind, payload, err := r.Next()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		if kind == Flush {
			out = append(out, FlushPacket...)
		} else if payload[0] == BandData {
			out = appendPacket(out, payload)
		}
	}
}

func TestAppendReportStatus_keepsReasonsOnTheirLine(t *testing.T) {
	t.Parallel()
	got := AppendReportStatus(nil, "ok", []RefReport{{Ref: "refs/heads/a", Reason: "no\nok refs/heads/b"}})
	require.Equal(t, pkts("unpack ok\n", "ng refs/heads/a no ok refs/heads/b\n", FlushPacket), string(got))
}

func FuzzReceiveCommands(f *testing.F) {
	f.Add([]byte(pkts(string(core.ZeroSHA1)+" "+idA+" refs/heads/a\x00report-status push-options", FlushPacket, "o", FlushPacket) + "PACK"))
	f.Add([]byte(pkts("shallow "+idA, "push-cert\x00x", "push-cert-end\n", FlushPacket)))
	f.Add([]byte("0000"))
	f.Add([]byte("0004"))
	f.Fuzz(func(t *testing.T, in []byte) {
		stream := bytes.NewReader(in)
		req, err := ParseReceiveCommands(NewReader(stream))
		if !bytes.Equal(req.Raw, in[:len(in)-stream.Len()]) {
			t.Fatal("raw bytes and unread rest are not the whole")
		}
		if err != nil {
			return
		}
		for _, u := range req.Updates {
			if !u.Old.Valid() || !u.New.Valid() || u.Name == "" {
				t.Fatalf("bad update %+v", u)
			}
		}
		_ = req.Atomic()
	})
}

package serve

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// TestUploadPack_mistakes sends what has the form of a request and that
// upload-pack cannot make sense of: the client's fault, and no error of the server.
func TestUploadPack_mistakes(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	for _, line := range []string{
		"filter tree:x", "filter combine:", "filter combine:bl~b", "filter object:type=nope", "filter sparse:path=a", "filter blob:limit=x",
		"deepen 0", "deepen -1", "deepen-since x", "have x", "shallow x", "nonsense",
	} {
		var v0, v2 []byte
		v0 = pktline.Appendf(v0, "want %s filter\n", head)
		v0 = pktline.Appendf(v0, "%s\n", line)
		v2 = append(pktline.Appendf(v2, "command=fetch"), pktline.DelimPacket...)
		v2 = pktline.Appendf(v2, "want %s", head)
		v2 = pktline.Appendf(v2, "%s", line)
		v0 = append(v0, pktline.FlushPacket...)
		v0, v2 = pktline.Appendf(v0, "done\n"), append(pktline.Appendf(v2, "done"), pktline.FlushPacket...)
		for protocol, body := range map[string][]byte{"": v0, "version=2": v2} {
			if protocol == "" && line == "have x" {
				continue // no line of the part that it is in
			}
			err := s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: bytes.NewReader(body), Out: func() io.Writer {
				t.Errorf("%q %q was answered", line, protocol)
				return io.Discard
			}})
			require.Equal(t, core.KindInvalid, core.KindOf(err), "%q %q: %v", line, protocol, err)
		}
	}
	twice := pktline.Appendf(pktline.Appendf(nil, "command=fetch"), "command=ls-refs")
	unasked := append(pktline.Appendf(pktline.Appendf(nil, "want %s\n", head), "filter blob:none\n"), pktline.FlushPacket+"0009done\n"...)
	for protocol, body := range map[string][]byte{"": unasked, "version=2": append(twice, pktline.FlushPacket...)} {
		err := s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: bytes.NewReader(body), Out: func() io.Writer { return io.Discard }})
		require.Equal(t, core.KindInvalid, core.KindOf(err), "%q: %v", protocol, err)
	}
}

// TestUploadPack_filters holds that one request cannot combine filters without
// end: each costs a look at every object, and memory.
func TestUploadPack_filters(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	for spec, fine := range map[string]bool{
		"combine:blob:none+tree:3":                                                  true,
		"combine:" + strings.Repeat("tree:1+", 15) + "tree:1":                       true,
		"combine:" + strings.Repeat("tree:1+", 16) + "tree:1":                       false,
		"combine:combine:" + strings.Repeat("tree:1%2B", 16) + "tree:1":             false,
		"combine:combine:combine:" + strings.Repeat("tree:1%25%32b", 16) + "tree:1": false,
	} {
		v2 := append(pktline.Appendf(nil, "command=fetch"), pktline.DelimPacket...)
		v2 = pktline.Appendf(pktline.Appendf(v2, "want %s", head), "filter %s", spec)
		v0 := append(pktline.Appendf(pktline.Appendf(nil, "want %s filter\n", head), "filter %s\n", spec), pktline.FlushPacket...)
		for protocol, body := range map[string][]byte{"": pktline.Appendf(v0, "done\n"), "version=2": append(pktline.Appendf(v2, "done"), pktline.FlushPacket...)} {
			err := s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: bytes.NewReader(body), Out: func() io.Writer { return io.Discard }})
			if fine {
				require.NoError(t, err, "%q %q", spec, protocol)
				continue
			}
			require.ErrorContains(t, err, "more than 16 parts", "%q %q", spec, protocol)
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		}
	}
}

// TestUploadPack_prefixes holds that a listing heeds prefixes up to a number, and
// shows everything beyond, also where the request does not fit memory.
func TestUploadPack_prefixes(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	for count, all := range map[int]bool{1: false, maxPrefixes: false, maxPrefixes + 1: true, 60_000: true} {
		body := append(pktline.Appendf(nil, "command=ls-refs"), pktline.DelimPacket...)
		body = pktline.Appendf(body, "symrefs")
		for range count {
			body = pktline.Appendf(body, "ref-prefix refs/heads/other")
		}
		var out bytes.Buffer
		err := s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: bytes.NewReader(append(body, pktline.FlushPacket...)), Out: func() io.Writer { return &out }})
		require.NoError(t, err)
		require.Equal(t, all, strings.Contains(out.String(), head+" refs/heads/main"), "%d", count)
		require.Equal(t, all, strings.Contains(out.String(), "symref-target:refs/heads/main"), "the rest of the request stays")
		require.NotContains(t, out.String(), "secret")
	}
	require.Zero(t, s.spools.Load())
}

// TestUploadPack_unmet requests, in correct form, what does not exist: the client
// gets an error of the protocol, and the answer is complete.
func TestUploadPack_unmet(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	for _, line := range []string{"deepen-not nope", "deepen-not refs/heads/main", "deepen-since 4102444800"} {
		var v0, v2 []byte
		v0 = pktline.Appendf(v0, "want %s deepen-since deepen-not\n", head)
		v0 = append(pktline.Appendf(v0, "%s\n", line), pktline.FlushPacket...)
		v2 = append(pktline.Appendf(v2, "command=fetch"), pktline.DelimPacket...)
		v2 = pktline.Appendf(v2, "want %s", head)
		v2 = append(pktline.Appendf(pktline.Appendf(v2, "%s", line), "done"), pktline.FlushPacket...)
		for protocol, body := range map[string][]byte{"": pktline.Appendf(v0, "done\n"), "version=2": v2} {
			var out bytes.Buffer
			err := s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: bytes.NewReader(body), Out: func() io.Writer { return &out }})
			require.NoError(t, err, "%q %q", line, protocol)
			require.Contains(t, out.String(), "ERR upload-pack: ", "%q %q", line, protocol)
		}
	}
}

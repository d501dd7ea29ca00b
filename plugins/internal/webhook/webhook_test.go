package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestRefs_Add(t *testing.T) {
	t.Parallel()
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 64)
	tests := map[string]struct {
		name, before, after string
		ok                  bool
	}{
		"both":            {"refs/heads/main", one, one, true},
		"SHA-256":         {"refs/heads/main", two, two, true},
		"no id":           {"refs/heads/main", "", "", true},
		"absent":          {"refs/tags/v1", Absent, Absent, true},
		"short name":      {"main", one, one, false},
		"no name":         {"", one, one, false},
		"HEAD":            {"HEAD", one, one, false},
		"long name":       {"refs/heads/" + strings.Repeat("a", maxRefName), one, one, false},
		"null byte":       {"refs/heads/a\x00b", one, one, false},
		"short id":        {"refs/heads/main", one[:39], one, false},
		"upper case":      {"refs/heads/main", one, strings.Repeat("A", 40), false},
		"no hexadecimals": {"refs/heads/main", one, strings.Repeat("g", 40), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refs Refs
			err := refs.Add(test.name, test.before, test.after)
			if !test.ok {
				require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
				require.Empty(t, refs.Hints)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []providers.RefHint{{Name: test.name, Old: test.before, New: test.after}}, refs.Hints)
		})
	}
}

func TestRefs_Add_bounded(t *testing.T) {
	t.Parallel()
	var refs Refs
	for i := range MaxRefs {
		require.NoError(t, refs.Add("refs/heads/"+strconv.Itoa(i), "", Absent))
	}
	require.False(t, refs.Truncated)
	require.NoError(t, refs.Add("refs/heads/more", "", Absent))
	require.True(t, refs.Truncated)
	require.Len(t, refs.Hints, MaxRefs)
}

func TestSubject_About(t *testing.T) {
	t.Parallel()
	remote := &providers.Remote{Path: "acme/Widget", UpstreamID: "7"}
	byPath := &providers.Remote{Path: "acme/Widget"}
	tests := map[string]struct {
		subject Subject
		remote  *providers.Remote
		ok      bool
	}{
		"id":                        {Subject{ID: "7", Path: "acme/gadget"}, remote, true},
		"id of another":             {Subject{ID: "8", Path: "acme/Widget"}, remote, false},
		"path":                      {Subject{Path: "ACME/widget"}, remote, true},
		"path, id not known here":   {Subject{ID: "8", Path: "acme/widget"}, byPath, true},
		"path that was":             {Subject{Path: "acme/gadget", Former: "acme/widget"}, byPath, true},
		"path of another":           {Subject{Path: "acme/gadget"}, byPath, false},
		"case decides":              {Subject{Path: "acme/widget", ExactCase: true}, byPath, false},
		"case decides, and is same": {Subject{Path: "acme/Widget", ExactCase: true}, byPath, true},
		"instance":                  {Subject{Path: "acme/gadget"}, nil, true},
		"nothing":                   {Subject{}, nil, false},
		"nothing to compare":        {Subject{ID: "7"}, byPath, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.subject.About(test.remote)
			if test.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
		})
	}
}

func TestHeader_single(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-One": {"a"}, "X-Two": {"a", "b"}, "X-Empty": {""}}
	require.Equal(t, "a", Header(h, "x-one"))
	require.Empty(t, Header(h, "x-two"), "of two there is no telling which counts")
	require.Empty(t, Header(h, "x-none"))
	require.Equal(t, "a", FirstHeader(h, "x-none", "x-two", "x-empty", "x-one"))
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://Git.Example.org/acme/widget": "git.example.org",
		"http://127.0.0.1:3000/acme/widget":   "127.0.0.1:3000",
		"acme/widget":                         "",
		"":                                    "",
		"http://%zz/":                         "",
	} {
		require.Equal(t, want, HostOf(address), address)
	}
}

func TestDeliveryID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "7f3a-1", DeliveryID("7f3a-1"))
	for _, id := range []string{"", "a b", "a\nb", "caf\u00e9", strings.Repeat("a", maxDeliveryID+1)} {
		require.Empty(t, DeliveryID(id), id)
	}
}

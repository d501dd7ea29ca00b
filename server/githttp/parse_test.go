package githttp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func get(rawURL string) *http.Request {
	u, err := url.Parse("http://git.example.test" + rawURL)
	if err != nil {
		return nil
	}
	return &http.Request{Method: http.MethodGet, URL: u}
}

func TestParse(t *testing.T) {
	t.Parallel()
	upload, receive := "git-upload-pack", "git-receive-pack"
	for path, want := range map[string]*remote{
		"/r.git/info/refs?service=git-upload-pack":               {name: "r", service: upload, advertise: true},
		"/r.git/info/refs?service=git-receive-pack":              {name: "r", service: receive, advertise: true},
		"/r.git/info/refs":                                       {name: "r", advertise: true},
		"/r.git/info/refs?service=git-evil":                      {name: "r", service: "git-evil", advertise: true},
		"/r.git/git-upload-pack":                                 {name: "r", service: upload},
		"/r.git/git-receive-pack":                                {name: "r", service: receive},
		"/r.git/git-upload-pack?service=git-receive-pack":        {name: "r", service: upload},
		"/team/deep/er.git/git-upload-pack":                      {name: "team/deep/er", service: upload},
		"/team%2Fr.git/git-upload-pack":                          {name: "team/r", service: upload},
		"/r+ephemeral.git/git-receive-pack":                      {name: "r", service: receive, namespace: core.Ephemeral},
		"/team/r+import.git/git-receive-pack":                    {name: "team/r", service: receive, imports: true},
		"/r+ephemeral+import.git/git-receive-pack":               {name: "r+ephemeral", service: receive, imports: true},
		"/r+other.git/git-upload-pack":                           {name: "r+other", service: upload},
		"/r%2Bephemeral.git/git-upload-pack":                     {name: "r", service: upload, namespace: core.Ephemeral},
		"/a.git/b.git/git-upload-pack":                           {name: "a.git/b", service: upload},
		"/.git/git-upload-pack":                                  {name: "", service: upload},
		"/+ephemeral.git/git-upload-pack":                        {name: "", service: upload, namespace: core.Ephemeral},
		"/r/info/refs?service=git-upload-pack":                   {name: "r", service: upload, advertise: true},
		"/r/git-upload-pack":                                     {name: "r", service: upload},
		"/r+ephemeral/git-receive-pack":                          {name: "r", service: receive, namespace: core.Ephemeral},
		"/r+import/git-receive-pack":                             {name: "r", service: receive, imports: true},
		"/r/info/refs/info/refs":                                 {name: "r/info/refs", advertise: true},
		"/caf%C3%A9%20a%3Ab%7Cc%2B%252F.git/git-upload-pack":     {name: "caf\u00e9 a:b|c+%2F", service: upload},
		"/c++.git/git-upload-pack":                               {name: "c++", service: upload},
		"/apis/git-upload-pack":                                  {name: "apis", service: upload},
		"/api/v1/repos.git/git-upload-pack":                      {name: "api/v1/repos", service: upload},
		"/api/v1/repos/git-upload-pack":                          nil,
		"/webhooks/gitea/git-upload-pack":                        nil,
		"/r.git":                                                 nil,
		"/r.git/HEAD":                                            nil,
		"/r.git/objects/info/packs":                              nil,
		"/r.git/git-upload-archive":                              nil,
		"/r.git/info/refs/":                                      nil,
		"/api/v1/repos":                                          nil,
		"/api/repos/r.git%2Finfo%2Frefs?service=git-upload-pack": {name: "api/repos/r", service: upload, advertise: true},
		"/api/repos/r%2Finfo%2Frefs":                             nil,
		"/":                                                      nil,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := get(path)
			require.NotNil(t, r)
			got, ok := parse(r)
			require.Equal(t, want != nil, ok)
			require.Equal(t, ok, Match(r))
			if ok {
				require.Empty(t, cmp.Diff(*want, got, cmp.AllowUnexported(remote{})))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"/r.git/info/refs?service=git-upload-pack", "/a/b+ephemeral.git/git-receive-pack", "/%2e%2e/%00.git/git-upload-pack", "//.git/info/refs"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") {
			return // nothing else gets to a handler
		}
		r := get(path)
		if r == nil {
			return
		}
		m, ok := parse(r)
		if !ok {
			return
		}
		// What was cut off the path gives the path again.
		tail := "/" + m.service
		if m.advertise {
			tail = "/info/refs"
		}
		suffix := ""
		switch {
		case m.imports:
			suffix = "+import"
		case m.namespace == core.Ephemeral:
			suffix = "+ephemeral"
		}
		want := strings.TrimPrefix(r.URL.Path, "/")
		if m.name+suffix+tail != want && m.name+suffix+".git"+tail != want {
			t.Errorf("%q became %+v", r.URL.Path, m)
		}
		if strings.HasSuffix(m.name, "+ephemeral") && !m.imports && m.namespace == core.Default {
			t.Errorf("%q keeps its suffix: %+v", r.URL.Path, m)
		}
	})
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:1234": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		require.Equal(t, want, addressOf(&http.Request{RemoteAddr: remote}), remote)
	}
}

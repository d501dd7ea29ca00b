package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestParseUpstream_accepted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, address string
		want          upstreamRef
		id            string
	}{
		{"web URL", "https://github.com/octocat/Hello-World", upstreamRef{Host: "github.com", Owner: "octocat", Name: "Hello-World"}, "octocat/Hello-World"},
		{"clone URL", "https://github.com/octocat/Hello-World.git", upstreamRef{Host: "github.com", Owner: "octocat", Name: "Hello-World"}, "octocat/Hello-World"},
		{"slash at the end", "https://codeberg.org/river/delta/", upstreamRef{Host: "codeberg.org", Owner: "river", Name: "delta"}, "river/delta"},
		{"no scheme", "gitlab.com/group/app", upstreamRef{Host: "gitlab.com", Owner: "group", Name: "app"}, "group/app"},
		{"sub-groups", "https://gitlab.com/a/b/c/app.git", upstreamRef{Host: "gitlab.com", Owner: "a/b/c", Name: "app"}, "a/b/c/app"},
		{"page of a repository", "https://gitlab.com/a/b/app/-/tree/main", upstreamRef{Host: "gitlab.com", Owner: "a/b", Name: "app"}, "a/b/app"},
		{"scp-like", "git@github.com:octocat/Hello-World.git", upstreamRef{Host: "github.com", Owner: "octocat", Name: "Hello-World"}, "octocat/Hello-World"},
		{"ssh URL with port", "ssh://git@git.example.org:2222/team/app.git", upstreamRef{Host: "git.example.org", Owner: "team", Name: "app"}, "team/app"},
		{"port", "http://127.0.0.1:3000/team/app", upstreamRef{Host: "127.0.0.1:3000", Owner: "team", Name: "app"}, "team/app"},
		{"port without scheme", "127.0.0.1:3000/team/app", upstreamRef{Host: "127.0.0.1:3000", Owner: "team", Name: "app"}, "team/app"},
		{"upper case host", "https://GitHub.com/Octocat/Spoon", upstreamRef{Host: "github.com", Owner: "Octocat", Name: "Spoon"}, "Octocat/Spoon"},
		{"SourceHut", "https://git.sr.ht/~sircmpwn/aerc", upstreamRef{Host: "git.sr.ht", Owner: "~sircmpwn", Name: "aerc"}, "sircmpwn/aerc"},
		{"user name", "https://river@git.example.org/team/app", upstreamRef{Host: "git.example.org", Owner: "team", Name: "app", User: "river"}, "team/app"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseUpstream(tc.address)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tc.want, got))
			require.Equal(t, tc.id, got.DefaultID())
			require.NoError(t, core.ValidateRepositoryName(got.DefaultID()))
		})
	}
}

func TestParseUpstream_refused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, address, text string }{
		{"empty", "", "does not name a repository"},
		{"host alone", "https://github.com", "does not name a repository"},
		{"owner alone", "https://github.com/octocat", "no owner or no repository"},
		{"folder on GitHub", "https://github.com/octocat/Hello-World/tree/master", "no repositories inside folders"},
		{"query", "https://git.example.org/a/b?tab=readme", "does not name a repository"},
		{"fragment", "https://git.example.org/a/b#readme", "does not name a repository"},
		{"local path", "file:///srv/git/a.git", `a "file" address`},
		{"transport helper", "ext::sh -c evil/a/b", "does not name a repository"},
		{"password", "https://river:hunter2@git.example.org/a/b", "holds a password"},
		{"broken escape with a password", "https://river:hunter2@git.example.org/%zz/b", "not a URL"},
		{"dots", "https://git.example.org/../b/c", "does not name a repository"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseUpstream(tc.address)
			var step *stepError
			require.ErrorAs(t, err, &step)
			require.Contains(t, step.Error(), tc.text)
			require.NotContains(t, step.Error()+step.next, "hunter2")
			require.NotEmpty(t, step.next)
		})
	}
}

func FuzzParseUpstream(f *testing.F) {
	f.Add("https://github.com/octocat/Hello-World")
	f.Add("git@host:a/b.git")
	f.Add("a:1/b/c")
	f.Fuzz(func(t *testing.T, address string) {
		u, err := parseUpstream(address)
		if err != nil {
			return
		}
		require.NotEmpty(t, u.Host)
		require.NotEmpty(t, u.Owner)
		require.NotEmpty(t, u.Name)
		require.NotContains(t, u.Name, "/")
	})
}

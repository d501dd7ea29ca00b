package git

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// stalling makes a Git that waits only shortly for signs of life.
func stalling(t *testing.T, script string) *Git {
	t.Helper()
	g := newGit(t)
	if script != "" {
		g = scripted(t, script)
	}
	require.NotZero(t, g.stall, "this machine shows what processes do")
	g.stall = 2 * time.Second
	return g
}

func TestStart_endsAGitWhoseHostIsSilent(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	g := stalling(t, "")
	r := Remote{URL: srv.URL + "/x.git"}
	err := g.Run(t.Context(), Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r})
	var re *hosterror.Error
	require.ErrorAs(t, err, &re)
	require.Equal(t, core.ClassTimeout, re.Class)
	require.ErrorIs(t, err, hosterror.ErrStalled)
	require.Equal(t, "the host stopped answering", re.HostText)
}

func TestStart_signsOfLifeAreNoStall(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"keep-alives on stderr": `for i in 1 2 3 4 5 6 7 8; do echo . >&2; sleep 0.6; done`,
		"bytes on stdout":       `for i in 1 2 3 4 5 6 7 8; do echo .; sleep 0.6; done`,
		// A walk or the resolving of deltas says nothing; --foreground keeps it in
		// git's process group.
		"computing": `timeout --foreground 5 sh -c 'while :; do :; done'; exit 0`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := stalling(t, script+"\n")
			_, err := g.Output(t.Context(), Command{Name: "push", Remote: &Remote{URL: "https://host.example/x.git"}})
			require.NoError(t, err)
		})
	}
}

func TestStart_watchesOnlyWhatTalksToAHost(t *testing.T) {
	t.Parallel()
	g := stalling(t, "sleep 4\n")
	require.NoError(t, g.Run(t.Context(), Command{Name: "repack"}))
	var re *hosterror.Error
	require.True(t, errors.As(g.Run(t.Context(), Command{Name: "fetch", Remote: &Remote{URL: "https://host.example/x.git"}}), &re))
}

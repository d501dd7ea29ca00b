package git

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRefFailure_words holds that a fetch and a ref transaction are read by the
// same words, and a host's own are not.
func TestRefFailure_words(t *testing.T) {
	t.Parallel()
	const one, two = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	for _, c := range []struct {
		stderr           string
		contended, taken bool
	}{
		{"error: cannot lock ref 'refs/internal/tracking/heads/a': Unable to create '/r.git/refs/internal/tracking/heads/a.lock': File exists.\n\nAnother git process seems to be running in this repository\n", true, false},
		{"error: cannot lock ref 'refs/heads/a': is at " + one + " but expected " + two + "\n", true, false},
		{"error: cannot lock ref 'refs/heads/a': reference already exists\n", true, false},
		{"error: cannot lock ref 'refs/heads/a': reference is missing but expected " + one + "\n", true, false},
		{"error: cannot lock ref 'refs/heads/a': unable to resolve reference 'refs/heads/a': reference broken\n", true, false},
		{"error: fetching ref refs/heads/a failed: incorrect old value provided\n", true, false},
		{"error: fetching ref refs/heads/a failed: reference already exists\n", true, false},
		{"fatal: unable to lock packed-refs\n", true, false},
		{"error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'\n", false, true},
		{"error: fetching ref refs/heads/a/b failed: refname conflict\n", false, true},
		{"error: some local refs could not be updated; try running\n 'git remote prune /up.git' to remove any old, conflicting branches\n", false, true},
		{"remote: error: cannot lock ref 'refs/heads/a': reference already exists\nfatal: the remote end hung up unexpectedly\n", false, false},
		{"fatal: repository not found\n", false, false},
	} {
		err := fmt.Errorf("fetch: %w", &ExitError{Name: "fetch", Code: 1, Stderr: c.stderr})
		kind := refFailure(err)
		require.Equal(t, c.contended, kind == RefStale || kind == RefLocked, c.stderr)
		require.Equal(t, c.taken, NameTaken(err), c.stderr)
	}
	require.False(t, NameTaken(nil))
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("1", 40)
	for text, want := range map[string]bool{
		"fatal: remote error: upload-pack: not our ref " + id + "\n":                true,
		"fatal: remote error: want " + id + " not valid\n":                          true,
		"error: Server does not allow request for unadvertised object " + id + "\n": true,
		"fatal: couldn't find remote ref refs/heads/x\n":                            false,
		"fatal: unable to access 'https://git.example.org/a/': Timeout\n":           false,
	} {
		err := fmt.Errorf("fetch: %w", &ExitError{Name: "fetch", Code: 128, Stderr: text})
		require.Equal(t, want, Unavailable(err), text)
	}
	require.False(t, Unavailable(nil))
	require.False(t, Unavailable(errors.New("not our ref")), "nobody's words but git's")
}

package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/limit"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// newRepository makes an empty repository beside a folder for temporary files,
// and returns what runs git in it.
func newRepository(t *testing.T) (dir, temp string, run func(stdin string, args ...string) string) {
	t.Helper()
	root := t.TempDir()
	dir, temp = filepath.Join(root, "r.git"), filepath.Join(root, "tmp")
	require.NoError(t, os.Mkdir(temp, 0o700))
	run = func(stdin string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Stdin, cmd.Dir = strings.NewReader(stdin), root
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_DIR=" + dir,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	run("", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	return dir, temp, run
}

// newService serves one repository with one commit, whose id it returns.
func newService(t *testing.T, maxRequest int64) (_ *Service, temp, head string) {
	t.Helper()
	dir, temp, run := newRepository(t)
	head = run("", "commit-tree", "-m", "one", run("", "mktree"))
	for _, ref := range []string{"refs/heads/main", core.InternalPrefix + "secret", "refs/namespaces/ephemeral/refs/heads/draft"} {
		run("", "update-ref", ref, head)
	}
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	return New(Options{Git: g, Path: func(string) string { return dir }, TempDir: temp, MaxRequest: maxRequest}), temp, head
}

func local() core.Repository { return core.Repository{ID: "r", ObjectFormat: "sha1"} }

func TestAdvertise_hidesInternalRefs(t *testing.T) {
	t.Parallel()
	s, _, head := newService(t, 0)
	var out bytes.Buffer
	require.NoError(t, s.Advertise(t.Context(), local(), core.Default, "", &out))
	require.Contains(t, out.String(), head+" refs/heads/main")
	require.NotContains(t, out.String(), "secret")
	require.NotContains(t, out.String(), "draft")
	out.Reset()
	require.NoError(t, s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader("0014command=ls-refs\n0000"), Out: func() io.Writer { return &out }}))
	require.Contains(t, out.String(), head+" refs/heads/main")
	require.NotContains(t, out.String(), "secret")
	require.NotContains(t, out.String(), "draft")
}

// TestUploadPack_forms checks what counts as a request, without the process
// that would otherwise find out.
func TestUploadPack_forms(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t, 0)
	const want = "0032want 1111111111111111111111111111111111111111\n"
	for body, wrong := range map[string][2]string{ // for v0, for v2
		"":                          {"it is empty", "it is empty"},
		"0000":                      {"", ""},
		"000":                       {"within a packet", "within a packet"},
		"zzzz":                      {"no pkt-line", "no pkt-line"},
		"0003":                      {"no pkt-line", "no pkt-line"},
		"0001":                      {"what it wants", "what it wants"},
		want:                        {"end is missing", "end is missing"},
		want + "0000":               {"", ""},
		want + "00000009done\n":     {"", "end is missing"},
		want + "0009done\n":         {"end is missing", "end is missing"},
		want + "0000" + "0032have":  {"within a packet", "within a packet"},
		"0014command=ls-refs\n0000": {"what it wants", ""},
		"0014command=archive\n0000": {"what it wants", `no command "archive"`},
		"0011deepen 12345\n0000":    {"", ""},
	} {
		for i, protocol := range []string{"", "version=2"} {
			q, err := s.read(t.Context(), Fetch{Repo: local(), Protocol: protocol, Body: strings.NewReader(body)})
			if wrong[i] == "" {
				require.NoError(t, err, "%q %s", body, protocol)
				require.Equal(t, body == "0000", q.probe)
				continue
			}
			require.Equal(t, core.KindInvalid, core.KindOf(err), "%q %s", body, protocol)
			require.ErrorContains(t, err, wrong[i], "%q %s", body, protocol)
		}
	}
}

// TestUploadPack_bounds reads requests around the bounds of memory and size.
func TestUploadPack_bounds(t *testing.T) {
	t.Parallel()
	const most = 4 * inMemory
	s, temp, head := newService(t, most)
	end := "0032want " + head + "\n0009done\n0000"
	request := func(size int) string {
		// Arguments of any length fill it up; the last is whatever is missing.
		b := []byte("0011command=fetch0001")
		for rest := size - len(b) - len(end); rest > 0; rest = size - len(b) - len(end) {
			n := min(rest, 60_000)
			if left := rest - n; left > 0 && left < 50 {
				n -= 50
			}
			b = pktline.Appendf(b, "shallow %s%s", head, strings.Repeat(" ", n-4-len("shallow ")-len(head)))
		}
		return string(b) + end
	}
	for _, size := range []int{inMemory - 1, inMemory, inMemory + 1, most - 1, most} {
		body := request(size)
		require.Len(t, body, size)
		q, err := s.read(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader(body)})
		require.NoError(t, err)
		require.Equal(t, size >= inMemory, q.file != nil)
		r, err := q.reader()
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, body, string(got), "what git reads is what was sent")
		left, err := os.ReadDir(temp)
		require.NoError(t, err)
		require.Empty(t, left, "the file has no name")
		q.close()
	}
	_, err := s.read(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader(request(most + 1))})
	require.Equal(t, core.KindTooLarge, core.KindOf(err))
	broken := errors.New("broken")
	_, err = s.read(t.Context(), Fetch{Repo: local(), Body: io.MultiReader(strings.NewReader(request(inMemory+1)), failing{broken})})
	require.ErrorIs(t, err, broken)
	require.Zero(t, s.spools.Load(), "nothing is left of any")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestUploadPack_largeOnesAreCounted holds that one caller cannot fill the disk
// with requests that are still coming in.
func TestUploadPack_largeOnesAreCounted(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	who := limit.Caller{Organisation: "org", Key: "k"}
	const places = 12 // three quarters of a caller's sixteen
	ended := make(chan error, places)
	for range places {
		go func() {
			_, err := s.read(ctx, Fetch{Repo: local(), Caller: who, Body: io.MultiReader(strings.NewReader(strings.Repeat("a", inMemory)), waiting{ctx})})
			ended <- err
		}()
	}
	for s.spools.Load().Running < places {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
	}
	more := Fetch{Repo: local(), Caller: who, Protocol: "version=2", Body: strings.NewReader(strings.Repeat("a", inMemory+1))}
	_, err := s.read(t.Context(), more)
	require.Equal(t, core.KindRateLimited, core.KindOf(err))
	more.Body, more.Caller = strings.NewReader(strings.Repeat("a", inMemory+1)), limit.Caller{Organisation: "org", Key: "another"}
	_, err = s.read(t.Context(), more)
	require.Equal(t, core.KindInvalid, core.KindOf(err), "another one's is read")
	cancel()
	for range places {
		require.ErrorIs(t, <-ended, context.Canceled)
	}
	require.Zero(t, s.spools.Load())
}

// waiting is a body that nothing more comes of.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) { <-w.ctx.Done(); return 0, w.ctx.Err() }

package serve

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// TestUploadPack_ceiling lets pack-objects run out of memory: the message to
// the client says so, and does not mention corruption.
func TestUploadPack_ceiling(t *testing.T) {
	t.Parallel()
	dir, temp, run := newRepository(t)
	blob := run(strings.Repeat("0123456789abcde\n", 3<<20), "hash-object", "-w", "--stdin") // 48 MiB
	head := run("", "commit-tree", "-m", "one", run("100644 blob "+blob+"\tlarge\n", "mktree"))
	run("", "update-ref", "refs/heads/main", head)
	g, err := git.New(t.Context(), git.Options{Memory: git.Memory{Serve: 40 << 20}})
	require.NoError(t, err)
	var suspected []string
	s := New(Options{Git: g, Path: func(string) string { return dir }, TempDir: temp, Suspect: func(_, said string) { suspected = append(suspected, said) }})
	var out bytes.Buffer
	request := fmt.Sprintf("0011command=fetch00010032want %s\n0009done\n0000", head)
	err = s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader(request), Out: func() io.Writer { return &out }})
	require.Equal(t, core.KindResource, core.KindOf(err), "%v", err)
	require.Contains(t, out.String(), "Out of memory")
	require.Contains(t, out.String(), "\x03this server's memory limit for one fetch was hit; ask it for less.")
	require.NotContains(t, out.String(), "possible repository corruption")
	require.Empty(t, suspected)

	// A filter that looks at trees once for each path is not offered.
	out.Reset()
	request = fmt.Sprintf("0011command=fetch0001%04xfilter sparse:oid=%s0032want %s\n0009done\n0000", 4+len("filter sparse:oid=")+len(blob), blob, head)
	_ = s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader(request), Out: func() io.Writer { return &out }})
	require.Contains(t, out.String(), "filter 'sparse:oid' not supported")
}

// TestUploadPack_damage lets pack-objects come upon a damaged object: that raises a
// suspicion, by its own words, which upload-pack passes on as progress.
func TestUploadPack_damage(t *testing.T) {
	t.Parallel()
	dir, temp, run := newRepository(t)
	blob := run("some content\n", "hash-object", "-w", "--stdin")
	head := run("", "commit-tree", "-m", "one", run("100644 blob "+blob+"\tf\n", "mktree"))
	run("", "update-ref", "refs/heads/main", head)
	path := dir + "/objects/" + blob[:2] + "/" + blob[2:]
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[len(content)-1] ^= 1 // of zlib's sum
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, content, 0o600))
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	var suspected []string
	s := New(Options{Git: g, Path: func(string) string { return dir }, TempDir: temp, Suspect: func(_, said string) { suspected = append(suspected, said) }})
	var out bytes.Buffer
	request := fmt.Sprintf("0011command=fetch00010032want %s\n0009done\n0000", head)
	_ = s.UploadPack(t.Context(), Fetch{Repo: local(), Protocol: "version=2", Body: strings.NewReader(request), Out: func() io.Writer { return &out }})
	require.Len(t, suspected, 1, out.String())
	require.Contains(t, suspected[0], blob)
}

// Whatever git says of damage beside a shortage, before it or after it, is no suspicion.
func TestAnswer_suspicion(t *testing.T) {
	t.Parallel()
	const (
		damage = "fatal: packed object 1111111111111111111111111111111111111111 (stored in ./objects/pack/pack-1.pack) is corrupt\n"
		memory = "fatal: Out of memory, malloc failed (tried to allocate 50331649 bytes)\n"
		files  = "error: unable to open ./objects/pack/pack-1.pack: Too many open files\n"
	)
	for name, tt := range map[string]struct {
		said []string
		want bool
	}{
		"damage":                {[]string{damage}, true},
		"damage, then memory":   {[]string{damage, memory}, false},
		"memory, then damage":   {[]string{memory, damage}, false},
		"files, then damage":    {[]string{files, damage}, false},
		"damage among progress": {[]string{"Counting objects: 1\n", damage, "aborting\n"}, true},
		"neither":               {[]string{"Counting objects: 1\n"}, false},
	} {
		a := &answer{open: func() io.Writer { return io.Discard }}
		for _, text := range tt.said {
			_, err := fmt.Fprintf(a, "%04x%c%s", len(text)+5, pktline.BandProgress, text)
			require.NoError(t, err)
		}
		require.Equal(t, tt.want, a.suspicion() != "", "%s: %q", name, a.suspicion())
	}
}

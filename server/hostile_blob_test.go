package server_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // the name of objects
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// deltaBomb puts a chain of deltas into a client's repository, of a few hundred
// bytes on the wire: a blob of 64 KiB, one of 16 MiB that repeats it, and one of
// 80 MiB that repeats that. It returns the lines of a tree with them. So many
// small blobs are beside them that the server keeps the pack, with the deltas.
func deltaBomb(t *testing.T, c *servertest.Client) (lines string) {
	t.Helper()
	const small, middle, part, parts = 64 << 10, 16 << 20, 0xff0000, 5
	base := []byte(strings.Repeat("0123456789abcde\n", small/16))
	name := func(size int64, content io.Reader) string {
		h := sha1.New() //nolint:gosec // see above
		_, _ = fmt.Fprintf(h, "blob %d\x00", size)
		n, err := io.Copy(h, content)
		require.NoError(t, err)
		require.Equal(t, size, n)
		return hex.EncodeToString(h.Sum(nil))
	}
	repeated := bytes.Repeat(base, middle/small)
	pieces := make([]io.Reader, parts)
	for i := range pieces {
		pieces[i] = bytes.NewReader(repeated[:part])
	}
	ids := []string{name(small, bytes.NewReader(base)), name(middle, bytes.NewReader(repeated)), name(part*parts, io.MultiReader(pieces...))}

	const others = 100
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), 3+others)
	entry := func(kind byte, size int, ref string, content []byte) {
		head := kind<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			pack, head = append(pack, head|0x80), byte(size&0x7f)
		}
		pack = append(pack, head)
		raw, err := hex.DecodeString(ref)
		require.NoError(t, err)
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		_, err = z.Write(content)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		pack = append(append(pack, raw...), packed.Bytes()...)
	}
	delta := func(from, to int, op string, n int) []byte {
		d := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(from)), uint64(to))
		return append(d, strings.Repeat(op, n)...)
	}
	const blob, refDelta = 3, 7
	entry(blob, small, "", base)
	// Copy 64 KiB from the beginning; copy 0xff0000 bytes from there.
	first, second := delta(small, middle, "\x80", middle/small), delta(middle, part*parts, "\xc0\xff", parts)
	entry(refDelta, len(first), ids[0], first)
	entry(refDelta, len(second), ids[1], second)
	for i, id := range ids {
		lines += fmt.Sprintf("100644 blob %s\tdelta-%d\n", id, i)
	}
	for i := range others {
		content := fmt.Sprint(i)
		entry(blob, len(content), "", []byte(content))
		lines += fmt.Sprintf("100644 blob %s\tother-%d\n", name(int64(len(content)), strings.NewReader(content)), i)
	}
	sum := sha1.Sum(pack) //nolint:gosec // see above
	pack = append(pack, sum[:]...)
	require.Less(t, len(pack), 4000)
	cmd := c.Command(t.Context(), "index-pack", "--stdin")
	cmd.Stdin = bytes.NewReader(pack)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return lines
}

// zeros writes a blob of so many MiB of short lines into a client's repository:
// a thousandth of that on the wire.
func zeros(t *testing.T, c *servertest.Client, mib int) string {
	t.Helper()
	cmd := c.Command(t.Context(), "hash-object", "-w", "--stdin")
	cmd.Stdin = strings.NewReader(strings.Repeat("0123456789abcde\n", mib<<16))
	id, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(id))
}

// TestHostileReader_blobBombs has every read open contents that are much larger
// than what was pushed, many at the same time: each git stays below its ceiling,
// all together below what the places of one caller times the ceiling are, and
// others are served.
func TestHostileReader_blobBombs(t *testing.T) { //nolint:paralleltest // measures memory
	const ceiling, places, pool, times = 72 << 20, 3, 16, 2
	s := servertest.Start(t, servertest.Options{
		Limits: limit.Options{Ceilings: limit.Ceilings{Server: 8}, Waiting: 200},
		Memory: git.Memory{Read: ceiling, Serve: ceiling},
	})
	s.Create(t, "r")
	s.Create(t, "other")
	client := s.Client(t, "r").Clone("")
	base := client.Commit("base")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	quiet := s.Client(t, "other").Clone("")
	quiet.Commit("quiet")
	quiet.Git("push", "--quiet", s.Remote("other"), "HEAD:main")
	lines := client.Git("ls-tree", base) + "\n" + deltaBomb(t, client) + "100644 blob " + zeros(t, client, 80) + "\tzeros\n"
	head := pushTree(t, s, client, "bomb", base, lines)

	h := newHostile(t, s, "r")
	grep := func(path string) apiCall {
		return apiCall{http.MethodPost, "/grep?" + path, map[string]any{"ref": "bomb", "query": map[string]any{"pattern": "9z"}, "paths": []string{path}}}
	}
	blame := func(path string) apiCall {
		return apiCall{http.MethodGet, "/blame?ref=bomb&range=1,2&path=" + path, nil}
	}
	calls := []apiCall{
		grep("delta-2"), grep("zeros"), blame("delta-2"), blame("zeros"),
		{http.MethodGet, "/file?ref=bomb&path=delta-2", nil},
		{http.MethodGet, "/diff?sha=" + head, nil},
		{http.MethodGet, "/diff?path=delta-1&sha=" + head, nil},
		{http.MethodGet, "/files/metadata?ref=bomb", nil},
		{http.MethodPost, "/archive?delta-2", map[string]any{"ref": "bomb", "include_globs": []string{"delta-2"}}},
	}
	before, err := servertest.RSS()
	require.NoError(t, err)
	stop := servertest.WatchMemory()
	ctx, ended := context.WithCancel(t.Context())
	statuses := make(chan map[int]int, 1)
	go func() {
		seen := map[int]int{}
		defer func() { statuses <- seen }()
		for ctx.Err() == nil {
			seen[s.API(t, http.MethodGet, "other", "/files", nil).Status]++
		}
	}()
	outcomes := h.all(t, times, calls)
	ended()
	seen := <-statuses
	require.Positive(t, seen[http.StatusOK])
	require.Len(t, seen, 1, "a bystander is served each time: %v", seen)
	most := stop()
	after, err := servertest.RSS()
	require.NoError(t, err)
	refused := map[string]int{}
	for path, all := range outcomes {
		for _, o := range all {
			switch {
			case o.status == http.StatusServiceUnavailable:
				require.Contains(t, o.text, "git ran out of memory, of which it may have 72 MiB for this", path)
				refused[path]++
			case strings.HasPrefix(path, "/archive"):
				// It breaks off: what can be read comes first.
				require.True(t, o.err != nil || o.status == http.StatusOK, "%s: %d", path, o.status)
			default:
				require.NoError(t, o.err, path)
				require.Equal(t, http.StatusOK, o.status, "%s: %s", path, o.text)
			}
		}
	}
	for _, c := range calls[:5] {
		require.Equal(t, times, refused[c.path], "%s: a ceiling that nothing meets proves nothing", c.path)
	}
	require.Less(t, after-before, int64(150<<20))
	require.Less(t, most.Bytes, int64(places*ceiling+pool*8<<20))
	require.LessOrEqual(t, most.Processes, places+1+pool)
	t.Logf("at most %d MiB in %d gits; the server %d MiB more than before", most.Bytes>>20, most.Processes, (after-before)>>20)

	// A clone takes the deltas as they are.
	s.Client(t, "r").Clone("").Git("fetch", "--quiet", s.Remote("r"), "bomb")
}

// TestHostileReader_queries asks what is dear by the form of the question:
// patterns, globs and ranges.
func TestHostileReader_queries(t *testing.T) { //nolint:paralleltest // measures memory
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	client := s.Client(t, "r").Clone("")
	base := client.Commit("base")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	pushTree(t, s, client, "large", base, "100644 blob "+zeros(t, client, 2)+"\t"+strings.Repeat("a", 200)+"\n")
	path := strings.Repeat("a", 200)
	h := newHostile(t, s, "r")
	grep := func(pattern string, globs ...string) apiCall {
		return apiCall{http.MethodPost, "/grep?" + pattern + fmt.Sprint(len(globs)), map[string]any{
			"ref": "large", "query": map[string]any{"pattern": pattern}, "file_filters": map[string]any{"include_globs": globs},
		}}
	}
	stop := servertest.WatchMemory()
	for name, tt := range map[string]struct {
		call apiCall
		want []int
	}{
		"repetitions of repetitions": {grep("(((a{1,99}){1,99}){1,99}){1,99}"), []int{400}},
		"a large repetition":         {grep("(.{0,250}x){2}y"), []int{200, 400, 503, 504}},
		"many branches":              {grep("(" + strings.Repeat("(a|b|ab)*", 60) + ")*z"), []int{200, 400, 503, 504}},
		"a back-reference":           {grep("(a*)*b\\1"), []int{400}},
		"stars":                      {grep("9z", strings.Repeat("*a", 60)+"b", strings.Repeat("**/", 60)+"b"), []int{200, 400}},
		"alternatives":               {grep("9z", strings.Repeat("{a,b}", 60)), []int{200, 400}},
		"archive of stars":           {apiCall{http.MethodPost, "/archive", map[string]any{"ref": "large", "include_globs": []string{strings.Repeat("*a", 60) + "b"}}}, []int{200, 400}},
		"a diff of too many paths":   {apiCall{http.MethodGet, "/diff?sha=" + base + strings.Repeat("&path=a", 2000), nil}, []int{400}},
	} {
		o := h.call(t, tt.call)
		require.NoError(t, o.err, name)
		require.Contains(t, tt.want, o.status, "%s: %s", name, o.text)
	}
	ran := strings.Count(s.Log.String(), `"command":"cat-file"`)
	var ranges []string
	for i := range 1000 {
		ranges = append(ranges, fmt.Sprintf("%d-%d", 2<<20-2*i-2, 2<<20-2*i-2))
	}
	o := h.call(t, apiCall{http.MethodGet, "/file?ref=large&path=" + path, nil}, "Range", "bytes="+strings.Join(ranges, ","))
	require.NoError(t, o.err)
	require.Equal(t, http.StatusOK, o.status, "all of it, rather than a thousand parts")
	require.LessOrEqual(t, strings.Count(s.Log.String(), `"command":"cat-file"`)-ran, 2)
	require.Less(t, stop().Bytes, int64(300<<20))
}

package api

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
)

func TestStream_readsLinesOfAnyForm(t *testing.T) {
	t.Parallel()
	body := "\n  \r\n{\"metadata\":{\"target_branch\":\"main\",\"unknown\":[1]},\"other\":1}\r\n\n" +
		`{"blob_chunk":{"content_id":"a","data":"aGk=","eof":false}}` + "\n" +
		`{"blob_chunk":{"content_id":"a","data":null,"eof":true}}` + "\n\n" +
		`{"blob_chunk":{"content_id":"b","eof":true}}`
	// One byte at a time, as the worst of networks.
	s := newStream(iotest.OneByteReader(strings.NewReader(body)), "blob_chunk")
	var meta commitMetadata
	require.NoError(t, s.metadata(&meta))
	require.Equal(t, "main", meta.TargetBranch)
	for _, want := range []commit.Chunk{{Content: "a", Data: []byte("hi")}, {Content: "a", Last: true}, {Content: "b", Last: true}} {
		got, err := s.Next()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for range 2 {
		_, err := s.Next()
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestStream_bounds(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("AAAA", maxChunk/3)
	s := newStream(strings.NewReader(fmt.Sprintf(`{"blob_chunk":{"data":%q}}`+"\n"+`{"blob_chunk":{"data":%q}}`+"\n", full, full+"AAAAAAAA")), "blob_chunk")
	_, err := s.Next()
	require.NoError(t, err)
	_, err = s.Next()
	require.Equal(t, core.KindInvalid, core.KindOf(err))
	require.Contains(t, core.MessageOf(err), "line 2")

	endless := io.MultiReader(strings.NewReader(`{"metadata":"`), endlessReader{})
	err = newStream(endless, "blob_chunk").metadata(&commitMetadata{})
	require.Contains(t, core.MessageOf(err), "longer than")
	_, err = newStream(iotest.ErrReader(io.ErrUnexpectedEOF), "blob_chunk").Next()
	require.Equal(t, core.KindInvalid, core.KindOf(err))
	require.Contains(t, core.MessageOf(err), "cut off")
}

func TestResultWords_everyKindHasOne(t *testing.T) {
	t.Parallel()
	known := []string{"precondition_failed", "conflict", "not_found", "invalid", "timeout", "unauthorized", "forbidden", "unavailable", "internal", "failed"}
	for _, kind := range core.Kinds() {
		require.Contains(t, resultWords, kind)
		require.Contains(t, known, resultWord(core.Errorf(kind, "x")))
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "{\"metadata\":{}}\n", "{\"metadata\":null}", "{\"metadata\":{\"files\":[{\"path\":\"a\",\"content_id\":\"1\"}]}}\n{\"blob_chunk\":{\"content_id\":\"1\",\"data\":\"aGk=\",\"eof\":true}}\n",
		"{\"metadata\":{}}\n{\"blob_chunk\":{\"data\":7}}", "{\"metadata\":{}}\n{\"blob_chunk\":{\"data\":\"!\"}}", "{\"metadata\":{}}\n[]", "null\n", "{\"metadata\":{\"author\":{\"name\":1}}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newStream(strings.NewReader(string(body)), "blob_chunk")
		var meta struct {
			commitMetadata
			Files []fileBody `json:"files"`
		}
		if err := s.metadata(&meta); err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		for range len(body) + 1 {
			chunk, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				require.Equal(t, core.KindInvalid, core.KindOf(err))
				for _, c := range core.MessageOf(err) {
					require.GreaterOrEqual(t, c, ' ')
				}
				return
			}
			require.LessOrEqual(t, len(chunk.Data), maxChunk)
		}
		t.Fatal("a body has more pieces than bytes")
	})
}

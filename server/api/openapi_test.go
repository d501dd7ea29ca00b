package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// TestOpenAPI_golden compares the document with openapi.json, so that
// a change of the API is seen in a review. Run it with HEADWATER_UPDATE=1 to
// write the file anew.
func TestOpenAPI_golden(t *testing.T) {
	t.Parallel()
	compact, _ := newDocument(t).encode(t)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, compact, "", " "))
	text := indented.Bytes()
	// What is small goes on one line, for a diff that can be read.
	small := regexp.MustCompile(`([{\[])\s+((?:"[^"\n]*"(?:: (?:"[^"\n]*"|\d+|true|false))?,?\s+){1,3})([}\]])`)
	short := small.ReplaceAllStringFunc(string(text), func(s string) string {
		return strings.Join(strings.Fields(s), " ")
	})
	require.JSONEq(t, string(text), short)
	requireFile(t, "openapi.json", short+"\n")
}

// TestOpenAPI_tables checks that nothing is described that does not exist.
func TestOpenAPI_tables(t *testing.T) {
	t.Parallel()
	d := newDocument(t)
	for key := range fieldNotes {
		require.True(t, d.schemas.noted[key], "a note on %s, which does not exist", key)
	}
	for key := range olderNames {
		require.True(t, d.schemas.noted[key], "an older name %s, which does not exist", key)
	}
	for key := range requiredFields {
		require.True(t, d.schemas.noted[key], "required fields of %s, which does not exist", key)
	}
	ids := map[string]bool{}
	for _, op := range slices.Concat(operations, openOperations) {
		require.NotEmpty(t, op.doc.summary, op.route())
		require.NotNil(t, tags.Get(op.doc.tag), "%s is in no group of the reference", op.route())
		key := op.id
		if op.preferred == "" {
			key += "Legacy"
		}
		require.False(t, ids[key], "two operations are called %s", key)
		ids[key] = true
		for _, p := range op.in.query {
			require.False(t, p.required && p.older != nil, p.name)
		}
	}
}

// TestOpenAPI_times checks that no answer holds a time that clients cannot read:
// a time.Time writes up to nine digits of a second, of which Python before 3.11
// reads none but three and six. The golden document is made of every answer
// type, so that it has no problems says that none holds one.
func TestOpenAPI_times(t *testing.T) {
	t.Parallel()
	s := newSchemaSet()
	s.answer(struct {
		At []*time.Time `json:"at"`
	}{})
	require.Len(t, s.problems, 1)
	require.Contains(t, s.problems[0], "time.Time")
	s = newSchemaSet()
	s.answer(struct {
		At *core.Timestamp `json:"at"`
	}{})
	require.Empty(t, s.problems)
}

// TestOpenAPI_served asks for the document as browsers and caches do.
func TestOpenAPI_served(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask := func(method, etag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, openAPIPath, nil)
		r.Header.Set("If-None-Match", etag)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	w := ask(http.MethodGet, "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	var served map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &served))
	require.Equal(t, "1.2.3", served["info"].(map[string]any)["version"])
	require.Equal(t, http.StatusNotModified, ask(http.MethodGet, w.Header().Get("ETag")).Code)
	require.Empty(t, ask(http.MethodHead, "").Body.String())
	require.Equal(t, http.StatusMethodNotAllowed, ask(http.MethodPost, "").Code)
}

// requireFile compares a generated file with what it should be.
func requireFile(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, string(got)), "%s is out of date; run this test with HEADWATER_UPDATE=1", path)
}

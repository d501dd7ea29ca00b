package api

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
	"github.com/stretchr/testify/require"
)

// baseline is the document of the last release, which clients were made for.
var baseline = filepath.Join("testdata", "openapi.baseline.json")

// TestOpenAPI_breaksNoClient holds the document against that of the last
// release. To accept an intended change, run it with HEADWATER_ACCEPT_BREAKING=1,
// which makes the current document the baseline, and say in the commit what
// breaks and why; a release does the same.
func TestOpenAPI_breaksNoClient(t *testing.T) {
	t.Parallel()
	if os.Getenv("HEADWATER_ACCEPT_BREAKING") != "" {
		require.NoError(t, os.WriteFile(baseline, openAPIDocument, 0o644))
	}
	before, err := os.ReadFile(baseline)
	require.NoError(t, err)
	require.Empty(t, breakingChanges(t, before, openAPIDocument),
		"clients of the last release break; if that is intended, run this test with HEADWATER_ACCEPT_BREAKING=1 and give the reason in the commit")
}

// TestOpenAPI_breakingChangesAreFound makes changes that break clients, and one
// that does not.
func TestOpenAPI_breakingChangesAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, changed, want string }{
		"operation gone":     {`"/api/repos/{name}/notes/refs"`, `"/api/repos/{name}/notes/names"`, "/api/repos/{name}/notes/refs"},
		"field gone":         {`"has_more": { "type": "boolean" }`, `"has_another": { "type": "boolean" }`, "has_more"},
		"type of a field":    {`"has_more": { "type": "boolean" }`, `"has_more": { "type": "string" }`, "has_more"},
		"parameter demanded": {`"in": "query", "name": "q",`, `"in": "query", "name": "q", "required": true,`, "required"},
		"another state":      {`"rebuilding"`, `"rebuilding", "another"`, ""},
		"another text":       {"Only repositories with this text in their name", "Only those with this text in their name", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flat := bytes.Join(bytes.Fields(openAPIDocument), []byte(" "))
			changed := bytes.ReplaceAll(flat, []byte(c.old), []byte(c.changed))
			require.NotEqual(t, flat, changed, "nothing was changed")
			found := strings.Join(breakingChanges(t, openAPIDocument, changed), "\n")
			if c.want == "" {
				require.Empty(t, found)
				return
			}
			require.Contains(t, found, c.want)
		})
	}
}

// breakingChanges lists what of a document breaks the clients of an older one.
func breakingChanges(t *testing.T, before, after []byte) []string {
	t.Helper()
	read := func(text []byte) *load.SpecInfo {
		document, err := load.NewSpecInfoFromData(openapi3.NewLoader(), text, "openapi.json")
		require.NoError(t, err)
		return document
	}
	report, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), read(before), read(after))
	require.NoError(t, err)
	localizer := checker.NewDefaultLocalizer()
	var found []string
	for _, change := range checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), report, sources, checker.WARN) {
		// Codes and states are open sets: the document asks clients to take one that
		// they do not know for its status, so a new one breaks none.
		if change.GetId() == "response-property-enum-value-added" {
			continue
		}
		found = append(found, change.GetOperation()+" "+change.GetPath()+": "+change.GetUncolorizedText(localizer))
	}
	return found
}

package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_changesNameWhatTheyChange: whoever gets "200" for a change believes that
// it was made.
func TestServer_changesNameWhatTheyChange(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Webhooks: lab})
	s.Create(t, "app")
	id, _ := subscribe(t, s, map[string]any{"url": "http://127.0.0.1:1/hook", "events": []string{"push"}})
	for name, change := range map[string]func(body any) servertest.Answer{
		"repository": func(body any) servertest.Answer { return s.API(t, http.MethodPatch, "app", "", body) },
		"settings":   func(body any) servertest.Answer { return s.API(t, http.MethodPatch, "app", "/settings", body) },
		"webhook":    func(body any) servertest.Answer { return orgCall(t, s, http.MethodPatch, "/api/webhooks/"+id, body) },
	} {
		for _, body := range []any{nil, map[string]any{}, map[string]any{"nothing": "known"}, map[string]any{"default_branch": nil, "poll": nil, "active": nil}} {
			a := change(body)
			require.Equal(t, http.StatusBadRequest, a.Status, "%s %v: %s", name, body, a.Raw)
			require.Contains(t, a.Raw, "nothing to change: name a field that can be changed", name)
		}
	}
	plan := s.API(t, http.MethodPatch, "app", "/settings?dry_run=true", map[string]any{})
	require.NotContains(t, plan.Raw, "nothing to change", "it only asks")
	require.Equal(t, http.StatusOK, orgCall(t, s, http.MethodPatch, "/api/webhooks/"+id, map[string]any{"active": false}).Status)
}

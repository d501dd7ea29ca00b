package providertest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/headwater-git/headwater/providers/providertest"
)

// TestRun_strangersForge is the proof that a plugin for a forge that nobody here
// knows can be tested: the fixture says all that the suite knows of it.
func TestRun_strangersForge(t *testing.T) {
	t.Parallel()
	providertest.Run(t, newKiln, providertest.Fixture{
		Forge:      kilnForge(),
		Repository: "acme/Widget-1",
		Names: map[string]providertest.Name{
			"plain":         {Owner: "acme", Name: "widget", Path: "acme/widget"},
			"mixed case":    {Owner: "AcMe", Name: "WidGet", Path: "AcMe/WidGet"},
			"inner dashes":  {Owner: "a-b", Name: "c--d-", Path: "a-b/c--d-"},
			"pasted suffix": {Owner: "acme", Name: "widget.git", Path: "acme/widget"},
		},
		BadNames: map[string]providertest.Name{
			"dots":       {Owner: "acme", Name: "widget.v1"},
			"underscore": {Owner: "acme_corp", Name: "widget"},
		},
		BadAttributes: map[string]map[string]any{"region": {"region": 7}},
	})
}

// kilnForge describes the forge: what it takes, answers, signs and refuses.
func kilnForge() providertest.Forge {
	return providertest.Forge{
		Token: func(r *http.Request) string {
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok {
				return "" // Basic, too, is nothing that it understands
			}
			return token
		},
		Challenge: `Bearer realm="Kiln"`,
		Refusals: providertest.Refusals{
			Missing:  providertest.Answer{Status: http.StatusNotFound, Body: "The shelf is empty."},
			ReadOnly: providertest.Answer{Status: http.StatusForbidden, Body: "You may look, but not touch."},
		},
		APIPath: "/rest/v2",
		API:     kilnAPI,
		Webhooks: &providertest.Webhooks{
			EventHeader: "X-Kiln-Event",
			Payload:     kilnPayload,
			Sign: func(d *providertest.Delivery, secret string) {
				d.Header.Set("X-Kiln-Delivery", d.ID)
				d.Header.Set("X-Kiln-Seal", seal(secret, d.ID, d.Body))
			},
		},
	}
}

func kilnPayload(_ providertest.Server, repo providertest.Repository, e providertest.Event) (string, any) {
	name := map[providertest.EventKind]string{
		providertest.EventPush: "moved", providertest.EventDefaultBranch: "branch", providertest.EventRenamed: "relabelled",
		providertest.EventTransferred: "relabelled", providertest.EventVisibility: "relabelled",
		providertest.EventDeleted: "smashed", providertest.EventPing: "knock", providertest.EventOther: "ticket",
	}[e.Kind]
	if name == "" {
		return "", nil
	}
	moves := []map[string]string{}
	for _, u := range e.Updates {
		moves = append(moves, map[string]string{"ref": u.Name, "from": u.Old, "to": u.New})
	}
	return name, map[string]any{"repository": map[string]string{"id": repo.ID, "slug": repo.Path}, "moves": moves}
}

func kilnAPI(s providertest.Server, w http.ResponseWriter, r *http.Request) bool {
	answer := func(status int, body any) bool {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client has gone, or the value is ours
		return true
	}
	rest := strings.TrimPrefix(r.URL.Path, "/rest/v2/")
	name, ok := strings.CutPrefix(rest, "repository-ids/")
	if !ok {
		name, ok = strings.CutPrefix(rest, "repositories/")
	}
	if !ok {
		return false
	}
	name, receiver, hooks := strings.Cut(name, "/receivers")
	repo, _ := s.Repository(name)
	access := s.Access(r, repo.Path)
	switch {
	case access.Refused:
		return answer(http.StatusUnauthorized, "no such token")
	case !access.Read:
		return answer(http.StatusNotFound, "no such repository")
	case hooks && !access.Admin:
		return answer(http.StatusForbidden, "keepers only")
	case hooks:
		return answer(kilnReceivers(s, r, repo.Path, strings.TrimPrefix(receiver, "/")))
	}
	return answer(http.StatusOK, kilnRepository{
		ID: repo.ID, Slug: repo.Path, Branch: repo.DefaultBranch, Restricted: repo.Private, Frozen: repo.Archived, MayPush: access.Write,
		Clone: s.CloneURL(repo.Path), Page: s.URL() + "/" + repo.Path,
	})
}

func kilnReceivers(s providertest.Server, r *http.Request, path, id string) (int, any) {
	if r.Method == http.MethodGet {
		list := []kilnReceiver{}
		for _, w := range s.Webhooks(path) { // without their secrets
			list = append(list, kilnReceiver{ID: w.ID, URL: w.URL, Events: w.Events, On: w.Active})
		}
		return http.StatusOK, list
	}
	if r.Method == http.MethodDelete {
		if !s.RemoveWebhook(path, id) {
			return http.StatusNotFound, "no such receiver"
		}
		return http.StatusOK, "removed"
	}
	var in kilnReceiver
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || strings.Contains(in.URL, ".invalid/") {
		return http.StatusUnprocessableEntity, "no such address"
	}
	w := providertest.Webhook{ID: id, URL: in.URL, Secret: in.Secret, Events: in.Events, Active: in.On}
	if r.Method == http.MethodPost {
		w.ID = s.AddWebhook(path, w)
	} else if !s.SetWebhook(path, w) {
		return http.StatusNotFound, "no such receiver"
	}
	in.ID, in.Secret = w.ID, ""
	return http.StatusOK, in
}

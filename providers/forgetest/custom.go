package forgetest

import (
	"encoding/json"
	"net/http"

	"github.com/headwater-git/headwater/providers/providertest/fixture"
)

// customServer is a forge as the API of a described host sees it.
type customServer struct{ *Forge }

var _ fixture.Server = customServer{}

// Repository implements [fixture.Server].
func (s customServer) Repository(pathOrID string) (fixture.Repository, bool) {
	repo := s.find(pathOrID)
	if repo == nil {
		repo = s.findID(pathOrID)
	}
	if repo == nil {
		return fixture.Repository{}, false
	}
	return s.snapshot(repo), true
}

func (f *Forge) snapshot(repo *forgeRepo) fixture.Repository {
	return fixture.Repository{
		ID: f.stableID(repo), Path: repo.path, Private: repo.private, Archived: repo.archived, DefaultBranch: f.branchOf(repo),
		Fork: repo.fork,
	}
}

// Repositories implements [fixture.Server].
func (s customServer) Repositories(owner string) []fixture.Repository {
	list, _ := s.owned(&token{}, owner, true)
	out := make([]fixture.Repository, 0, len(list))
	for _, repo := range list {
		out = append(out, s.snapshot(repo))
	}
	return out
}

// PageSize implements [fixture.Server].
func (s customServer) PageSize(most int) int { return s.most(most) }

// Access implements [fixture.Server].
func (s customServer) Access(r *http.Request, path string) fixture.Access {
	t, given := s.lookup(r)
	repo := s.find(path)
	a := fixture.Access{Refused: given && t == nil, Known: t != nil}
	if repo == nil || a.Refused {
		return a
	}
	a.Read = !repo.private || t.sees(repo)
	a.Write = t.sees(repo) && !t.ReadOnly
	a.Admin = a.Write && !t.NoAdmin && !t.NoHooks
	return a
}

// Webhooks implements [fixture.Server].
func (s customServer) Webhooks(path string) []fixture.Webhook {
	var out []fixture.Webhook
	for _, w := range s.Forge.Webhooks(path) {
		out = append(out, fixture.Webhook{ID: w.ID, URL: w.URL, Secret: w.Secret, Events: w.Events, Active: w.Active})
	}
	return out
}

// AddWebhook implements [fixture.Server].
func (s customServer) AddWebhook(path string, w fixture.Webhook) string {
	id, err := s.Forge.AddWebhook(path, Webhook{URL: w.URL, Secret: w.Secret, Events: w.Events, Active: w.Active, ContentType: "json"})
	if err != nil {
		return ""
	}
	return id
}

// SetWebhook implements [fixture.Server].
func (s customServer) SetWebhook(path string, w fixture.Webhook) bool {
	return s.EditWebhook(path, w.ID, func(at *Webhook) {
		at.URL, at.Secret, at.Events, at.Active = w.URL, w.Secret, w.Events, w.Active
	})
}

// described is an event in the words of a description.
func described(e Event) fixture.Event {
	out := fixture.Event{Kind: fixture.EventKind(e.Kind), From: e.From}
	for _, u := range e.Updates {
		out.Updates = append(out.Updates, fixture.RefUpdate(u))
	}
	return out
}

// rulesOfCustom makes the rules of a custom host.
func rulesOfCustom(c *fixture.Forge) hostRules {
	words := func(a fixture.Answer, status int) answer {
		if a.Status == 0 {
			a.Status = status
		}
		return answer{a.Status, a.Body}
	}
	var hooks fixture.Webhooks
	if c.Webhooks != nil {
		hooks = *c.Webhooks
	}
	r := hostRules{
		realm: "Forge", challenge: c.Challenge, apiPath: c.APIPath, bareURLs: c.BareURLs, anyCase: c.AnyCase,
		noHTTPSPush: c.NoPush, pushOptions: c.PushOptions, hiddenRefs: c.HiddenRefs, tokenPrefix: "forge-",
		hidden: words(c.Refusals.Hidden, http.StatusUnauthorized), wrong: words(c.Refusals.Wrong, http.StatusUnauthorized),
		missing: words(c.Refusals.Missing, http.StatusNotFound), anonymousPush: words(c.Refusals.AnonymousPush, http.StatusUnauthorized),
		readOnly: words(c.Refusals.ReadOnly, http.StatusForbidden),
		user:     c.User, openBody: hooks.OpenBody, eventHeader: hooks.EventHeader, custom: c,
		protected: func(string, bool) Refusal { return Refusal{Reason: "protected branch"} },
		payloads: func(f *Forge, repo *forgeRepo, e Event, _ bool) []payload {
			if hooks.Payload == nil {
				return nil
			}
			name, body := hooks.Payload(customServer{f}, f.snapshot(repo), described(e))
			if body == nil {
				return nil
			}
			raw, err := json.Marshal(body)
			var object map[string]any
			if err != nil || json.Unmarshal(raw, &object) != nil {
				panic("forgetest: the body of a webhook is not a JSON object")
			}
			return []payload{{event: name, want: name, body: object}}
		},
		sign: func(_ *Forge, d *Delivery, w Webhook) {
			if hooks.EventHeader != "" {
				d.Header.Set(hooks.EventHeader, d.Event)
			}
			if hooks.Sign != nil {
				hooks.Sign(&fixture.Delivery{ID: d.ID, Event: d.Event, Header: d.Header, Body: d.Body}, w.Secret)
			}
		},
	}
	if r.user == "" {
		r.user = User
	}
	if r.apiPath == "" {
		r.apiPath = "/api"
	}
	if c.API != nil {
		r.api = func(f *Forge, w http.ResponseWriter, r *http.Request) bool { return c.API(customServer{f}, w, r) }
	}
	return r
}

package gitea

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// hook is a webhook in the API of Gitea and Forgejo, of both directions.
type hook struct {
	ID           int64             `json:"id,omitempty"`
	Name         string            `json:"name,omitempty"` // for people; since Gitea 1.26
	Type         string            `json:"type,omitempty"`
	BranchFilter string            `json:"branch_filter"`
	Config       map[string]string `json:"config"`
	Events       []string          `json:"events"`
	// Authorization is sent as the header of that name with each delivery. It
	// is the one field that every version tells in full, so the mark is there.
	Authorization string `json:"authorization_header"`
	Active        bool   `json:"active"`
}

// events are those that parseWebhook reads.
func events() []string { return []string{"create", "delete", "push", "repository"} }

// webhooks says how webhooks are registered. A correction of one does not
// change its secret, whatever the request says: its handler reads the URL and the
// content type only.
func webhooks() *generic.Webhooks {
	return &generic.Webhooks{
		Collection: func(p forge.Place, _ string) string { return "/repos/" + p.Path() + "/hooks" },
		Page:       func(n int) string { return "limit=50&page=" + strconv.Itoa(n) },
		List: func(a forge.Answer, _ generic.WantedWebhook) ([]generic.FoundWebhook, bool, error) {
			var hooks []hook
			if err := json.Unmarshal(a.Body, &hooks); err != nil {
				return nil, false, err
			}
			found := make([]generic.FoundWebhook, 0, len(hooks))
			for _, h := range hooks {
				found = append(found, h.found())
			}
			return found, generic.NextPage(a), nil
		},
		Read: func(body []byte, _ generic.WantedWebhook) (generic.FoundWebhook, error) {
			var h hook
			err := json.Unmarshal(body, &h)
			return h.found(), err
		},
		Write: func(w generic.WantedWebhook) any {
			return hook{
				Name:          "Headwater",
				Type:          "gitea", // what Forgejo calls it, too
				Config:        map[string]string{"url": w.URL, "content_type": "json", "secret": w.Secret.Reveal()},
				Events:        events(),
				Authorization: w.Mark,
				Active:        true,
			}
		},
		Correct:     http.MethodPatch,
		KeepsSecret: true,
		Needs:       "a token with the scope write:repository of an account that may administer the repository",
	}
}

func (h hook) found() generic.FoundWebhook {
	sound := h.Active && h.Config["content_type"] == "json" && (h.BranchFilter == "" || h.BranchFilter == "*")
	for _, event := range events() {
		sound = sound && slices.Contains(h.Events, event)
	}
	return generic.FoundWebhook{
		ID:    generic.NumericID(h.ID),
		URL:   h.Config["url"],
		Mark:  h.Authorization,
		Sound: sound,
		// The type decides about the form of the body and cannot be changed.
		Dead: h.Type != "gitea" && h.Type != "forgejo",
	}
}

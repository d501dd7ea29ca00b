package bitbucket

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// hook is a repository's webhook in Bitbucket's API, of both directions.
type hook struct {
	UUID        string   `json:"uuid,omitempty"`
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Active      bool     `json:"active"`
	Events      []string `json:"events"`
	SkipTLS     bool     `json:"skip_cert_verification"`
	Secret      string   `json:"secret,omitempty"`     // never in an answer
	SecretSet   *bool    `json:"secret_set,omitempty"` // in answers only
}

// events are those of one repository that parseWebhook reads; the other ones
// are sent by the webhooks of a workspace.
func events() []string { return []string{"repo:push", "repo:updated"} }

func webhooks() *generic.Webhooks {
	return &generic.Webhooks{
		Collection: func(p forge.Place, id string) string { return repositoryPath(p, id) + "/hooks" },
		Page:       func(n int) string { return "pagelen=100&page=" + strconv.Itoa(n) },
		List: func(a forge.Answer, _ generic.WantedWebhook) ([]generic.FoundWebhook, bool, error) {
			var page struct {
				Values []hook `json:"values"`
				Next   string `json:"next"` // an address, which is not followed
			}
			if err := json.Unmarshal(a.Body, &page); err != nil {
				return nil, false, err
			}
			found := make([]generic.FoundWebhook, 0, len(page.Values))
			for _, h := range page.Values {
				found = append(found, h.found())
			}
			return found, page.Next != "", nil
		},
		Read: func(body []byte, _ generic.WantedWebhook) (generic.FoundWebhook, error) {
			var h hook
			err := json.Unmarshal(body, &h)
			return h.found(), err
		},
		Write: func(w generic.WantedWebhook) any {
			return hook{URL: w.URL, Description: w.Mark, Active: true, Events: events(), Secret: w.Secret.Reveal()}
		},
		Correct: http.MethodPut,
		Needs:   "a token with the permission for webhooks of an account that may administer the repository",
	}
}

func (h hook) found() generic.FoundWebhook {
	sound := h.Active && !h.SkipTLS && (h.SecretSet == nil || *h.SecretSet)
	for _, event := range events() {
		sound = sound && slices.Contains(h.Events, event)
	}
	return generic.FoundWebhook{ID: h.UUID, URL: h.URL, Mark: h.Description, Sound: sound}
}

// repositoryPath returns the path of a repository in the API.
func repositoryPath(p forge.Place, id string) string {
	if id != "" {
		// The workspace may stay empty next to a UUID.
		return "/repositories/" + url.PathEscape("{}") + "/" + url.PathEscape(id)
	}
	return "/repositories/" + p.Path()
}

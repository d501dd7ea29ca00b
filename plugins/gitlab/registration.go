package gitlab

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// hook is a project's webhook in GitLab's API, of both directions.
type hook struct {
	ID          int64  `json:"id,omitempty"`
	URL         string `json:"url"`
	Name        string `json:"name"` // name and description since GitLab 17.1
	Description string `json:"description"`
	Push        bool   `json:"push_events"`
	TagPush     bool   `json:"tag_push_events"`
	BranchRule  string `json:"branch_filter_strategy,omitempty"`
	Branches    string `json:"push_events_branch_filter"`
	VerifyTLS   bool   `json:"enable_ssl_verification"`
	Template    string `json:"custom_webhook_template"` // instead of the documented body
	AlertStatus string `json:"alert_status,omitempty"`
	Token       string `json:"token,omitempty"` // never in an answer
}

func webhooks() *generic.Webhooks {
	return &generic.Webhooks{
		Collection: func(p forge.Place, id string) string {
			if id == "" {
				id = p.Path()
			}
			return "/projects/" + url.PathEscape(id) + "/hooks"
		},
		Page: func(n int) string { return "per_page=100&page=" + strconv.Itoa(n) },
		List: func(a forge.Answer, w generic.WantedWebhook) ([]generic.FoundWebhook, bool, error) {
			var hooks []hook
			if err := json.Unmarshal(a.Body, &hooks); err != nil {
				return nil, false, err
			}
			found := make([]generic.FoundWebhook, 0, len(hooks))
			for _, h := range hooks {
				found = append(found, h.found(w))
			}
			return found, generic.NextPage(a), nil
		},
		Read: func(body []byte, w generic.WantedWebhook) (generic.FoundWebhook, error) {
			var h hook
			err := json.Unmarshal(body, &h)
			return h.found(w), err
		},
		Write: func(w generic.WantedWebhook) any {
			return hook{
				URL: w.URL, Name: "Headwater", Description: w.Mark,
				Push: true, TagPush: true, BranchRule: "all_branches", VerifyTLS: verifiesTLS(w),
				Token: w.Secret.Reveal(),
			}
		},
		Correct: http.MethodPut,
		Needs:   "a token with the scope api of a maintainer of the project",
	}
}

func (h hook) found(w generic.WantedWebhook) generic.FoundWebhook {
	everyBranch := h.Branches == "" && (h.BranchRule == "" || h.BranchRule == "all_branches" || h.BranchRule == "wildcard")
	return generic.FoundWebhook{
		ID:    generic.NumericID(h.ID),
		URL:   h.URL,
		Mark:  h.Description,
		Sound: h.Push && h.TagPush && everyBranch && h.Template == "" && h.VerifyTLS == verifiesTLS(w),
		// After too many failures GitLab disables a webhook until a test of it
		// succeeds. A new one starts without that history.
		Dead: h.AlertStatus == "disabled",
	}
}

func verifiesTLS(w generic.WantedWebhook) bool { return strings.HasPrefix(w.URL, "https:") }

package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// sync asks for a sync.
func (c *Console) sync(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	if _, err := c.api.PullUpstream(as(r.Context(), s.of(repo)), repo.ID, client.PullUpstreamRequest{}); err != nil {
		return c.showRepository(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	return c.done(w, r, "/repositories/"+repo.ID, "sync")
}

// settingsPlan is the page that shows what a change of settings would do.
type settingsPlan struct {
	Repo   core.Repository
	Plan   *client.Plan
	Fields []field // of the form, to be sent again
	Wrong  string
}

type field struct{ Name, Value string }

// settingsFields are those of the form.
var settingsFields = []string{
	"poll", "max_staleness", "freshness", "retention", "ref_policies", "include", "exclude", "pull_requests", "ephemeral_ttl", "ephemeral_quota", "lfs", "lfs_policy", "strict_wants", "public_read",
}

// changeSettings shows first what a change would do to refs, and does it when that page
// is confirmed.
func (c *Console) changeSettings(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	body, err := readSettings(r)
	confirmed := r.PostFormValue("confirmed") != ""
	var answer client.SettingsAnswer
	if err == nil {
		answer, err = c.api.UpdateSettings(as(r.Context(), s.of(repo)), repo.ID, &client.UpdateSettingsParams{DryRun: new(!confirmed)}, body)
	}
	if err == nil && confirmed {
		return c.done(w, r, "/repositories/"+repo.ID+"#settings", "settings")
	}
	view := settingsPlan{Repo: repo, Plan: answer.Plan}
	status := http.StatusOK
	if err != nil {
		view.Wrong, status = refusal(err), c.statusOf(err)
	}
	for _, name := range settingsFields {
		if r.PostForm.Has(name) {
			view.Fields = append(view.Fields, field{name, r.PostForm.Get(name)})
		}
	}
	return c.show(w, r, s, status, "settings", page{Title: "Change the settings of " + repo.Name, Nav: "repositories", Body: view})
}

// readSettings reads the form. Errors: KindInvalid.
func readSettings(r *http.Request) (client.SettingsRequest, error) {
	body := client.SettingsRequest{}
	if err := r.ParseForm(); err != nil {
		return body, core.Errorf(core.KindInvalid, "the form cannot be read")
	}
	text := func(name string) *string {
		v := strings.TrimSpace(r.PostForm.Get(name))
		return &v
	}
	lines := func(name string) *[]string {
		all := []string{}
		for line := range strings.Lines(r.PostForm.Get(name)) {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
		return &all
	}
	body.Poll, body.MaxStaleness, body.Retention, body.EphemeralTTL = text("poll"), text("max_staleness"), text("retention"), text("ephemeral_ttl")
	body.Freshness = new(client.FreshnessPolicy(*text("freshness")))
	body.LFS = new(client.LFSMode(*text("lfs")))
	body.LFSPolicy = new(client.LFSPolicy(*text("lfs_policy")))
	body.Include, body.Exclude = lines("include"), lines("exclude")
	body.PublicRead = new(r.PostForm.Has("public_read"))
	body.PullRequests, body.StrictWants = new(r.PostForm.Has("pull_requests")), new(r.PostForm.Has("strict_wants"))
	quota, err := strconv.Atoi("0" + *text("ephemeral_quota"))
	if err != nil {
		return body, core.Errorf(core.KindInvalid, "the quota of ephemeral branches must be a number")
	}
	body.EphemeralQuota = &quota
	policies := []client.RefPolicy{}
	for _, line := range *lines("ref_policies") {
		pattern, action, ok := strings.Cut(line, " ")
		if !ok {
			return body, core.Errorf(core.KindInvalid, "write each ref policy as a pattern and an action, like: refs/heads/main hold")
		}
		policies = append(policies, client.RefPolicy{Pattern: pattern, Action: client.RefAction(strings.TrimSpace(action))})
	}
	body.RefPolicies = &policies
	return body, nil
}

// decide restores, approves or dismisses a rewrite.
func (c *Console) decide(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	ctx, id := as(r.Context(), s.of(repo)), r.PostFormValue("rewrite")
	var done string
	switch r.PathValue("what") {
	case "restore":
		_, err = c.api.RestoreRewrite(ctx, repo.ID, id, client.RestoreRewriteRequest{Branch: new(r.PostFormValue("branch"))})
		done = "restored"
	case "approve":
		_, err = c.api.ApproveRewrite(ctx, repo.ID, id)
		done = "approved"
	case "dismiss":
		_, err = c.api.DismissRewrite(ctx, repo.ID, id)
		done = "dismissed"
	default:
		return core.Errorf(core.KindNotFound, "a rewrite can be restored, approved or dismissed")
	}
	if err != nil {
		return c.showRepository(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	return c.done(w, r, "/repositories/"+repo.ID+"#rewrites", done)
}

// hookOrg returns the organisation that a form about a webhook is of.
func hookOrg(r *http.Request, s *session) (string, error) {
	org := r.PostFormValue("org")
	if !s.sees(org) {
		return "", core.Errorf(core.KindNotFound, "there is no such organisation")
	}
	return org, nil
}

// redeliver sends a delivery of an outbound webhook again.
func (c *Console) redeliver(w http.ResponseWriter, r *http.Request, s *session) error {
	org, err := hookOrg(r, s)
	if err != nil {
		return err
	}
	if _, err := c.api.Redeliver(as(r.Context(), s.identity(org)), r.PostFormValue("webhook"), r.PostFormValue("delivery")); err != nil {
		return err
	}
	return c.done(w, r, next(r.PostFormValue("back")), "delivery")
}

// ping sends a ping to an outbound webhook.
func (c *Console) ping(w http.ResponseWriter, r *http.Request, s *session) error {
	org, err := hookOrg(r, s)
	if err != nil {
		return err
	}
	if _, err := c.api.PingWebhook(as(r.Context(), s.identity(org)), r.PostFormValue("webhook")); err != nil {
		return err
	}
	return c.done(w, r, next(r.PostFormValue("back")), "ping")
}

package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// upstreamChoice is the page on which an upstream is chosen, and then what that would do.
type upstreamChoice struct {
	Repo      core.Repository
	View      client.Repository
	Providers []string
	URL       string // as it was typed
	Provider  string
	Username  string
	Wrong     string
	// Of the second step:
	Plan  *client.Plan
	Lost  int    // refs that lose history here
	Token string // of what is kept until somebody says yes
	Given bool   // a credential goes with it
}

// Linked reports whether the repository has an upstream now.
func (u upstreamChoice) Linked() bool { return u.Repo.Upstream != nil }

const (
	// planLife is how long a plan waits for a yes, and maxPlans bounds how many do.
	planLife = 10 * time.Minute
	maxPlans = 64
)

// plans keeps what a form for a link held while its plan is looked at. The secret in it
// is never sent back to the browser: it stays in memory, for the session that gave it.
type plans struct {
	mu  sync.Mutex
	all []keptPlan // oldest first
}

type keptPlan struct {
	token, session, repo string
	body                 client.LinkRepositoryRequest
	until                time.Time
}

// keep returns the token of a plan.
func (p *plans) keep(session, repo string, body client.LinkRepositoryRequest, now time.Time) string {
	token, _ := NewSecret()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(k keptPlan) bool { return k.until.Before(now) })
	if len(p.all) >= maxPlans {
		p.all = p.all[1:]
	}
	p.all = append(p.all, keptPlan{token, session, repo, body, now.Add(planLife)})
	return token
}

// take returns a plan once. Errors: KindConflict.
func (p *plans) take(token, session, repo string, now time.Time) (client.LinkRepositoryRequest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.all {
		if k.token == token && k.session == session && k.repo == repo && k.until.After(now) {
			p.all = slices.Delete(p.all, i, i+1)
			return k.body, nil
		}
	}
	return client.LinkRepositoryRequest{}, core.Errorf(core.KindConflict, "this plan was used, or is older than ten minutes; look at it again")
}

// upstreamPage is the form for another upstream, or none.
func (c *Console) upstreamPage(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	return c.showUpstream(w, r, s, http.StatusOK, upstreamChoice{Repo: repo})
}

func (c *Console) showUpstream(w http.ResponseWriter, r *http.Request, s *session, status int, v upstreamChoice) error {
	ctx := as(r.Context(), s.of(v.Repo))
	var err error
	if v.View, err = c.api.GetRepository(ctx, v.Repo.ID); err != nil {
		return err
	}
	for _, p := range c.providers(r, s, v.Repo.Org) {
		v.Providers = append(v.Providers, p.Name)
	}
	title := "Follow an upstream: " + v.Repo.Name
	if v.Linked() {
		title = "The upstream of " + v.Repo.Name
	}
	return c.show(w, r, s, status, "upstream", page{Title: title, Nav: "repositories", Body: v})
}

// providers lists those of the server; none if the session may not ask.
func (c *Console) providers(r *http.Request, s *session, org string) []client.ProviderStatus {
	list, err := c.api.ListProviders(as(r.Context(), s.identity(org)))
	if err != nil {
		return nil
	}
	return list.Providers
}

// changeUpstream shows first what following an upstream would do to refs, and has the
// repository follow it when that page is confirmed.
func (c *Console) changeUpstream(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	v := upstreamChoice{Repo: repo, URL: strings.TrimSpace(r.PostFormValue("url")), Provider: r.PostFormValue("provider"), Username: strings.TrimSpace(r.PostFormValue("username"))}
	wrong := func(err error) error {
		v.Wrong, v.Plan = refusal(err), nil
		return c.showUpstream(w, r, s, c.statusOf(err), v)
	}
	if token := r.PostFormValue("plan"); token != "" {
		body, err := c.plans.take(token, s.ID, repo.ID, c.Clock.Now())
		if err != nil {
			return wrong(err)
		}
		if _, err := c.link(r, s, repo, body, false); err != nil {
			return wrong(err)
		}
		return c.done(w, r, "/repositories/"+repo.ID, "upstream")
	}
	body, err := linkRequest(v, r.PostFormValue("password"), c.providers(r, s, repo.Org))
	if err != nil {
		return wrong(err)
	}
	answer, err := c.link(r, s, repo, body, true)
	if err != nil {
		return wrong(err)
	}
	v.Plan, v.Lost = &answer.Plan, len(answer.Plan.Deleted)+len(answer.Plan.Forced)
	v.Given = body.Password != nil
	v.Token = c.plans.keep(s.ID, repo.ID, body, c.Clock.Now())
	return c.showUpstream(w, r, s, http.StatusOK, v)
}

// link attaches a local repository, or re-points a synced one.
func (c *Console) link(r *http.Request, s *session, repo core.Repository, body client.LinkRepositoryRequest, dry bool) (client.LinkedRepository, error) {
	ctx := as(r.Context(), s.of(repo))
	if repo.Upstream == nil {
		return c.api.AttachUpstream(ctx, repo.ID, &client.AttachUpstreamParams{DryRun: &dry}, body)
	}
	return c.api.RepointUpstream(ctx, repo.ID, &client.RepointUpstreamParams{DryRun: &dry}, body)
}

// knownHosts are the hosts that need no configuration, with the API's words for their
// providers.
func knownHosts() map[string]string {
	return map[string]string{"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket", "codeberg.org": "codeberg", "git.sr.ht": "sourcehut"}
}

// linkRequest reads the form: an address that people copy from a browser, and the
// provider where no block of the configuration names the host. Errors: KindInvalid.
func linkRequest(v upstreamChoice, password string, providers []client.ProviderStatus) (body client.LinkRepositoryRequest, err error) {
	u, err := url.Parse(v.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return body, core.Errorf(core.KindInvalid, "give the address of the repository, like https://git.example.org/team/app")
	}
	if _, has := u.User.Password(); has {
		return body, core.Errorf(core.KindInvalid, "take the password out of the address, and put it into its field")
	}
	host, path := strings.ToLower(u.Host), strings.Trim(u.Path, "/")
	base := client.BaseRepoRequest{}
	kind := v.Provider
	for _, p := range providers {
		if p.BasePaths != nil {
			path = strings.TrimPrefix(path, strings.Trim((*p.BasePaths)[host], "/")+"/")
		}
		if kind == "" && slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
			kind = p.Name
		}
	}
	known, ok := knownHosts()[host]
	switch {
	case kind == "" && !ok:
		return body, core.Errorf(core.KindInvalid, "no provider knows the host %s; choose one, or have the operator add the host to providers.hcl", host)
	case kind == "":
		kind = known
	default:
		base.UpstreamHost = &host
	}
	switch kind { // the API has other words for these
	case "github-public":
		base.Auth = &client.BaseRepoAuth{AuthType: new("public")}
		kind = "github"
	case "github-app":
		kind = "github"
	}
	path, _, _ = strings.Cut(path, "/-/") // GitLab puts the pages of a repository behind it
	path = strings.TrimSuffix(path, ".git")
	at := strings.LastIndexByte(path, '/')
	if at <= 0 || at == len(path)-1 {
		return body, core.Errorf(core.KindInvalid, "the address names no owner or no repository, like https://%s/team/app", host)
	}
	base.Owner, base.Name, base.Provider = new(path[:at]), path[at+1:], &kind
	body.BaseRepo = &base
	if password != "" {
		body.Password, body.Username = &password, &v.Username
	}
	return body, nil
}

// detach cuts the link to the upstream. The page with the form says what that means.
func (c *Console) detach(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	if r.PostFormValue("confirmed") == "" {
		return c.showUpstream(w, r, s, http.StatusBadRequest, upstreamChoice{Repo: repo, Wrong: "tick that it is meant, then detach"})
	}
	if _, err := c.api.DetachUpstream(as(r.Context(), s.of(repo)), repo.ID); err != nil {
		return c.showUpstream(w, r, s, c.statusOf(err), upstreamChoice{Repo: repo, Wrong: refusal(err)})
	}
	return c.done(w, r, "/repositories/"+repo.ID, "detached")
}

// pause has the upstream left alone.
func (c *Console) pause(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	if _, err := c.api.PauseRepository(as(r.Context(), s.of(repo)), repo.ID); err != nil {
		return c.showRepository(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	return c.done(w, r, "/repositories/"+repo.ID, "paused")
}

// resume ends pause.
func (c *Console) resume(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	if _, err := c.api.ResumeRepository(as(r.Context(), s.of(repo)), repo.ID); err != nil {
		return c.showRepository(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	return c.done(w, r, "/repositories/"+repo.ID, "resumed")
}

// renewedWebhook is the page after a webhook from the host was made anew.
type renewedWebhook struct {
	Repo core.Repository
	Hook client.RotatedInboundWebhook
}

// renewWebhook gives the webhook from the host another secret, with which the server
// registers it again. Its secret is shown where a person has to do that.
func (c *Console) renewWebhook(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	hook, err := c.api.RotateInboundWebhook(as(r.Context(), s.of(repo)), repo.ID)
	if err != nil {
		return c.showRepository(w, r, s, repo, c.statusOf(err), refusal(err))
	}
	if hook.State == client.InboundStateActive {
		return c.done(w, r, "/repositories/"+repo.ID+"#webhooks", "webhook")
	}
	return c.show(w, r, s, http.StatusOK, "webhook", page{Title: "The webhook of " + repo.Name, Nav: "repositories", Body: renewedWebhook{repo, hook}})
}

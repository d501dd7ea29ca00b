package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// pageRefs bounds how many refs a page lists.
const pageRefs = 50

// repository is the page of one repository. A part whose call is refused says why in its
// place.
type repository struct {
	Repo       core.Repository
	View       client.Repository
	Health     string // its state in one word
	PauseMeans string
	Next       []step // what somebody may do about it
	Clone      string
	Plots      []plot
	Running    bool

	Runs      []client.SyncRun
	Branches  []client.Branch
	MoreRefs  bool
	Tags      []client.Tag
	Ephemeral []client.Branch
	Orphans   []client.Orphan
	Rewrites  []client.Rewrite
	Inbound   *client.InboundWebhook
	Webhooks  []webhookRow
	Settings  client.Settings
	Audit     []client.AuditEntry
	Events    []eventRow
	Refusals  map[string]string // by part
	Sentence  string            // how it is, and what to do
}

// webhookRow is an outbound webhook and what it was sent last.
type webhookRow struct {
	client.Webhook
	Org        string
	Deliveries []client.Delivery
}

// find returns the repository that a path names, if the session sees it. That of another
// organisation is as little there as none. Errors: KindNotFound.
func (c *Console) find(r *http.Request, s *session) (core.Repository, error) {
	repo, err := c.Store.RepositoryByID(r.Context(), r.PathValue("id"))
	if core.KindOf(err) == core.KindNotFound || err == nil && !s.sees(repo.Org) {
		return core.Repository{}, core.Errorf(core.KindNotFound, "there is no such repository, or it was deleted")
	}
	return repo, err
}

func (c *Console) repository(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	return c.showRepository(w, r, s, repo, http.StatusOK, "")
}

// showRepository writes the page, with what a form could not do.
func (c *Console) showRepository(w http.ResponseWriter, r *http.Request, s *session, repo core.Repository, status int, wrong string) error {
	v, err := c.readRepository(r, s, repo)
	if err != nil {
		return err
	}
	return c.show(w, r, s, status, "repository", page{Title: repo.Name, Nav: "repositories", Error: wrong, Body: v})
}

// readRepository reads all that the page shows.
func (c *Console) readRepository(r *http.Request, s *session, repo core.Repository) (*repository, error) {
	ctx, v := as(r.Context(), s.of(repo)), &repository{Repo: repo, Refusals: map[string]string{}}
	var err error
	if v.View, err = c.api.GetRepository(ctx, repo.ID); err != nil {
		return nil, err
	}
	v.Clone = v.View.HTTPURL
	if c.PublicURL == "" {
		v.Clone = origin(r) + strings.TrimPrefix(v.Clone, "http://console.invalid")
	}
	now := c.Clock.Now()
	part := func(name string, err error) {
		if err != nil {
			v.Refusals[name] = refusal(err)
		}
	}
	serve := client.QueryFreshness("serve")
	limit := client.QueryLimit(pageRefs)
	branches, err := c.api.ListBranches(ctx, repo.ID, &client.ListBranchesParams{Limit: &limit, Freshness: &serve})
	part("branches", err)
	v.Branches, v.MoreRefs = branches.Branches, branches.HasMore
	tags, err := c.api.ListTags(ctx, repo.ID, &client.ListTagsParams{Limit: &limit, Freshness: &serve})
	part("tags", err)
	v.Tags, v.MoreRefs = tags.Tags, v.MoreRefs || tags.HasMore
	ephemeral, err := c.api.ListBranches(ctx, repo.ID, &client.ListBranchesParams{Limit: &limit, Freshness: &serve, Ephemeral: new(true)})
	part("ephemeral", err)
	v.Ephemeral = ephemeral.Branches
	rewrites, err := c.api.ListRewrites(ctx, repo.ID, &client.ListRewritesParams{Limit: new(30)})
	part("rewrites", err)
	v.Rewrites = rewrites.Rewrites
	settings, err := c.api.GetSettings(ctx, repo.ID)
	part("settings", err)
	v.Settings = settings.Settings
	if repo.Upstream != nil {
		runs, err := c.api.ListSyncRuns(ctx, repo.ID, &client.ListSyncRunsParams{Limit: new(25)})
		part("runs", err)
		v.Runs = runs.Runs
		if err == nil {
			v.Plots, err = c.repositoryPlots(r, repo, v.Runs, now)
			part("runs", err)
		}
		inbound, err := c.api.GetInboundWebhook(ctx, repo.ID)
		part("inbound", err)
		if err == nil {
			v.Inbound = &inbound
		}
	}
	v.Running = v.View.Sync != nil && v.View.Sync.State == "syncing"
	v.Webhooks, err = c.webhooks(r, s, repo.Org, repo.ID, 3)
	part("webhooks", err)
	audit, err := c.api.ListRepositoryAudit(ctx, repo.ID, &client.ListRepositoryAuditParams{Limit: new(15)})
	part("audit", err)
	v.Audit = audit.Entries
	v.Health, v.PauseMeans = healthWord(v.View), core.PausedMeans
	v.Sentence, v.Next = Sentence(v.View, now), steps(v.View, repo)
	if err = c.permit(s, "listEvents"); err == nil {
		v.Events, err = c.events(r, s, core.EventFilter{Org: repo.Org, RepoID: repo.ID}, 8)
	}
	part("events", err)
	return v, nil
}

// origin is scheme and host of a request.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// repositoryPlots are the lag of seven days, and how long the last runs took.
func (c *Console) repositoryPlots(r *http.Request, repo core.Repository, runs []client.SyncRun, now time.Time) ([]plot, error) {
	lag := plot{
		Label: "Lag behind the upstream", Per: "seven days, UTC", Kind: "line", Unit: "s", From: now.Add(-keepMinutes).Unix(), To: now.Unix() + 60,
		Series: []series{{Name: "lag", Class: "held"}}, URL: c.base + "/repositories/" + repo.ID + "/data/lag",
	}
	lag.buckets(240)
	lags, err := c.Store.ConsoleLags(r.Context(), repo.ID, now.Add(-keepMinutes))
	if err != nil {
		return nil, err
	}
	for _, l := range lags {
		lag.most(0, l.At, l.Lag.Seconds())
	}
	took := plot{
		Label: "How long the last runs took", Per: "oldest first", Kind: "bars", Unit: "s", From: 0, To: int64(max(len(runs), 12)),
		Series: []series{{Name: "succeeded", Class: "ok"}, {Name: "unchanged", Class: "calm"}, {Name: "held", Class: "held"}, {Name: "failed", Class: "bad"}},
	}
	took.ordinal = true
	took.buckets(max(len(runs), 12))
	for i, run := range slices.Backward(runs) {
		at := len(runs) - 1 - i
		which := map[client.SyncRunOutcome]int{"succeeded": 0, "unchanged": 1, "held": 2}
		s, ok := which[run.Outcome]
		if !ok {
			s = 3
		}
		if run.Outcome == "" {
			continue
		}
		took.Series[s].Values[at] = new(max(float64(run.DurationMs)/1000, 0.01))
	}
	return []plot{lag, took}, nil
}

func (c *Console) repositoryData(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	if r.PathValue("plot") != "lag" {
		return core.Errorf(core.KindNotFound, "there is no such picture")
	}
	plots, err := c.repositoryPlots(r, repo, nil, c.Clock.Now())
	if err != nil {
		return err
	}
	return c.json(w, plots[0])
}

// webhooks lists the outbound webhooks of an organisation with their last deliveries; of
// those, with a repository, the ones that it is about.
func (c *Console) webhooks(r *http.Request, s *session, org, repoID string, deliveries int) ([]webhookRow, error) {
	ctx := as(r.Context(), s.identity(org))
	list, err := c.api.ListWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	var rows []webhookRow
	for _, hook := range list.Webhooks {
		if repoID != "" && hook.RepoID != "" && hook.RepoID != repoID {
			continue
		}
		row := webhookRow{Webhook: hook, Org: org}
		sent, err := c.api.ListDeliveries(ctx, hook.ID, &client.ListDeliveriesParams{Limit: new(deliveries)})
		if err != nil {
			return nil, err
		}
		row.Deliveries = sent.Deliveries
		rows = append(rows, row)
	}
	return rows, nil
}

// comparison is the refs here beside those of the upstream now.
type comparison struct {
	Repo  core.Repository
	Rows  []refDifference
	Equal int // branches and tags of this page that do not differ
	Wrong string
}

// refDifference is a ref that is not here as it is at the upstream.
type refDifference struct {
	Name, Here, There string
	What              string
}

// compare asks the upstream for its refs.
func (c *Console) compare(w http.ResponseWriter, r *http.Request, s *session) error {
	repo, err := c.find(r, s)
	if err != nil {
		return err
	}
	// Who may not list the refs here is not shown what differs.
	serve, limit := client.QueryFreshness("serve"), client.QueryLimit(1)
	if _, err := c.api.ListBranches(as(r.Context(), s.of(repo)), repo.ID, &client.ListBranchesParams{Limit: &limit, Freshness: &serve}); err != nil {
		return err
	}
	view := comparison{Repo: repo}
	settings, err := c.Store.Settings(r.Context(), repo.ID)
	if err != nil {
		return err
	}
	plan, err := c.Plans.Plan(r.Context(), repo, settings)
	if err != nil {
		c.Logger.Info("refs could not be compared", "repo_id", repo.ID, "error", err)
		view.Wrong = core.MessageOf(err)
	}
	for _, group := range []struct {
		what string
		refs []core.RefUpdate
	}{
		{"only there", plan.Created}, {"behind", plan.Moved}, {"rewritten there", plan.Forced}, {"only here", plan.Deleted}, {"held here", plan.Held},
	} {
		for _, u := range group.refs {
			view.Rows = append(view.Rows, refDifference{Name: u.Name, Here: string(u.Old), There: string(u.New), What: group.what})
		}
	}
	slices.SortFunc(view.Rows, func(a, b refDifference) int { return cmp.Compare(a.Name, b.Name) })
	return c.show(w, r, s, http.StatusOK, "compare", page{Title: repo.Name + ": refs here and there", Nav: "repositories", Body: view})
}

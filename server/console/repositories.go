package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// perPage is how many repositories one page lists.
const perPage = 100

// maxBulk bounds how many repositories one form changes.
const maxBulk = 2000

// filter is what the list of repositories is narrowed to.
type filter struct {
	Query, State, Need, Class, Host, Provider, Org, Sort string
	Age                                                  string // at least this lag
	Page                                                 int
}

func readFilter(q url.Values) filter {
	f := filter{
		Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Need: q.Get("need"), Class: q.Get("class"), Host: q.Get("host"), Provider: q.Get("provider"),
		Org: q.Get("org"), Sort: q.Get("sort"), Age: q.Get("age"),
	}
	f.Page, _ = strconv.Atoi(q.Get("page"))
	f.Page = max(f.Page, 1)
	return f
}

// Values are the filter as a query, without the page.
func (f filter) Values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{
		"q": f.Query, "state": f.State, "need": f.Need, "class": f.Class, "host": f.Host, "provider": f.Provider, "org": f.Org, "sort": f.Sort, "age": f.Age,
	} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return v
}

// ages are the lags that can be asked for.
var ages = []struct {
	Word string
	Age  time.Duration
}{{"1m", time.Minute}, {"15m", 15 * time.Minute}, {"1h", time.Hour}, {"1d", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}}

func (f filter) takes(h core.RepositoryHealth, now time.Time) bool {
	for _, want := range []struct{ want, have string }{
		{f.State, string(h.State())}, {f.Need, string(h.Need())}, {f.Class, string(h.Class)}, {f.Host, h.Host}, {f.Provider, h.Provider}, {f.Org, h.Org},
	} {
		if want.want != "" && want.want != want.have {
			return false
		}
	}
	if f.Class != "" && h.LastError == "" {
		return false
	}
	for _, a := range ages {
		if f.Age == a.Word && (!h.Synced || !h.ObservedAt.IsZero() && now.Sub(h.ObservedAt) < a.Age) {
			return false
		}
	}
	return f.Query == "" || strings.Contains(strings.ToLower(h.Name), strings.ToLower(f.Query)) ||
		strings.Contains(strings.ToLower(h.Owner+"/"+h.Path), strings.ToLower(f.Query))
}

// repositoryList is the page of all repositories.
type repositoryList struct {
	Filter                     filter
	Rows                       []core.RepositoryHealth
	Matching, All              int
	Classes, Hosts, Providers  []string
	Orgs                       []string
	States                     []core.RepositoryState
	Needs                      []core.RepositoryNeed
	Ages                       []string
	Query, Previous, Following string // of the pages around; "" if there is none
	From                       int
}

func (c *Console) repositories(w http.ResponseWriter, r *http.Request, s *session) error {
	all, err := c.health(r, s)
	if err != nil {
		return err
	}
	list := repositoryList{Filter: readFilter(r.URL.Query()), All: len(all), States: stateOrder, Needs: core.RepositoryNeeds()}
	for _, a := range ages {
		list.Ages = append(list.Ages, a.Word)
	}
	classes, hosts, providers, orgs := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, h := range all {
		if h.LastError != "" {
			classes[string(h.Class)] = true
		}
		if h.Synced {
			hosts[h.Host], providers[h.Provider] = true, true
		}
		orgs[h.Org] = true
	}
	list.Classes, list.Hosts, list.Providers, list.Orgs = words(classes), words(hosts), words(providers), words(orgs)
	rows := c.matching(all, list.Filter)
	list.Matching = len(rows)
	list.From = min((list.Filter.Page-1)*perPage, len(rows))
	to := min(list.From+perPage, len(rows))
	list.Rows = rows[list.From:to]
	list.Query = list.Filter.Values().Encode()
	at := func(page int) string {
		v := list.Filter.Values()
		v.Set("page", strconv.Itoa(page))
		return v.Encode()
	}
	if list.Filter.Page > 1 {
		list.Previous = at(list.Filter.Page - 1)
	}
	if to < len(rows) {
		list.Following = at(list.Filter.Page + 1)
	}
	return c.show(w, r, s, http.StatusOK, "repositories", page{Title: "Repositories", Nav: "repositories", Body: list})
}

func words(set map[string]bool) []string {
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}

// matching returns the repositories that a filter takes, in its order.
func (c *Console) matching(all []core.RepositoryHealth, f filter) []core.RepositoryHealth {
	now := c.Clock.Now()
	var rows []core.RepositoryHealth
	for _, h := range all {
		if f.takes(h, now) {
			rows = append(rows, h)
		}
	}
	slices.SortStableFunc(rows, func(a, b core.RepositoryHealth) int {
		switch f.Sort {
		case "lag":
			// Local ones have no lag, and are last.
			if a.Synced != b.Synced {
				return cmp.Compare(one(b.Synced), one(a.Synced))
			}
			return a.ObservedAt.Compare(b.ObservedAt)
		case "size":
			return cmp.Compare(b.DiskBytes, a.DiskBytes)
		case "change":
			return b.ChangedAt.Compare(a.ChangedAt)
		}
		return 0 // they are in the order of their names
	})
	return rows
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bulkResult is what a form for many repositories did.
type bulkResult struct {
	What    string
	Means   string // what it does to each
	Done    int
	Refused []bulkRefusal
	Back    string
	// Before it is done:
	Confirm bool
	Rows    []core.RepositoryHealth
	Form    url.Values
}

type bulkRefusal struct{ ID, Name, Reason string }

// bulk does one thing to many repositories: after a page that names them. Each is a call
// of its own, with its own entry in the audit.
func (c *Console) bulk(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := r.ParseForm(); err != nil {
		return core.Errorf(core.KindInvalid, "the form cannot be read")
	}
	all, err := c.health(r, s)
	if err != nil {
		return err
	}
	var rows []core.RepositoryHealth
	if r.PostForm.Get("which") == "matching" {
		rows = c.matching(all, readFilter(r.PostForm))
	} else {
		chosen := map[string]bool{}
		for _, id := range r.PostForm["id"] {
			chosen[id] = true
		}
		for _, h := range all {
			if chosen[h.RepoID] {
				rows = append(rows, h)
			}
		}
	}
	switch {
	case len(rows) == 0:
		return core.Errorf(core.KindInvalid, "no repository was chosen; go back and tick some, or choose all that match")
	case len(rows) > maxBulk:
		return core.Errorf(core.KindInvalid, "one form changes %d repositories at most, and these are %d; narrow the filter", maxBulk, len(rows))
	}
	act, what, err := c.bulkAction(r.PostForm)
	if err != nil {
		return err
	}
	result := bulkResult{What: what, Means: bulkMeans[r.PostForm.Get("action")], Back: "/repositories?" + readFilter(r.PostForm).Values().Encode(), Rows: rows, Form: r.PostForm}
	if r.PostForm.Get("confirmed") == "" {
		result.Confirm = true
		return c.show(w, r, s, http.StatusOK, "bulk", page{Title: what, Nav: "repositories", Body: result})
	}
	for _, row := range rows {
		repo := core.Repository{ID: row.RepoID, Org: row.Org, Name: row.Name}
		if err := act(r, s, repo); err != nil {
			result.Refused = append(result.Refused, bulkRefusal{row.RepoID, row.Name, refusal(err)})
		} else {
			result.Done++
		}
	}
	return c.show(w, r, s, http.StatusOK, "bulk", page{Title: what, Nav: "repositories", Body: result})
}

// bulkMeans say what an action does, before it is done.
var bulkMeans = map[string]string{
	"sync":   "Each upstream is asked now, and what is new is fetched.",
	"pause":  core.PausedMeans,
	"resume": "Each follows its upstream again. What was announced or asked for meanwhile runs at once.",
	"share":  "Each uses the shared credential from now on, where that is for its upstream. One with a credential of its own keeps it, and is named.",
	"set":    "The settings change now, and hold from the next look at the upstream on.",
}

// bulkAction returns what a form does to each repository.
func (c *Console) bulkAction(form url.Values) (act func(r *http.Request, s *session, repo core.Repository) error, what string, err error) {
	switch form.Get("action") {
	case "sync":
		return func(r *http.Request, s *session, repo core.Repository) error {
			_, err := c.api.PullUpstream(as(r.Context(), s.of(repo)), repo.ID, client.PullUpstreamRequest{})
			return err
		}, "Sync", nil
	case "pause":
		return func(r *http.Request, s *session, repo core.Repository) error {
			_, err := c.api.PauseRepository(as(r.Context(), s.of(repo)), repo.ID)
			return err
		}, "Pause", nil
	case "resume":
		return func(r *http.Request, s *session, repo core.Repository) error {
			_, err := c.api.ResumeRepository(as(r.Context(), s.of(repo)), repo.ID)
			return err
		}, "Resume", nil
	case "share":
		name := strings.TrimSpace(form.Get("shared"))
		if name == "" {
			return nil, "", core.Errorf(core.KindInvalid, "no credential is named; go back and write the name of a shared one")
		}
		return func(r *http.Request, s *session, repo core.Repository) error {
			result, err := c.api.AssignSharedCredential(as(r.Context(), s.identity(repo.Org)), name, client.AssignRequest{Repositories: &[]string{repo.Name}})
			if err == nil && len(result.Failed) > 0 {
				err = core.Errorf(core.KindConflict, "%s", result.Failed[0].Error)
			}
			return err
		}, "Assign the shared credential " + name, nil
	case "set":
		body := client.SettingsRequest{}
		var said []string
		set := func(key string, to **string) {
			if v := strings.TrimSpace(form.Get(key)); v != "" {
				*to = &v
				said = append(said, fmt.Sprintf("%s to %s", strings.ReplaceAll(key, "_", " "), v))
			}
		}
		set("poll", &body.Poll)
		set("max_staleness", &body.MaxStaleness)
		set("retention", &body.Retention)
		if len(said) == 0 {
			return nil, "", core.Errorf(core.KindInvalid, "nothing is to be set; go back and fill in poll, max staleness or retention")
		}
		return func(r *http.Request, s *session, repo core.Repository) error {
			_, err := c.api.UpdateSettings(as(r.Context(), s.of(repo)), repo.ID, &client.UpdateSettingsParams{}, body)
			return err
		}, "Set " + strings.Join(said, ", "), nil
	}
	return nil, "", core.Errorf(core.KindInvalid, "choose what to do: sync, pause, resume, share, or set")
}

package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// overview is the first page.
type overview struct {
	Org    string
	States []stateCount
	Needs  []needCount
	Total  int
	Worst  []core.RepositoryHealth
	Plots  []plot
	Hosts  []hostRow
	Events []eventRow
	Server *Server // for the owner
	// Why a part is not shown; "": it is.
	HostsRefusal, EventsRefusal string
	// Of the last 24 hours:
	Pushes, PushesFailed int
	PushMean, PushMost   time.Duration
}

// stateCount is how many repositories are in a state.
type stateCount struct {
	State core.RepositoryState
	Count int
}

// needCount is how many repositories wait for the same.
type needCount struct {
	Need  core.RepositoryNeed
	Count int
}

// hostRow is an upstream host, with how its mirrors are.
type hostRow struct {
	Host                   string
	Mirrors, Ready, Broken int
	Oldest                 time.Time // confirmation of its oldest copy; zero: none was confirmed
	Load                   schedule.HostLoad
}

// eventRow is something that happened.
type eventRow struct {
	At             time.Time
	Type           string
	Org            string
	RepoID, Name   string
	Ref, From, New string
}

// health reads every repository that the session sees.
func (c *Console) health(r *http.Request, s *session) ([]core.RepositoryHealth, error) {
	var all []core.RepositoryHealth
	err := c.Store.Health(r.Context(), s.Org, func(h core.RepositoryHealth) error {
		if s.sees(h.Org) {
			h.Unconfirmed = len(c.Unsettled(h.RepoID)) > 0
			all = append(all, h)
		}
		return nil
	})
	return all, err
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request, s *session) error {
	all, err := c.health(r, s)
	if err != nil {
		return err
	}
	o := overview{Org: s.Org, Total: len(all)}
	counts, needs := map[core.RepositoryState]int{}, map[core.RepositoryNeed]int{}
	for _, h := range all {
		counts[h.State()]++
		needs[h.Need()]++
	}
	for _, state := range stateOrder {
		if counts[state] > 0 || !slices.Contains(rareStates, state) {
			o.States = append(o.States, stateCount{state, counts[state]})
		}
	}
	for _, need := range core.RepositoryNeeds() {
		if needs[need] > 0 {
			o.Needs = append(o.Needs, needCount{need, needs[need]})
		}
	}
	o.Worst = worst(all, 10)
	if o.HostsRefusal = refusal(c.permit(s, "listProviders")); o.HostsRefusal == "" {
		o.Hosts = c.hostRows(all)
	}
	if o.EventsRefusal = refusal(c.permit(s, "listEvents")); o.EventsRefusal == "" {
		if o.Events, err = c.events(r, s, core.EventFilter{Org: s.Org}, 12); err != nil {
			return err
		}
		// The pictures are of syncs and pushes, which are events.
		if err := c.readMinutes(r, s, &o); err != nil {
			return err
		}
	}
	if s.Owner() {
		o.Server = new(c.Server(r.Context()))
	}
	return c.show(w, r, s, http.StatusOK, "overview", page{Title: "Overview", Nav: "overview", Body: o})
}

// readMinutes reads what the pictures of the last 24 hours show, and the sums beside them.
func (c *Console) readMinutes(r *http.Request, s *session, o *overview) error {
	minutes, err := c.Store.ConsoleMinutes(r.Context(), s.Org, c.Clock.Now().Add(-24*time.Hour))
	if err != nil {
		return err
	}
	var spent time.Duration
	for _, m := range minutes {
		o.Pushes += m.PushesOK + m.PushesFailed
		o.PushesFailed += m.PushesFailed
		spent += m.PushTime
		o.PushMost = max(o.PushMost, m.PushSlowest)
	}
	if o.Pushes > 0 {
		o.PushMean = spent / time.Duration(o.Pushes)
	}
	for _, name := range []string{"lag", "syncs", "pushes"} {
		o.Plots = append(o.Plots, c.overviewPlot(name, minutes))
	}
	return nil
}

// worst returns the mirrors that need a look most: those without a confirmation first,
// then the oldest copies.
func worst(all []core.RepositoryHealth, n int) []core.RepositoryHealth {
	var mirrors []core.RepositoryHealth
	for _, h := range all {
		if h.Synced && !h.Paused { // those are old on purpose
			mirrors = append(mirrors, h)
		}
	}
	slices.SortFunc(mirrors, func(a, b core.RepositoryHealth) int {
		return cmp.Or(a.ObservedAt.Compare(b.ObservedAt), cmp.Compare(a.Name, b.Name))
	})
	return mirrors[:min(n, len(mirrors))]
}

// hostRows sums mirrors up by host. What the scheduler does at a host is not of one
// organisation, but says no more than how busy and how willing the host is.
func (c *Console) hostRows(all []core.RepositoryHealth) []hostRow {
	rows := map[string]*hostRow{}
	for _, h := range all {
		if !h.Synced {
			continue
		}
		row := rows[h.Host]
		if row == nil {
			row = &hostRow{Host: h.Host}
			rows[h.Host] = row
		}
		row.Mirrors++
		switch h.State() {
		case core.RepositoryReady:
			row.Ready++
		case core.RepositoryFailing, core.RepositoryHeld, core.RepositoryWaiting:
			row.Broken++
		}
		if !h.Paused && !h.ObservedAt.IsZero() && (row.Oldest.IsZero() || h.ObservedAt.Before(row.Oldest)) {
			row.Oldest = h.ObservedAt
		}
	}
	for _, load := range c.Hosts() {
		if row := rows[load.Host]; row != nil {
			row.Load = load
		}
	}
	out := make([]hostRow, 0, len(rows))
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b hostRow) int { return cmp.Or(b.Broken-a.Broken, cmp.Compare(a.Host, b.Host)) })
	return out
}

// overviewPlot draws minutes of the last 24 hours.
func (c *Console) overviewPlot(name string, minutes []core.ConsoleMinute) plot {
	now := c.Clock.Now()
	p := plot{From: now.Add(-24 * time.Hour).Unix(), To: now.Unix() + 60, URL: c.base + "/data/" + name}
	switch name {
	case "syncs":
		p.Label, p.Kind, p.Unit, p.Per = "Syncs by outcome", "bars", "n", "24 hours, by half hours, UTC"
		p.Series = []series{{Name: "succeeded", Class: "ok"}, {Name: "unchanged", Class: "calm"}, {Name: "held", Class: "held"}, {Name: "failed", Class: "bad"}}
		p.buckets(48)
		for _, m := range minutes {
			for i, n := range []int{m.Succeeded, m.Unchanged, m.SyncsHeld, m.SyncsFailed} {
				p.sum(i, m.At, float64(n))
			}
		}
	case "pushes":
		p.Label, p.Kind, p.Unit, p.Per = "Pushes", "bars", "n", "24 hours, by half hours, UTC"
		p.Series = []series{{Name: "taken", Class: "ok"}, {Name: "not taken", Class: "bad"}}
		p.buckets(48)
		for _, m := range minutes {
			p.sum(0, m.At, float64(m.PushesOK))
			p.sum(1, m.At, float64(m.PushesFailed))
		}
	default:
		p.Label, p.Kind, p.Unit, p.Per = "Lag behind the upstreams", "line", "s", "24 hours, UTC"
		p.Series = []series{{Name: "half of the mirrors", Class: "ok"}, {Name: "19 of 20", Class: "held"}, {Name: "the oldest", Class: "bad"}}
		p.buckets(240)
		for _, m := range minutes {
			if m.LagMax == 0 {
				continue
			}
			p.most(0, m.At, m.LagMedian.Seconds())
			p.most(1, m.At, m.LagMost.Seconds())
			p.most(2, m.At, m.LagMax.Seconds())
		}
	}
	return p
}

func (c *Console) overviewData(w http.ResponseWriter, r *http.Request, s *session) error {
	name := r.PathValue("plot")
	if !slices.Contains([]string{"lag", "syncs", "pushes"}, name) {
		return core.Errorf(core.KindNotFound, "there is no such picture")
	}
	minutes, err := c.Store.ConsoleMinutes(r.Context(), s.Org, c.Clock.Now().Add(-24*time.Hour))
	if err != nil {
		return err
	}
	return c.json(w, c.overviewPlot(name, minutes))
}

// eventsBack is how far back in the feed what happened is looked for.
const eventsBack = 1000

// events lists what happened last, newest first; of one repository, or of all that the
// session sees.
func (c *Console) events(r *http.Request, s *session, of core.EventFilter, n int) ([]eventRow, error) {
	last, err := c.Store.LastSeq(r.Context())
	if err != nil {
		return nil, err
	}
	after := max(last-eventsBack, 0)
	of.After, of.Limit = after, eventsBack
	var events []core.Event
	if of.Org == "" {
		events, err = c.Store.Events(r.Context(), after, eventsBack)
	} else {
		events, err = c.Store.EventsOf(r.Context(), of)
	}
	if err != nil {
		return nil, err
	}
	var rows []eventRow
	for _, e := range slices.Backward(events) {
		if !s.sees(e.Org) || len(rows) == n {
			continue
		}
		row := eventRow{At: e.CreatedAt, Type: e.Type, Org: e.Org, RepoID: e.RepoID, Ref: e.Ref}
		var body struct {
			Repository core.EventRepository `json:"repository"`
			Ref        string               `json:"ref"`
			Before     string               `json:"before"`
			After      string               `json:"after"`
		}
		if json.Unmarshal(e.Payload, &body) == nil {
			row.Name, row.From, row.New = cmp.Or(body.Repository.RepoName, body.Repository.URL), body.Before, body.After
			row.Ref = cmp.Or(row.Ref, body.Ref)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

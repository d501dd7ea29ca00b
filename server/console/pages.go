package console

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// hostsPage is upstream hosts and the plugins that know them.
type hostsPage struct {
	Hosts   []hostRow
	Plugins []client.ProviderStatus // for the owner alone: they are the machine's
	Server  *Server
}

func (c *Console) hosts(w http.ResponseWriter, r *http.Request, s *session) error {
	all, err := c.health(r, s)
	if err != nil {
		return err
	}
	v := hostsPage{Hosts: c.hostRows(all)}
	if s.Owner() {
		list, err := c.api.ListProviders(as(r.Context(), s.identity("")))
		if err != nil {
			return err
		}
		v.Plugins, v.Server = list.Providers, new(c.Server(r.Context()))
	}
	return c.show(w, r, s, http.StatusOK, "hosts", page{Title: "Hosts and plugins", Nav: "hosts", Body: v})
}

// orgChoice is a page about one organisation at a time, of which the owner has a choice.
type orgChoice struct {
	Org  string
	Orgs []string // for the owner
}

// chosen returns which organisation a page is about. Errors: KindNotFound.
func (c *Console) chosen(r *http.Request, s *session) (orgChoice, error) {
	if !s.Owner() {
		return orgChoice{Org: s.Org}, nil
	}
	all, err := c.Store.Orgs(r.Context())
	if err != nil {
		return orgChoice{}, err
	}
	choice := orgChoice{Org: r.URL.Query().Get("org")}
	found := choice.Org == ""
	for _, o := range all {
		choice.Orgs = append(choice.Orgs, o.Name)
		found = found || o.Name == choice.Org
	}
	if !found || len(all) == 0 {
		return choice, core.Errorf(core.KindNotFound, "there is no such organisation")
	}
	if choice.Org == "" {
		choice.Org = all[0].Name
	}
	return choice, nil
}

type deliveriesPage struct {
	orgChoice
	Webhooks []webhookRow
	Refusal  string
}

func (c *Console) deliveries(w http.ResponseWriter, r *http.Request, s *session) error {
	choice, err := c.chosen(r, s)
	if err != nil {
		return err
	}
	v := deliveriesPage{orgChoice: choice}
	v.Webhooks, err = c.webhooks(r, s, choice.Org, "", 20)
	v.Refusal = refusal(err)
	return c.show(w, r, s, http.StatusOK, "deliveries", page{Title: "Deliveries", Nav: "deliveries", Body: v})
}

type auditPage struct {
	orgChoice
	Actor, Action string
	Entries       []client.AuditEntry
	Next          string
	Refusal       string
}

func (c *Console) audit(w http.ResponseWriter, r *http.Request, s *session) error {
	choice, err := c.chosen(r, s)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	v := auditPage{orgChoice: choice, Actor: q.Get("actor"), Action: q.Get("action")}
	params := &client.ListAuditParams{Limit: new(50)}
	for _, p := range []struct {
		value string
		to    **string
	}{{v.Actor, &params.Actor}, {v.Action, &params.Action}, {q.Get("cursor"), &params.Cursor}} {
		if p.value != "" {
			*p.to = &p.value
		}
	}
	list, err := c.api.ListAudit(as(r.Context(), s.identity(choice.Org)), params)
	v.Refusal = refusal(err)
	v.Entries, v.Next = list.Entries, list.NextCursor
	return c.show(w, r, s, http.StatusOK, "audit", page{Title: "Audit", Nav: "audit", Body: v})
}

type organisationsPage struct {
	orgChoice
	All         []organisationRow // for the owner
	Keys        []client.Key
	Revocations []client.Revocation
	Sessions    []core.ConsoleSession
	// Why a part is not shown; "": it is.
	KeysRefusal, RevocationsRefusal, SessionsRefusal string

	Organisation  client.Organisation // what it uses and may use
	LimitsRefusal string
}

type organisationRow struct {
	core.Org
	Repositories, Mirrors, Broken int
}

func (c *Console) organisations(w http.ResponseWriter, r *http.Request, s *session) error {
	choice, err := c.chosen(r, s)
	if err != nil {
		return err
	}
	v := organisationsPage{orgChoice: choice}
	if s.Owner() {
		if v.All, err = c.organisationRows(r, s); err != nil {
			return err
		}
	}
	ctx := as(r.Context(), s.identity(choice.Org))
	keys, err := c.api.ListKeys(ctx)
	v.KeysRefusal, v.Keys = refusal(err), keys.Keys
	v.Organisation, err = c.api.GetOrganisation(ctx)
	v.LimitsRefusal = refusal(err)
	revocations, err := c.api.ListRevocations(ctx, &client.ListRevocationsParams{Limit: new(20)})
	v.RevocationsRefusal, v.Revocations = refusal(err), revocations.Revocations
	// Who may not end the sessions of others does not see them.
	if v.SessionsRefusal = refusal(c.permit(s, endsSessions)); v.SessionsRefusal == "" {
		if v.Sessions, err = c.Store.ConsoleSessions(r.Context(), s.Org, c.Clock.Now()); err != nil {
			return err
		}
	}
	return c.show(w, r, s, http.StatusOK, "organisations", page{Title: "Organisations and keys", Nav: "organisations", Body: v})
}

func (c *Console) organisationRows(r *http.Request, s *session) ([]organisationRow, error) {
	orgs, err := c.Store.Orgs(r.Context())
	if err != nil {
		return nil, err
	}
	rows := make([]organisationRow, len(orgs))
	place := map[string]*organisationRow{}
	for i, o := range orgs {
		rows[i].Org = o
		place[o.Name] = &rows[i]
	}
	all, err := c.health(r, s)
	for _, h := range all {
		row := place[h.Org]
		if row == nil {
			continue
		}
		row.Repositories++
		if h.Synced {
			row.Mirrors++
		}
		if h.Need() != core.NeedNothing || h.State() == core.RepositoryFailing {
			row.Broken++
		}
	}
	return rows, err
}

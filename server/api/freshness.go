package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
)

// Freshener knows how fresh copies are, and makes them fresh. [*engine.Engine]
// implements it; see there for the errors.
type Freshener interface {
	Freshness(ctx context.Context, repo core.Repository, d core.Demand) (core.Freshness, error)
	Confirm(ctx context.Context, repo core.Repository, d core.Demand) (core.Freshness, error)
	Ensure(ctx context.Context, repo core.Repository, q engine.EnsureRequest) (engine.Ensured, error)
}

// The headers of freshness. The first two are answers about the copy of a
// synced repository, the others are demands.
const (
	headerObservedAt   = "Headwater-Observed-At"   // when the upstream last confirmed the copy, RFC 3339
	headerStaleness    = "Headwater-Staleness"     // whole seconds since then
	headerMaxStaleness = "Headwater-Max-Staleness" // as ?max_staleness
	headerFreshness    = "Headwater-Freshness"     // as ?freshness
)

// How long an ensure call waits, if it does not say, and at most.
const (
	ensureTimeout    = 30 * time.Second
	maxEnsureTimeout = 5 * time.Minute
)

// demand returns how fresh a copy the request wants to read: its query before
// its headers before the token.
func (c *call) demand() (core.Demand, error) {
	query := c.r.URL.Query()
	asked, err := core.ParseDemand(query.Get("max_staleness"), query.Get("freshness"))
	if err != nil {
		return asked, err
	}
	header, err := core.ParseDemand(c.r.Header.Get(headerMaxStaleness), c.r.Header.Get(headerFreshness))
	if err != nil {
		return asked, err
	}
	return asked.Or(header).Or(c.identity.Demand), nil
}

// confirm makes the copy that is about to be read as fresh as is demanded, and
// tells in the headers of the answer how fresh it is.
func (s *server) confirm(c *call) error {
	if s.Fresh == nil || c.repo.Upstream == nil {
		return nil
	}
	demand, err := c.demand()
	if err != nil {
		return err
	}
	f, err := s.Fresh.Confirm(c.ctx(), c.repo, demand)
	tellFreshness(c.w.Header(), f)
	if err != nil || !f.Looked {
		return err
	}
	// The look may have brought another default branch.
	c.repo, err = s.Lookup.Repository(c.ctx(), c.repo.Org, c.repo.ID)
	return err
}

// tellFreshness says in headers how fresh a copy is.
func tellFreshness(h http.Header, f core.Freshness) {
	if !f.Synced || f.ObservedAt.IsZero() {
		return
	}
	h.Set(headerObservedAt, f.ObservedAt.UTC().Format(time.RFC3339))
	h.Set(headerStaleness, strconv.FormatInt(int64(f.Staleness/time.Second), 10))
}

// ensureBody says what shall be here.
type ensureBody struct {
	Refs    []ensureRef     `json:"refs"`
	IDs     []core.ObjectID `json:"ids"`
	Timeout string          `json:"timeout"` // a duration; "" is 30s
}

type ensureRef struct {
	Name string        `json:"name"` // a full name, a branch or a tag
	ID   core.ObjectID `json:"id"`   // that it has, or had; "": as the upstream has it now
}

// ensuredView is what is here.
type ensuredView struct {
	Refs       []ensuredRefView `json:"refs"`
	IDs        []ensuredIDView  `json:"ids"`
	ObservedAt *core.Timestamp  `json:"observed_at,omitempty"`
}

type ensuredRefView struct {
	Name string        `json:"name"`
	ID   core.ObjectID `json:"id"` // "" if there is no such ref
	Here bool          `json:"here"`
	// Reason is what keeps it out for good: a policy, or another ref's name.
	Reason string `json:"reason,omitempty"`
}

type ensuredIDView struct {
	ID     core.ObjectID `json:"id"`
	Here   bool          `json:"here"`
	Reason string        `json:"reason,omitempty"` // why it is not, in the host's words
}

// notHere is the answer to an ensure call whose time was up.
type notHere struct {
	err  *core.Error
	view ensuredView
}

// notHereBody is its shape.
type notHereBody struct {
	errorBody
	Ensured *ensuredView `json:"ensured,omitempty"` // what is here, and what is not
}

// Error implements error.
func (e *notHere) Error() string { return e.err.Error() }

// Unwrap gives the error that the status is made of.
func (e *notHere) Unwrap() error { return e.err }

func (e *notHere) shape(body errorBody) (int, any) { return body.Status, notHereBody{body, &e.view} }

func (s *server) ensure(c *call) error {
	if s.Fresh == nil {
		return core.Errorf(core.KindUnsupported, "this server follows no upstreams")
	}
	var body ensureBody
	if err := c.body(&body); err != nil {
		return err
	}
	timeout := ensureTimeout
	if body.Timeout != "" {
		var err error
		if timeout, err = time.ParseDuration(body.Timeout); err != nil || timeout < 0 {
			return core.Errorf(core.KindInvalid, `the field "timeout" must be a duration with its unit, like "30s"`)
		}
		timeout = min(timeout, maxEnsureTimeout)
	}
	q := engine.EnsureRequest{IDs: body.IDs}
	for _, ref := range body.Refs {
		q.Refs = append(q.Refs, engine.RefWant{Name: ref.Name, ID: ref.ID})
	}
	ctx, cancel := context.WithTimeout(c.ctx(), timeout)
	defer cancel()
	found, err := s.Fresh.Ensure(ctx, c.repo, q)
	if err != nil {
		return err
	}
	tellFreshness(c.w.Header(), found.Freshness)
	view := viewEnsured(found)
	if found.All {
		return c.answer(http.StatusOK, view)
	}
	if found.Forgotten {
		return &notHere{view: view, err: core.Errorf(core.KindUpstreamTimeout,
			"what is not here was forgotten on purpose, or leads to what was, and is not waited for; \"ensured\" says which ids that are")}
	}
	why := ""
	for _, ref := range found.Refs {
		if ref.Reason != "" {
			why = ": " + ref.Reason
			break
		}
	}
	return &notHere{view: view, err: core.Errorf(core.KindUpstreamTimeout,
		"not everything that was asked for has come from the upstream within %s; \"ensured\" says what is here%s", timeout, why)}
}

func viewEnsured(found engine.Ensured) ensuredView {
	view := ensuredView{Refs: []ensuredRefView{}, IDs: []ensuredIDView{}, ObservedAt: instant(found.Freshness.ObservedAt)}
	for _, ref := range found.Refs {
		view.Refs = append(view.Refs, ensuredRefView(ref))
	}
	for _, id := range found.IDs {
		view.IDs = append(view.IDs, ensuredIDView(id))
	}
	return view
}

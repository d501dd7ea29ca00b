package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/mirrorset"
	"github.com/headwater-git/headwater/core/upstream"
)

// MirrorSets mirrors all repositories of owners. [*mirrorset.Service] implements it;
// see there for the errors.
type MirrorSets interface {
	Plan(ctx context.Context, org string, w mirrorset.Wish) (core.MirrorSet, []mirrorset.Item, error)
	Create(ctx context.Context, org string, w mirrorset.Wish) (core.MirrorSet, error)
	Set(ctx context.Context, org, id string) (core.MirrorSet, []core.MirrorEntry, error)
	Sets(ctx context.Context, org string) ([]core.MirrorSet, error)
	Delete(ctx context.Context, org, id string) error
}

var _ MirrorSets = (*mirrorset.Service)(nil)

// mirrorSetBody is what a mirror set wishes for.
type mirrorSetBody struct {
	Provider   string   `json:"provider"`
	Host       string   `json:"upstream_host"`
	Owner      string   `json:"owner"`
	Public     bool     `json:"public"`
	Prefix     string   `json:"prefix"`
	Include    []string `json:"include"`
	Exclude    []string `json:"exclude"`
	Archived   bool     `json:"archived"`
	Forks      bool     `json:"forks"`
	Credential string   `json:"credential"`
	Follow     bool     `json:"follow"`
}

func (b mirrorSetBody) wish() (mirrorset.Wish, error) {
	if b.Provider == "" || b.Owner == "" {
		return mirrorset.Wish{}, core.Errorf(core.KindInvalid, "the fields \"provider\" and \"owner\" are required")
	}
	return mirrorset.Wish{
		Owner:  upstream.OwnerRequest{Provider: b.Provider, Public: b.Public, Host: b.Host, Owner: b.Owner},
		Prefix: b.Prefix, Include: b.Include, Exclude: b.Exclude, Archived: b.Archived, Forks: b.Forks, Credential: b.Credential, Follow: b.Follow,
	}, nil
}

// mirrorSetView is a mirror set in answers.
type mirrorSetView struct {
	ID         string            `json:"id,omitempty"`
	Provider   string            `json:"provider"`
	Host       string            `json:"upstream_host"`
	Owner      string            `json:"owner"`
	Prefix     string            `json:"prefix,omitempty"`
	Include    []string          `json:"include"`
	Exclude    []string          `json:"exclude"`
	Archived   bool              `json:"archived"`
	Forks      bool              `json:"forks"`
	Credential string            `json:"credential_id,omitempty"`
	Follow     bool              `json:"follow"`
	Looking    bool              `json:"looking"` // a look is due or under way
	LookedAt   *core.Timestamp   `json:"looked_at,omitempty"`
	NextLookAt *core.Timestamp   `json:"next_look_at,omitempty"`
	Failures   int               `json:"failures"`
	Error      string            `json:"error,omitempty"`
	Totals     map[string]int    `json:"totals,omitempty"` // repositories by action, and those that are "ready" and "failing"
	Entries    []mirrorEntryView `json:"entries,omitempty"`
}

// mirrorEntryView is one repository of a mirror set.
type mirrorEntryView struct {
	Path       string            `json:"path"`
	UpstreamID string            `json:"upstream_id"`
	Name       string            `json:"name"`
	RepoID     string            `json:"repo_id,omitempty"`
	Action     core.MirrorAction `json:"action"`
	Reason     string            `json:"reason,omitempty"`
	Ready      bool              `json:"ready"`
	Class      core.ErrorClass   `json:"class,omitempty"`
	Error      string            `json:"error,omitempty"`
}

// mirrorSetList is the mirror sets of an organisation, by host and owner.
type mirrorSetList struct {
	MirrorSets []mirrorSetView `json:"mirror_sets"`
}

func (s *server) viewMirrorSet(m core.MirrorSet, entries []core.MirrorEntry) mirrorSetView {
	v := mirrorSetView{
		ID: m.ID, Provider: m.Provider, Host: m.Host, Owner: m.Owner, Prefix: m.Prefix, Include: m.Include, Exclude: m.Exclude,
		Archived: m.Archived, Forks: m.Forks, Credential: m.CredentialID, Follow: m.Follow, LookedAt: moment(m.LookedAt),
		NextLookAt: moment(m.NextLookAt), Failures: m.Failures, Error: m.LastError,
		Looking: !m.NextLookAt.IsZero() && !m.NextLookAt.After(s.Clock.Now()),
	}
	if v.Include == nil {
		v.Include = []string{}
	}
	if v.Exclude == nil {
		v.Exclude = []string{}
	}
	if entries == nil {
		return v
	}
	v.Totals = map[string]int{}
	for _, e := range entries {
		one := mirrorEntryView{
			Path: e.Path, UpstreamID: e.UpstreamID, Name: e.Name, RepoID: e.RepoID, Action: e.Action, Reason: e.Reason, Ready: e.Ready,
		}
		v.Totals[string(e.Action)]++
		if e.Exists && e.Failures > 0 {
			one.Class, one.Error = e.LastClass, e.LastError
			v.Totals["failing"]++
		} else if e.Ready {
			v.Totals["ready"]++
		}
		v.Entries = append(v.Entries, one)
	}
	return v
}

// sets makes an operation of a function that needs [MirrorSets].
func sets(serve func(s *server, c *call) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Sets == nil {
			return core.Errorf(core.KindUnsupported, "this server has no mirror sets")
		}
		return serve(s, c)
	}
}

func (s *server) planMirrorSet(c *call) error {
	var body mirrorSetBody
	if err := c.body(&body); err != nil {
		return err
	}
	wish, err := body.wish()
	if err != nil {
		return err
	}
	set, items, err := s.Sets.Plan(c.ctx(), c.identity.Org, wish)
	if err != nil {
		return err
	}
	entries := make([]core.MirrorEntry, 0, len(items))
	for _, i := range items {
		entries = append(entries, i.MirrorEntry)
	}
	set.ID = "" // it need not exist
	return c.answer(http.StatusOK, s.viewMirrorSet(set, entries))
}

func (s *server) createMirrorSet(c *call) error {
	var body mirrorSetBody
	if err := c.body(&body); err != nil {
		return err
	}
	wish, err := body.wish()
	if err != nil {
		return err
	}
	set, err := s.Sets.Create(c.ctx(), c.identity.Org, wish)
	if err != nil {
		return err
	}
	c.changed = set.ID
	return c.answer(http.StatusAccepted, s.viewMirrorSet(set, nil))
}

func (s *server) listMirrorSets(c *call) error {
	all, err := s.Sets.Sets(c.ctx(), c.identity.Org)
	if err != nil {
		return err
	}
	list := mirrorSetList{MirrorSets: []mirrorSetView{}}
	for _, one := range all {
		list.MirrorSets = append(list.MirrorSets, s.viewMirrorSet(one, nil))
	}
	return c.answer(http.StatusOK, list)
}

func (s *server) getMirrorSet(c *call) error {
	id, err := c.segment("set")
	if err != nil {
		return err
	}
	set, entries, err := s.Sets.Set(c.ctx(), c.identity.Org, id)
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []core.MirrorEntry{}
	}
	return c.answer(http.StatusOK, s.viewMirrorSet(set, entries))
}

func (s *server) deleteMirrorSet(c *call) error {
	id, err := c.segment("set")
	if err != nil {
		return err
	}
	if err := s.Sets.Delete(c.ctx(), c.identity.Org, id); err != nil {
		return err
	}
	return c.answer(http.StatusNoContent, nil)
}

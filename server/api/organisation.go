package api

import (
	"context"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Quotas holds organisations to what they may use.
type Quotas interface {
	// CheckRoom is KindTooLarge if nothing may be added to the organisation's repositories.
	CheckRoom(ctx context.Context, org string) error
}

// Organisation is what is known of organisations. [core.Store] implements it.
type Organisation interface {
	Org(ctx context.Context, name string) (core.Org, error)
	OrgLimits(ctx context.Context, org string) (core.OrgLimits, error)
	OrgUsage(ctx context.Context, org string) (core.OrgUsage, error)
	BeginDeleteOrg(ctx context.Context, name string, at time.Time) error
}

// organisationView is an organisation in answers.
type organisationView struct {
	Name      string         `json:"name"`
	CreatedAt core.Timestamp `json:"created_at"`
	Usage     usageView      `json:"usage"`
	Limits    limitsView     `json:"limits"`
}

// usageView is what an organisation uses.
type usageView struct {
	Repositories int   `json:"repositories"`
	DiskBytes    int64 `json:"disk_bytes"` // of the folders of its repositories, as they were last measured
}

// limitsView is what an organisation may use; 0 is no limit.
type limitsView struct {
	Repositories  int   `json:"repositories"`
	DiskBytes     int64 `json:"disk_bytes"`
	Requests      int   `json:"requests_per_second"`       // of all its tokens
	TokenRequests int   `json:"token_requests_per_second"` // of one token
	NoPublicRead  bool  `json:"no_public_read"`            // its repositories cannot be read without a token
}

// getOrganisation shows the organisation of the token.
func (s *server) getOrganisation(c *call) error {
	if s.Organisation == nil {
		return core.Errorf(core.KindUnsupported, "this server tells nothing of organisations")
	}
	org, err := s.Organisation.Org(c.ctx(), c.identity.Org)
	if err != nil {
		return err
	}
	limits, err := s.Organisation.OrgLimits(c.ctx(), org.Name)
	if err != nil {
		return err
	}
	usage, err := s.Organisation.OrgUsage(c.ctx(), org.Name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, organisationView{
		Name: org.Name, CreatedAt: core.Timestamp(org.CreatedAt), Usage: usageView(usage), Limits: limitsView(limits),
	})
}

// deleteOrganisationBody is the body of a deletion: the name again, so that no slip of a
// hand deletes everything.
type deleteOrganisationBody struct {
	Name string `json:"name"`
}

// deletedOrganisation is the answer to it.
type deletedOrganisation struct {
	Name         string `json:"name"`
	Message      string `json:"message"`
	Repositories int    `json:"repositories"` // that are being deleted
}

func (s *server) deleteOrganisation(c *call) error {
	if s.Organisation == nil {
		return core.Errorf(core.KindUnsupported, "this server tells nothing of organisations")
	}
	var body deleteOrganisationBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Name != c.identity.Org {
		return core.Errorf(core.KindInvalid, "name must be %q, the name of the organisation that is to be deleted with everything it has", c.identity.Org)
	}
	usage, err := s.Organisation.OrgUsage(c.ctx(), body.Name)
	if err != nil {
		return err
	}
	c.changed = body.Name
	if err := s.Organisation.BeginDeleteOrg(c.ctx(), body.Name, s.Clock.Now()); err != nil {
		return err
	}
	s.Verifier.Outdate() // the answer says so, and the keys may be in memory for another second
	return c.answer(http.StatusAccepted, deletedOrganisation{body.Name, "the organisation is being deleted; none of its tokens opens anything any more", usage.Repositories})
}

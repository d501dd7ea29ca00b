package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/middleware"
)

// call is one authorised request on its way through an operation.
type call struct {
	w        *middleware.Exchange
	r        *http.Request
	identity access.Identity
	repo     core.Repository // with target oneRepository; else with credentialID or organisationOrRepository if the token names one
	action   action
	grace    time.Duration // of the body, see [middleware.Paced]
	changed  string        // for the audit: id of what was changed, if it is not in the path
	etag     string        // of a read that knows it before its answer, see [server.unchanged]
	audited  atomic.Bool   // a write session, or the transaction of the change, has made the audit entry
}

func (c *call) ctx() context.Context { return c.r.Context() }

// body is [readBody].
func (c *call) body(dest any) error { return c.read(readBody, dest) }

// change is [readChange] for an operation to begin with.
func (c *call) change(dest any) error { return c.read(readChange, dest) }

// read reads the body, once there is a place for it in memory.
func (c *call) read(read func(http.ResponseWriter, *http.Request, time.Duration, any) error, dest any) error {
	if err := middleware.HoldBody(c.w, c.r, c.repo.ID); err != nil {
		return err
	}
	return read(c.w, c.r, c.grace, dest)
}

// answer answers with body as JSON, for an operation to end with. A read has an ETag.
func (c *call) answer(status int, body any) error {
	if status == http.StatusOK && body != nil && isRead(c.r.Method) {
		c.conditionally(encodeJSON(body))
		return nil
	}
	writeJSON(c.w, status, body)
	return nil
}

// segment returns a variable of the path, percent-decoded once; "" if the
// route has none of that name.
func (c *call) segment(name string) (string, error) {
	decoded, err := url.PathUnescape(mux.Vars(c.r)[name])
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "the path is not percent-encoded as it should be")
	}
	return decoded, nil
}

// authorise checks that the token opens the operation on what the path and the
// claim "repo" name. It finds the repository.
//
// Whether a path is about the token's repository is decided before the answer
// shows whether anything exists there.
func (s *server) authorise(c *call, op operation) error {
	if err := s.access.Authorise(c.identity, op.opens(c.identity.OrgWide())); err != nil {
		return err
	}
	switch op.target {
	case anything:
		return nil
	case organisation:
		if !c.identity.OrgWide() {
			return core.Errorf(core.KindPermission, `this call is for the organisation; leave the claim "repo" out of the token or make it "org"`)
		}
		return nil
	case credentialID, organisationOrRepository:
		if c.identity.OrgWide() {
			return nil
		}
	}
	if c.identity.OrgWide() {
		return core.Errorf(core.KindPermission, `the token names no repository; put its name into the claim "repo"`)
	}
	switch op.target {
	case newRepository:
		return nil
	case inTheTrash:
		return s.inTrash(c)
	}
	name, err := c.segment("name")
	if err != nil {
		return err
	}
	if name == "" {
		name = c.identity.Repo
	}
	c.repo, err = s.access.Repository(c.ctx(), c.identity, name)
	return err
}

// bearerToken returns the token of the header Authorization.
func bearerToken(r *http.Request) (string, error) {
	token := strings.TrimSpace(middleware.BearerToken(r))
	if token == "" {
		return "", core.Errorf(core.KindUnauthenticated, "send a token in the header Authorization: Bearer TOKEN")
	}
	return token, nil
}

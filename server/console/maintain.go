package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// maintain switches the read-only mode of the server on or off.
func (c *Console) maintain(w http.ResponseWriter, r *http.Request, s *session) error {
	mode, code := core.ReadOnlyMode{}, "writes"
	switch r.PostFormValue("mode") {
	case "read-only":
		mode = core.ReadOnlyMode{Since: c.Clock.Now(), Reason: strings.TrimSpace(r.PostFormValue("reason"))}
		code = "readonly"
		if len(mode.Reason) > 500 {
			return core.Errorf(core.KindInvalid, "the reason is longer than 500 bytes")
		}
	case "writes":
	default:
		return core.Errorf(core.KindInvalid, "choose what to do: read-only, or writes")
	}
	if err := c.Store.SetReadOnly(r.Context(), mode); err != nil {
		return err
	}
	if err := c.record(r, s.ConsoleSession, "server."+code); err != nil {
		return err
	}
	return c.done(w, r, "/#server", code)
}

// changeLimits sets what an organisation may use, and has syncs tried again that failed
// for a smaller limit.
func (c *Console) changeLimits(w http.ResponseWriter, r *http.Request, s *session) error {
	org := r.PostFormValue("org")
	limits, err := readLimits(r)
	if err != nil {
		return err
	}
	old, err := c.Store.OrgLimits(r.Context(), org)
	if err != nil {
		return err
	}
	var due []string
	err = c.Store.Tx(r.Context(), func(q core.Queries) error {
		if err := q.SetOrgLimits(r.Context(), org, limits); err != nil {
			return err
		}
		if limits.DiskBytes != 0 && limits.DiskBytes <= old.DiskBytes {
			return nil
		}
		var err error
		due, err = q.RetryTooLarge(r.Context(), org)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.note(r, org, s.ConsoleSession, core.AuditEntry{Action: "org.limits", Outcome: core.OutcomeOK}); err != nil {
		return err
	}
	// They are due now; asking for them has the scheduler look at once.
	for _, id := range due[:min(len(due), maxBulk)] {
		repo := core.Repository{ID: id, Org: org}
		if _, err := c.api.PullUpstream(as(r.Context(), s.of(repo)), id, client.PullUpstreamRequest{}); err != nil {
			c.Logger.Info("a sync that a limit had stopped was not asked for", "repo_id", id, "error", err)
		}
	}
	return c.done(w, r, "/organisations?org="+url.QueryEscape(org)+"#limits", "limits")
}

// readLimits reads the form; an empty field is no limit. Errors: KindInvalid.
func readLimits(r *http.Request) (l core.OrgLimits, err error) {
	for name, to := range map[string]*int{"repositories": &l.Repositories, "requests": &l.Requests, "token_requests": &l.TokenRequests} {
		if text := strings.TrimSpace(r.PostFormValue(name)); text != "" {
			if *to, err = strconv.Atoi(text); err != nil {
				return l, core.Errorf(core.KindInvalid, "%s must be a number", strings.ReplaceAll(name, "_", " "))
			}
		}
	}
	if text := strings.TrimSpace(r.PostFormValue("disk")); text != "" {
		if l.DiskBytes, err = core.ParseByteSize(text); err != nil {
			return l, err
		}
	}
	l.NoPublicRead = !r.PostForm.Has("public_read")
	return l, l.Validate()
}

package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
)

// exportBatch is how many entries an export reads at a time.
const exportBatch = 500

// exportAudit writes all entries of the organisation, a line each.
func (s *server) exportAudit(c *call) error {
	if s.Audit == nil {
		return core.Errorf(core.KindUnsupported, "this server keeps no audit")
	}
	query := params{c.r.URL.Query()}
	since, err := parseInstant("since", query.Get("since"))
	if err != nil {
		return err
	}
	until, err := parseInstant("until", query.Get("until"))
	if err != nil {
		return err
	}
	filter := core.AuditFilter{Org: c.identity.Org, Limit: exportBatch}
	entries, err := s.Audit.Audit(c.ctx(), filter)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	out := json.NewEncoder(c.w)
	for {
		for _, e := range entries {
			if !since.IsZero() && e.At.Before(since) {
				return nil // all that follow are older
			}
			if !until.IsZero() && !e.At.Before(until) {
				continue
			}
			if err := out.Encode(viewAudit(e)); err != nil {
				s.cutOff(c, err)
			}
		}
		if len(entries) < exportBatch {
			return nil
		}
		filter.Before = entries[len(entries)-1].ID
		if entries, err = s.Audit.Audit(c.ctx(), filter); err != nil {
			s.cutOff(c, err)
		}
	}
}

// parseInstant reads a parameter that is a point in time, zero if it is absent.
func parseInstant(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, core.Errorf(core.KindInvalid, "the parameter %q must be a time as in RFC 3339, like 2026-01-31T12:00:00Z", name)
	}
	return at, nil
}

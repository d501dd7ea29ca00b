package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/headwater-git/headwater/core"
)

// ProviderStatus is the state of one provider instance, for an operator.
type ProviderStatus struct {
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Hosts      []string          `json:"hosts"`                // that its block in providers.hcl names
	BasePaths  map[string]string `json:"base_paths,omitempty"` // by host: the path that its repositories are below
	Builtin    bool              `json:"builtin"`
	State      string            `json:"state"`
	PID        int               `json:"pid,omitempty"`
	Generation int               `json:"generation"` // processes started so far
	Crashes    int               `json:"crashes"`
	LastStart  *core.Timestamp   `json:"last_start,omitempty"`
	RetryAt    *core.Timestamp   `json:"retry_at,omitempty"`
	LastError  string            `json:"last_error,omitempty"`
	Stderr     []string          `json:"stderr,omitempty"` // last lines, secrets cut out

	Replay *ReplayStatus `json:"replay,omitempty"` // last look for webhooks that never arrived
}

func (s *server) listProviders(c *call) error {
	list := []ProviderStatus{}
	if s.Providers != nil {
		list = append(list, s.Providers()...)
	}
	for i := range list {
		if list[i].Hosts == nil {
			list[i].Hosts = []string{} // never null
		}
	}
	return c.answer(http.StatusOK, map[string]any{"providers": list})
}

// health answers that the process lives. It is neither logged nor guarded:
// load balancers ask it all the time.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": s.Version})
}

// ready answers whether requests can be taken, 200 or 503. While nothing can be
// written reads are served all the same, so a load balancer must not take them away:
// that is 200 with another status, and 503 for who asks for writes.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	writes, err := wantsWrites(r)
	if err != nil {
		writeStatusError(w, http.StatusBadRequest, core.KindInvalid, core.MessageOf(err))
		return
	}
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			s.Logger.Warn("not ready", "error", err)
			text := "the server cannot take requests now"
			if core.KindOf(err) == core.KindDamaged {
				text = core.MessageOf(err) // what the operator has to do
			}
			writeStatusError(w, http.StatusServiceUnavailable, core.KindOf(err), text)
			return
		}
	}
	answer := map[string]any{"status": "ready"}
	if err := s.takesWrites(r.Context()); err != nil {
		if writes {
			writeStatusError(w, http.StatusServiceUnavailable, core.KindOf(err), core.MessageOf(err))
			return
		}
		answer["status"] = "read-only"
	}
	if s.Problems != nil {
		if problems := s.Problems(); len(problems) > 0 {
			answer["problems"] = problems
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// takesWrites returns why nothing is written: the disk cannot be, or an operator wants it
// so. The operator's reason is for those who have a token, and this is for everybody.
func (s *server) takesWrites(ctx context.Context) error {
	if s.Writable != nil {
		if err := s.Writable(); err != nil {
			return err
		}
	}
	err := s.ReadOnly.Check(ctx)
	if core.KindOf(err) == core.KindReadOnly {
		return core.Errorf(core.KindReadOnly, "an operator has the server take no writes for a while; reads go on")
	}
	return err
}

// wantsWrites reads whether a server that only reads is not ready. Errors: KindInvalid: what
// watches the server must not believe in writes because it asked in another way.
func wantsWrites(r *http.Request) (bool, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, errQuery
	}
	if err := paramWrites.check(query, false); err != nil {
		return false, err
	}
	return params{query}.flag(paramWrites.name)
}

// readOnly answers 405 to everything but GET and HEAD.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if isRead(r.Method) {
		return true
	}
	methodNotAllowed(w, map[string]operation{http.MethodGet: {}})
	return false
}

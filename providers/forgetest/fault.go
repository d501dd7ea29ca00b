package forgetest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault makes a forge misbehave. Of its effects, Before and Latency come
// first, then the one of Stall, Drop, Status or Endless that is set, else the
// request is served, under EmptyListing, DropReply and HalfReply.
type Fault struct {
	Kinds []Kind // requests it applies to; nil: all but KindOther
	Repo  string // path of the repository; "": any, and API requests
	Times int    // how many requests it applies to; 0: until it is removed

	// Before is called when a matching request has arrived; the request
	// waits for it to return.
	Before func()
	// Latency delays the request.
	Latency time.Duration
	// Stall never answers: until the client leaves or the forge closes.
	Stall bool
	// Drop cuts the connection at the first bytes of an answer, before any
	// work. (Without a single byte, curl may quietly ask again.)
	Drop bool
	// Status answers with this status, Header and Body, in plain text.
	Status     int
	Header     http.Header
	Body       string
	RetryAfter time.Duration // with Status: the Retry-After header, in seconds
	// Echo, with Status, answers with the request's own credential in the
	// body, as careless hosts do. [Forge.Echoed] tells which those were.
	Echo bool
	// Endless answers 200 with data that never ends.
	Endless bool
	// EmptyListing lists no refs, as hosts do during incidents.
	EmptyListing bool
	// DropReply does the work, then cuts the connection like Drop: a push is
	// applied and its outcome is unknown.
	DropReply bool
	// HalfReply does the work and answers 200 with the first half of the answer's
	// body, as a proxy with a full disk does. Git waits for the rest for ever.
	HalfReply bool
}

// fault is a Fault in force.
type fault struct {
	Fault
	left int
}

// Inject puts a fault in force and returns what removes it. Of several faults
// that match a request, the one injected first applies.
func (f *Forge) Inject(x Fault) (remove func()) {
	entry := &fault{Fault: x, left: x.Times}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, entry)
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(e *fault) bool { return e == entry })
	})
}

// FailNext answers the next n requests with a status.
func (f *Forge) FailNext(n, status int) { f.Inject(Fault{Times: n, Status: status}) }

// ClearFaults removes every fault.
func (f *Forge) ClearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// faultFor takes the fault that applies to a request, if there is one.
func (f *Forge) faultFor(kind Kind, repo string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, x := range f.faults {
		if x.Repo != "" && f.key(x.Repo) != f.key(repo) {
			continue
		}
		if x.Kinds == nil && kind == KindOther || x.Kinds != nil && !slices.Contains(x.Kinds, kind) {
			continue
		}
		if x.Times > 0 {
			if x.left--; x.left == 0 {
				f.faults = slices.Delete(f.faults, i, i+1)
			}
		}
		return x.Fault
	}
	return Fault{}
}

// disturb applies the part of a fault that comes before the work. It reports
// whether the request has been dealt with.
func (f *Forge) disturb(w *replyWriter, r *http.Request, x Fault) bool {
	if x.Before != nil {
		x.Before()
	}
	if x.Latency > 0 {
		timer := time.NewTimer(x.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-f.ctx.Done():
		}
	}
	switch {
	case x.Stall:
		select {
		case <-r.Context().Done():
		case <-f.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case x.Drop:
		cut(w)
	case x.Status != 0:
		maps.Copy(w.Header(), x.Header)
		if x.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(x.RetryAfter.Seconds())))
		}
		body := x.Body
		if x.Echo {
			body += f.echo(r)
		}
		f.refuse(w, answer{x.Status, body})
		return true
	case x.Endless:
		f.ramble(w, r)
		return true
	}
	return false
}

// echo returns an error body with the secret that a request carries.
func (f *Forge) echo(r *http.Request) string {
	_, secret, ok := r.BasicAuth()
	if !ok {
		_, secret, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	}
	if c := f.rules.custom; c != nil {
		secret = c.Token(r)
	}
	if secret == "" {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.echoed = append(f.echoed, secret)
	return `{"message": "bad credential ` + secret + `"}`
}

// Echoed returns the secrets that [Fault.Echo] has sent back.
func (f *Forge) Echoed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.echoed)
}

// cut sends the head of an answer and closes the connection.
func cut(w *replyWriter) {
	client := w.ResponseWriter // past the record: this is no answer
	client.Header().Set("Content-Length", "1000")
	client.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(client).Flush()
	panic(http.ErrAbortHandler)
}

// ramble writes progress messages of git's protocol until somebody leaves.
func (f *Forge) ramble(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Accept"))
	packet := []byte(pktLine("\x02still counting objects\n"))
	for r.Context().Err() == nil && f.ctx.Err() == nil {
		if _, err := w.Write(packet); err != nil {
			return
		}
	}
}

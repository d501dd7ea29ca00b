package forgetest

import (
	"bytes"
	"strings"
	"time"
)

// Kind says what a request to a forge is for.
type Kind string

// The kinds of requests.
const (
	KindDiscover     Kind = "discover"      // GET info/refs for a fetch; protocol v0 lists refs here
	KindListRefs     Kind = "list-refs"     // POST git-upload-pack, command ls-refs
	KindFetch        Kind = "fetch"         // POST git-upload-pack, any other
	KindPushDiscover Kind = "push-discover" // GET info/refs for a push
	KindPush         Kind = "push"          // POST git-receive-pack
	KindAPI          Kind = "api"
	KindOther        Kind = "other"
)

// RefUpdate is one command of a push.
type RefUpdate struct {
	Name string
	Old  string
	New  string
}

// Deletes reports whether the update deletes its ref.
func (u RefUpdate) Deletes() bool { return strings.Trim(u.New, "0") == "" }

// Request is the record of one request. It holds no secret.
type Request struct {
	Time        time.Time
	Kind        Kind
	Method      string
	Path        string
	Query       string
	User        string // of Basic credentials; "[token]" if a token stood there
	Credential  bool   // the request carried a credential of any form
	GitProtocol string // the Git-Protocol header
	Repo        string // path of the repository, for git requests
	Status      int    // of the answer; 0: none was sent

	RefPrefixes []string // of an ls-refs command
	Listed      []string // names of the refs that the answer listed
	Updates     []RefUpdate
	PushOptions []string
	Atomic      bool
}

// Requests returns the record of all requests in the order of their arrival,
// without those before the last [Forge.ForgetRequests]. What a client has seen
// of an answer is in the record already.
func (f *Forge) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	requests := make([]Request, len(f.requests))
	for i, r := range f.requests {
		requests[i] = *r
	}
	return requests
}

// Count returns how many requests are of one of the kinds, or of any
// if none is given.
func (f *Forge) Count(kinds ...Kind) int {
	n := 0
	for _, r := range f.Requests() {
		if len(kinds) == 0 {
			n++
		}
		for _, k := range kinds {
			if r.Kind == k {
				n++
			}
		}
	}
	return n
}

// ForgetRequests empties the record.
func (f *Forge) ForgetRequests() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = nil
}

// Listed returns the names of all refs with a prefix that the forge has
// listed to anybody since the record began.
func (f *Forge) Listed(prefix string) []string {
	var names []string
	for _, r := range f.Requests() {
		for _, name := range r.Listed {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (f *Forge) record(r *Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
}

// amend runs a change to a request that is recorded.
func (f *Forge) amend(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// listedRefs finds the ref names in a listing of protocol v0 or v2.
func listedRefs(body []byte) []string {
	var names []string
	packets := pktReader{r: bytes.NewReader(body)}
	for {
		line, err := packets.next()
		if err != nil {
			return names
		}
		text, _, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\x00")
		id, name, ok := strings.Cut(text, " ")
		if !ok || (len(id) != 40 && len(id) != 64) {
			continue
		}
		name, _, _ = strings.Cut(name, " ") // v2 appends attributes
		names = append(names, name)
	}
}

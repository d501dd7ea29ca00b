// Package webhook is what the plugins share to read inbound webhooks: limits,
// signatures, and the check that a webhook is about the repository that its
// address belongs to. Which headers carry what, and what a body means, is each
// host's own and stays in its plugin.
package webhook

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Limits on what is read.
const (
	// MaxBody is what the largest hosts send at most, in bytes.
	MaxBody = 25 << 20
	// MaxRefs is how many refs one result names. A webhook is a hint: beyond
	// that many it is cheaper to look at all refs than to name them.
	MaxRefs = 1000

	maxRefName    = 1024 // bytes
	maxDeliveryID = 128  // bytes
)

// Check refuses what cannot be a webhook, before anything is computed over it.
// Errors: [providers.CodeInvalidArgument].
func Check(r providers.WebhookRequest) error {
	switch {
	case r.Method != "" && r.Method != http.MethodPost:
		return invalid("a webhook is delivered with POST")
	case len(r.Body) > MaxBody:
		return invalid("the webhook is larger than %d bytes", MaxBody)
	}
	return nil
}

// Header returns the one value of a header, "" if it is absent. A header that
// is there more than once has none: which of them a proxy in between looked at
// would be a guess.
func Header(h http.Header, name string) string {
	values := h.Values(name)
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// FirstHeader returns the value of the first header that has one.
func FirstHeader(h http.Header, names ...string) string {
	for _, name := range names {
		if value := Header(h, name); value != "" {
			return value
		}
	}
	return ""
}

// Decode reads a verified JSON body.
// Errors: [providers.CodeInvalidArgument], which quotes nothing of it.
func Decode(r providers.WebhookRequest, into any) error {
	if err := CheckJSON(r); err != nil {
		return err
	}
	if err := json.Unmarshal(r.Body, into); err != nil {
		return Malformed()
	}
	return nil
}

// CheckJSON refuses a body that says it is something else than JSON. Hosts can
// be configured to send forms instead, and some sign the JSON inside of the form.
// Errors: [providers.CodeInvalidArgument].
func CheckJSON(r providers.WebhookRequest) error {
	given := Header(r.Header, "Content-Type")
	if given == "" {
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(given)
	if err != nil || mediaType != "application/json" {
		return invalid("the webhook is not JSON: set its content type to application/json at the host")
	}
	return nil
}

// Malformed is the error for a verified body that is not what the host sends.
func Malformed() error { return invalid("the webhook is signed but its body is not understood") }

// HostOf returns the host, with its port if it has one, of a URL in a webhook,
// "" if it cannot be one.
func HostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	host, err := netguard.ParseHost(u.Host)
	if err != nil {
		return ""
	}
	return host
}

// DeliveryID returns the id of a delivery, "" for what can be none: its header
// is rarely signed.
func DeliveryID(id string) string {
	strange := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(id) > maxDeliveryID || strings.ContainsFunc(id, strange) {
		return ""
	}
	return id
}

// Subject is the repository that a webhook is about.
type Subject struct {
	ID   string // stable id; "" if the webhook does not tell
	Path string // as it is now
	// Former is the path before a rename, "" without one.
	Former string
	// ExactCase says that paths which differ in case are two repositories.
	ExactCase bool
}

// About refuses a webhook about another repository than the one that its
// address belongs to; any is right for the address of an instance, with nil.
// Stable ids decide where both sides have one, because a path may have been
// taken by another repository. Errors: [providers.CodeInvalidArgument].
func (s Subject) About(remote *providers.Remote) error {
	if s.ID == "" && s.Path == "" {
		return invalid("the webhook does not tell which repository it is about")
	}
	if remote == nil {
		return nil
	}
	same := func(path string) bool {
		if path == "" {
			return false
		}
		if s.ExactCase {
			return path == remote.Path
		}
		return strings.EqualFold(path, remote.Path)
	}
	ok := same(s.Path) || same(s.Former)
	if s.ID != "" && remote.UpstreamID != "" {
		ok = s.ID == remote.UpstreamID
	}
	if !ok {
		return invalid("the webhook is about another repository than the one that its address belongs to")
	}
	return nil
}

// Refs collects the refs that a webhook announces.
type Refs struct {
	Hints []providers.RefHint
	// Truncated is set by Add beyond [MaxRefs], and by plugins when the host
	// left refs out or does not tell where they are.
	Truncated bool
}

// Absent is the id of a ref that was not there, or is gone. SHA-256 repositories
// have a longer one, but no plugin has to make that.
const Absent = "0000000000000000000000000000000000000000"

// Add adds a ref by its full name. Ids are those of a [providers.RefHint]: all
// zeros for a ref that is not there, "" where the host does not tell.
// Errors: [providers.CodeInvalidArgument] for what can be no ref or no id.
func (r *Refs) Add(name, before, after string) error {
	if !fullName(name) || !objectID(before) || !objectID(after) {
		return Malformed()
	}
	if len(r.Hints) == MaxRefs {
		r.Truncated = true
		return nil
	}
	r.Hints = append(r.Hints, providers.RefHint{Name: name, Old: before, New: after})
	return nil
}

// fullName reports whether a name may be a full ref name. Whether git would
// have it is for the core to say; here it only must not be nonsense.
func fullName(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f }
	return strings.HasPrefix(name, "refs/") && len(name) <= maxRefName && !strings.ContainsFunc(name, bad)
}

// objectID reports whether s is a SHA-1 or SHA-256 id, or empty.
func objectID(s string) bool {
	if s == "" {
		return true
	}
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return providers.Errorf(providers.CodeInvalidArgument, format, args...)
}

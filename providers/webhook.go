package providers

import (
	"context"
	"net/http"
	"time"
)

// WebhookRequest is one inbound webhook, raw.
type WebhookRequest struct {
	Method     string
	Path       string
	Query      string
	Header     http.Header
	Body       []byte
	Secrets    []Secret // several during rotation
	ReceivedAt time.Time
	// Repository says which repository the address belongs to; nil for the
	// address of the whole instance. A webhook about another one is refused
	// with CodeInvalidArgument.
	Repository *Remote
}

// WebhookKind says what an inbound webhook is about.
type WebhookKind string

// The kinds of inbound webhooks.
const (
	WebhookPush          WebhookKind = "push"
	WebhookRef           WebhookKind = "ref"
	WebhookDefaultBranch WebhookKind = "default_branch"
	WebhookRenamed       WebhookKind = "renamed"
	WebhookDeleted       WebhookKind = "deleted"
	WebhookInstallation  WebhookKind = "installation"
	WebhookPing          WebhookKind = "ping"
	WebhookIgnored       WebhookKind = "ignored"
)

// RefHint is a ref that an inbound webhook announces. It is a hint to look,
// never a fact.
type RefHint struct {
	Name string // full, like "refs/heads/main"
	// Old and New are object ids: all zeros if the ref was not there, or is
	// gone; "" if the host does not tell.
	Old string
	New string
}

// WebhookResult is what an inbound webhook says. It is a hint to look, never a
// fact: the server asks the host before it believes anything.
type WebhookResult struct {
	Verified       bool
	DeliveryID     string // unique at the host; "" if it gives none
	Kind           WebhookKind
	Host           string // host or host:port, when the webhook tells; "" else
	RepositoryID   string // stable id; "" if unknown
	RepositoryPath string // as it is now, after a rename
	Refs           []RefHint
	Truncated      bool // more refs moved than Refs says
	// Of WebhookInstallation: all repositories that belong to Account are
	// concerned, if it is not "", and those that are named, wherever they are.
	Account      string
	Repositories []RepositoryHint
	ReplyStatus  int // literal HTTP reply for challenges; 0: the server's own
	ReplyBody    []byte
}

// RepositoryHint names a repository in an inbound webhook.
type RepositoryHint struct {
	ID   string
	Path string
}

// WebhookRegistrar is implemented by providers whose hosts let a stored
// credential register webhooks. See [Capabilities].
type WebhookRegistrar interface {
	// EnsureWebhook makes the host send the events that ParseWebhook
	// understands to URL, signed with Secret. It corrects a webhook that is
	// there (by HookID, else by its URL), removes doubles of it, and is
	// idempotent. Errors: CodePermissionDenied and CodeUnauthenticated (the
	// credential may not), CodeNotFound, CodeRateLimited, CodeUnavailable,
	// CodeUnsupported (this host cannot), CodeInvalidArgument (the host refuses the
	// URL; the message has its words).
	EnsureWebhook(ctx context.Context, r EnsureWebhookRequest) (RegisteredWebhook, error)
	// RemoveWebhook removes it. One that is not there is no error.
	RemoveWebhook(ctx context.Context, r RemoveWebhookRequest) error
}

// EnsureWebhookRequest asks for a webhook at the host.
type EnsureWebhookRequest struct {
	Remote Remote
	Stored *StoredCredential
	URL    string // where the host shall deliver
	Secret Secret // the newest one
	HookID string // from an earlier call; "" at first
}

// RegisteredWebhook is a webhook at the host.
type RegisteredWebhook struct {
	HookID  string
	Changed bool // it was made or corrected by this call
}

// RemoveWebhookRequest asks to remove a webhook at the host.
type RemoveWebhookRequest struct {
	Remote Remote
	Stored *StoredCredential
	URL    string
	HookID string // "" : whichever delivers to URL
}

// DeliveryReplayer is implemented by providers whose hosts keep failed
// deliveries and send them again when asked. See [Capabilities].
type DeliveryReplayer interface {
	// ReplayDeliveries asks the host to send the deliveries since a time
	// again that never arrived. It is called after a downtime.
	ReplayDeliveries(ctx context.Context, r ReplayRequest) (ReplayResult, error)
}

// ReplayRequest asks for lost deliveries.
type ReplayRequest struct {
	Host  string // host or host:port; "" is the provider's default
	Since time.Time
}

// ReplayResult says what a replay found.
type ReplayResult struct {
	Failed     int  // deliveries that never arrived
	Replayed   int  // of them, asked for again
	Incomplete bool // the host's log does not reach back to Since, or was too long
}

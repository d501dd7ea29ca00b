package providers

import (
	"context"
	"encoding/json"
	"time"
)

// Provider is what a plugin author implements.
type Provider interface {
	// Manifest says what this provider is. It must work before Configure,
	// offline, and always answer the same.
	Manifest() Manifest
	// Configure hands over the configuration. It is called once after every
	// start of the process, before any other method but Manifest. Errors:
	// CodeInvalidConfig, with the attribute named in the message.
	Configure(ctx context.Context, c Config) error
	// Resolve turns a locator into a remote. With Contact false it must not
	// touch the network. Errors: CodeInvalidConfig (the provider lacks its
	// configuration, answered as HTTP 412), CodeNotFound, CodeUnauthenticated,
	// CodePermissionDenied, CodeInvalidArgument, CodeUnavailable.
	Resolve(ctx context.Context, r ResolveRequest) (Remote, error)
	// Credential returns what opens the remote for one operation now.
	Credential(ctx context.Context, r CredentialRequest) (Credential, error)
	// ParseWebhook verifies the raw body, in constant time and failing
	// closed, and only then parses it. Errors: CodeSignatureInvalid,
	// CodeUnsupported, CodeInvalidArgument.
	ParseWebhook(ctx context.Context, r WebhookRequest) (WebhookResult, error)
	// Probe looks at the remote with the host's API.
	Probe(ctx context.Context, r ProbeRequest) (ProbeResult, error)
}

// Mode says how repositories of a provider are linked.
type Mode string

// The modes of the wire contract.
const (
	ModeApp     Mode = "app"     // a forge-side grant (GitHub App); no stored credential
	ModePublic  Mode = "public"  // no credential; the upstream is read-only
	ModeGeneric Mode = "generic" // a stored user name and password or token
)

// Manifest says what a provider is and what its hosts can do.
type Manifest struct {
	Name            string       // "gitlab"; also the block label in providers.hcl
	Version         string       // of the plugin
	ContractVersion int          // of this package: [ContractVersion]
	Description     string       // one line for people
	WireNames       []string     // values of base_repo.provider it answers to, lower case
	Mode            Mode         // how its repositories are linked
	DefaultHost     string       // "" means upstream_host is required
	Capabilities    Capabilities // of the hosts
	Attributes      []Attribute  // of its providers.hcl block, beside the common ones
	WebhookHeaders  []string     // headers ParseWebhook wants to see
	// ExcludedRefPrefixes are ref prefixes of the host that are never
	// mirrored or pushed unless asked for, like "refs/pull/".
	ExcludedRefPrefixes []string
}

// ContractVersion is the version of this contract that the package describes.
const ContractVersion = 1

// Capabilities says what the hosts of a provider can do.
type Capabilities struct {
	PushHTTPS       bool   // the host takes git push over HTTPS
	PushUnsupported string // when PushHTTPS is false: the reason, one sentence for a person
	AtomicPush      bool
	PushOptions     bool
	Webhooks        bool // ParseWebhook is implemented
	AnonymousFetch  bool // public repositories can be fetched without a credential
	StableIDs       bool // Resolve with Contact returns a stable UpstreamID
	// WebhookRegistration says that a stored credential can register webhooks,
	// and that the provider is a [WebhookRegistrar].
	WebhookRegistration bool
	// Replay says that the host keeps failed deliveries, and that the provider
	// is a [DeliveryReplayer].
	Replay bool
	// AGit says that a push to refs/for/BRANCH makes or updates a pull request,
	// and that the host's answer names the ref that came of it.
	AGit bool
	// Listing says that the repositories of an owner can be listed, and that the
	// provider is a [RepositoryLister].
	Listing bool
	// LFS says that Credential knows [OpLFS] and [OpLFSWrite]. A provider without it is
	// asked for [OpFetch] and [OpPush] in their place.
	LFS bool
}

// Attribute describes one attribute of a provider block in providers.hcl.
type Attribute struct {
	Name      string
	Type      string // "string", "number", "bool" or "list"
	Required  bool
	Sensitive bool
	Doc       string
}

// Config is what a plugin is given.
type Config struct {
	Instance   string          // name of the provider instance
	Attributes json.RawMessage // the attributes of the block, one JSON object
	Hosts      []HostPolicy    // the host blocks
	Proxy      Secret          // of hosts without a block, see [HostPolicy]
}

// Host returns the policy of a host: its block if there is one, else the
// default policy (https, public addresses only). Host names compare without
// regard to case.
func (c Config) Host(host string) HostPolicy { return FindHost(c.Hosts, host).through(c.Proxy) }

// HostPolicy is how one host may be spoken to.
type HostPolicy struct {
	Host           string // host or host:port, lower case
	Scheme         string // "https" (default) or "http"
	AllowPrivate   bool   // private, loopback and link-local addresses are allowed
	CAFile         string // PEM bundle that is trusted in addition to the system's
	APIURL         string // base URL of the host's API; "" is the provider's own rule
	WebhookSecrets []Secret
	MaxConcurrent  int    // operations at the host at once; 0 is the server's default
	BasePath       string // below which pages, git and API are, as "/git"; "" is none
	// Proxy is the URL of the forward proxy that leads to the host, with user and
	// password if it wants some; "" connects directly. The host's addresses are
	// checked before the proxy is asked, which resolves the name once more.
	Proxy Secret
}

// Locator names a repository at a host.
type Locator struct {
	Host  string // host or host:port; "" is the provider's default
	Owner string // may hold slashes
	Name  string
	ID    string // stable id, when known: wins over Owner and Name
}

// Remote is a located repository.
type Remote struct {
	URL           string // clone URL, no user info
	WebURL        string
	LFSURL        string // of its LFS server, no user info; "" is what Git LFS derives from URL
	Host          string // host or host:port of URL
	Path          string // path of the repository at the host, no leading slash
	UpstreamID    string // stable id; "" if unknown
	DefaultBranch string // short name; "" if unknown
	Visibility    string // "public", "private" or "" for unknown
	Archived      bool
	SizeHint      int64 // bytes; 0 if unknown
	PushSupported bool
}

// ResolveRequest asks where a repository is.
type ResolveRequest struct {
	Locator Locator
	Contact bool              // the provider may and should ask the host
	Stored  *StoredCredential // the repository's credential, if one is stored
}

// Operation is what a credential is for.
type Operation string

// The operations.
const (
	OpFetch Operation = "fetch"
	OpPush  Operation = "push"
	OpAPI   Operation = "api"
	// OpLFS reads LFS objects and locks, OpLFSWrite uploads objects and sets and takes
	// away locks. Only a provider with the capability LFS is asked for them.
	OpLFS      Operation = "lfs"
	OpLFSWrite Operation = "lfs_write"
)

// Writes reports whether the operation changes something at the host, so that a
// credential that may only read does not do.
func (o Operation) Writes() bool { return o == OpPush || o == OpLFSWrite }

// InGit returns the operation of git that a credential for o must open too: [OpFetch] for
// [OpLFS], [OpPush] for [OpLFSWrite], and o itself for every other.
func (o Operation) InGit() Operation {
	switch o {
	case OpLFS:
		return OpFetch
	case OpLFSWrite:
		return OpPush
	}
	return o
}

// StoredCredential is the credential a user stored for a repository.
type StoredCredential struct {
	Username string // may be empty
	Secret   Secret
}

// CredentialRequest asks what opens a remote.
type CredentialRequest struct {
	Remote      Remote
	Operation   Operation
	Stored      *StoredCredential
	MinValidity time.Duration // the answer must be good for at least this long, if it expires at all
	Fresh       bool          // the host refused the last one: do not answer from a cache
}

// CredentialKind is the form of a credential.
type CredentialKind string

// The forms of credentials.
const (
	CredentialNone  CredentialKind = "none"
	CredentialBasic CredentialKind = "basic"
	// CredentialHeader is one header, for hosts that take no basic
	// authentication: "Authorization: Bearer TOKEN", or one of the host's own.
	CredentialHeader CredentialKind = "header"
)

// Credential opens one remote for one operation.
type Credential struct {
	Kind     CredentialKind
	Username string // of CredentialBasic
	// Header is the name of the header of CredentialHeader. It is sent to the
	// hosts of the remote's URL and LFSURL only.
	Header string
	// Secret is the password of CredentialBasic, and the whole value of the
	// header of CredentialHeader.
	Secret    Secret
	ExpiresAt time.Time // zero: does not expire
}

// ProbeRequest asks how a remote is doing.
type ProbeRequest struct {
	Remote Remote
	Stored *StoredCredential
}

// ProbeResult is how a remote is doing.
type ProbeResult struct {
	Reachable     bool
	CanPull       bool
	CanPush       bool
	RateLimit     int // requests per window; 0 if unknown
	RateRemaining int
	RateResetAt   time.Time
	Latency       time.Duration
	ClockSkew     time.Duration // host's clock minus ours
	Message       string        // one sentence for a person
}

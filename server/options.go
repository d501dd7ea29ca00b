package server

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Options configures [New]. Only DataDir is required.
type Options struct {
	DataDir    string // made if it does not exist; belongs to one server at a time
	ConfigFile string // providers.hcl; "" means built-in providers with their defaults
	// LookupEnv answers env("NAME") in providers.hcl; nil is os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	Logger    hclog.Logger // nil logs nothing; [SlogLogger] makes one of a slog.Logger
	Version   string
	PublicURL string // base URL that clients use

	// Authenticate recognises the tokens of the program that embeds the server, in
	// the API and as passwords of Git; nil: only signed tokens open anything.
	Authenticate access.Authenticator

	// Builtins maps the names of built-in providers to their constructors, and
	// PluginCommand is the argv that makes this executable serve the one whose
	// name is appended: builtin.All and builtin.Command of plugins/builtin.
	Builtins      map[string]func() providers.Provider
	PluginCommand []string

	// SealKey is the keyset that encrypts stored credentials, for those who
	// keep it elsewhere than in DataDir/keys/seal.json. See store/seal.
	SealKey providers.Secret
	// Database is the connection string of a PostgreSQL that holds the metadata, as
	// [store.OpenPostgres] takes it; "": SQLite in the data directory. A data directory
	// stays with the database that it began with.
	Database providers.Secret

	GitPath   string            // "" looks git up in PATH
	Clock     core.Clock        // nil is the system's
	Resolver  netguard.Resolver // nil is the system's
	Failpoint func(name string) // for crash tests; nil in production
	// CommitPoint is where changes of refs become true; nil is the one of a single
	// machine, and for tests there is another.
	CommitPoint func(o repo.CommitPointOptions) repo.CommitPoint
	// KeepDeleted is for how long deleted repositories can be had back; 0 removes them
	// at once.
	KeepDeleted time.Duration
	MaxPushSize int64         // bytes of one pushed pack; 0 is no limit
	Webhooks    events.Policy // where outbound webhooks may lead

	Limits limit.Options     // what requests may use at the same time
	Memory git.Memory        // how much one git may allocate
	Trees  treeobject.Limits // how much of a tree git may be asked to unfold
	// FetchGrace is how long the body of a request may come in below one kilobyte
	// a second before it is cut, PushGrace the same for a push and for a commit
	// whose contents are streamed; 0 is 10 s and one minute.
	FetchGrace, PushGrace time.Duration
	// Stall is how long a git that talks to an upstream may show no sign of life
	// before it is ended, see [git.Options]; 0 is 2 min.
	Stall time.Duration
	// SettlePeriod is over how long an upstream must show an old id before a push
	// without an answer counts as not taken; 0 is 2 min.
	SettlePeriod time.Duration

	// EgressProxy is the URL of the forward proxy to upstreams whose host block
	// names none, with user and password if it wants some; "" connects directly.
	// Nothing of the environment chooses one.
	EgressProxy providers.Secret

	// MetricsWorst is for how many mirrors the metrics name the lag; see
	// [metrics.Options].
	MetricsWorst int

	// TraceEndpoint is the URL of the OTLP collector that traces are sent to; "" traces
	// nothing.
	TraceEndpoint string

	// CORSOrigins are the origins whose web pages may call the API, like
	// https://app.example.org; "*" is every one. A browser's credentials never are. See [CheckCORSOrigin].
	CORSOrigins []string

	// TrustedProxies are the networks of reverse proxies whose X-Forwarded-For
	// says where a request came from.
	TrustedProxies []netip.Prefix
}

// withDefaults returns the options with what may be left out filled in.
func (o Options) withDefaults() (Options, error) {
	if o.DataDir == "" {
		return o, errors.New("a data directory is required")
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	for _, origin := range o.CORSOrigins {
		if err := CheckCORSOrigin(origin); err != nil {
			return o, err
		}
	}
	return o, nil
}

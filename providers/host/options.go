package host

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
)

// Options configure a [Catalog].
type Options struct {
	// Config is the parsed providers.hcl; nil means no blocks.
	Config *config.Config

	// Builtins maps the name of a built-in provider to its constructor. Each
	// exists as an instance of its own name without a block in Config. The
	// constructor is called in this process for the manifest alone.
	Builtins map[string]func() providers.Provider

	// Self returns the argv that makes this executable serve the built-in
	// whose name is appended to it, for example {"/proc/self/exe",
	// "provider", "serve"}. Required if there are Builtins.
	Self func() []string

	// Logger receives the log of the supervisor and, under the name of the
	// instance, that of every plugin. Nil logs nothing.
	Logger hclog.Logger

	// Proxy is the forward proxy to hosts whose block names none, see
	// [providers.HostPolicy]; "" connects directly.
	Proxy providers.Secret

	// HostVersion is sent to plugins, for information.
	HostVersion string

	// CredentialLooked is called for each request of a credential that may be one that
	// was given before: whether it was. Nil: nothing is. It must not wait.
	CredentialLooked func(found bool)

	// StartTimeout bounds the start of a plugin from exec to the end of
	// Configure. Zero is 15 seconds.
	StartTimeout time.Duration

	// CallTimeout bounds one call. A plugin that has not answered by then is
	// taken as hanging: it is killed, and started again on the next call.
	// Zero is 60 seconds.
	CallTimeout time.Duration

	// PingInterval is the time between health checks of a running plugin.
	// Zero is 30 seconds.
	PingInterval time.Duration

	// CallPingInterval is the time between them while a call is under way, and
	// PingTimeout how long the answer to one may take. Together they bound what a
	// plugin that does not run any more, because it is stopped or swapped out,
	// costs a call. Zero is 2 and 5 seconds.
	CallPingInterval time.Duration
	PingTimeout      time.Duration

	// BackoffMin is the pause after the first crash; it doubles with every
	// further one up to BackoffMax, and starts over after the plugin has run
	// for HealthyAfter. Zero is 1 second, 2 minutes and 5 minutes.
	BackoffMin   time.Duration
	BackoffMax   time.Duration
	HealthyAfter time.Duration

	// RetireAfter is how long an instance that a reload took out still answers those
	// who hold it. Zero is 10 minutes.
	RetireAfter time.Duration
}

func (o Options) withDefaults() Options {
	if o.Config == nil {
		o.Config = &config.Config{}
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	setDefault(&o.StartTimeout, 15*time.Second)
	setDefault(&o.CallTimeout, time.Minute)
	setDefault(&o.PingInterval, 30*time.Second)
	setDefault(&o.CallPingInterval, min(o.PingInterval, 2*time.Second))
	setDefault(&o.PingTimeout, min(o.PingInterval, 5*time.Second))
	setDefault(&o.BackoffMin, time.Second)
	setDefault(&o.BackoffMax, 2*time.Minute)
	setDefault(&o.HealthyAfter, 5*time.Minute)
	setDefault(&o.RetireAfter, 10*time.Minute)
	return o
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

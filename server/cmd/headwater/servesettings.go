package main

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/database"
)

// serveSettings are the flags of serve, read and checked.
type serveSettings struct {
	dir      dataDir // absolute
	log      hclog.Logger
	cert     *certificate // nil: plain HTTP, or --acme-domain
	webhooks events.Policy
	proxies  []netip.Prefix
	public   string           // address that clients use, "" if it is not known
	egress   providers.Secret // URL of the proxy to upstreams, "" for none
}

// settings reads and checks what the flags say, before the server listens anywhere.
func (o serveOptions) settings(cmd *cobra.Command) (set serveSettings, err error) {
	level := hclog.LevelFromString(o.logLevel)
	if level == hclog.NoLevel {
		return set, usagef("use trace, debug, info, warn or error", "unknown log level %q", o.logLevel)
	}
	data, err := filepath.Abs(o.data)
	if err != nil {
		return set, err
	}
	set.dir = dataDir(data)
	set.log = hclog.New(&hclog.LoggerOptions{
		Name: "headwater", Level: level, JSONFormat: o.logJSON, Output: cmd.ErrOrStderr(), TimeFormat: "2006-01-02T15:04:05.000Z07:00",
	})
	if set.cert, err = o.certificate(set.dir); err != nil {
		return set, err
	}
	if set.webhooks, err = o.webhookPolicy(); err != nil {
		return set, err
	}
	if set.proxies, err = parseNetworks("trusted-proxy", o.trustedProxies); err != nil {
		return set, err
	}
	if err := checkLimits(o.limits, o.trees, o.memory); err != nil {
		return set, err
	}
	if err := checkOrigins(o.corsOrigins); err != nil {
		return set, err
	}
	if set.public, err = o.public(); err != nil {
		return set, err
	}
	set.egress, err = o.egressProxy()
	return set, err
}

// serverOptions are the options of the server that the flags mean.
func (o serveOptions) serverOptions(set serveSettings, sealKey, dsn providers.Secret) server.Options {
	return server.Options{
		DataDir:        string(set.dir),
		ConfigFile:     o.config,
		Logger:         set.log,
		Version:        version(),
		Builtins:       builtin.All(),
		PluginCommand:  builtin.Command(),
		PublicURL:      set.public,
		SealKey:        sealKey,
		Database:       dsn,
		Webhooks:       set.webhooks,
		TrustedProxies: set.proxies,
		KeepDeleted:    o.keepDeleted,
		CORSOrigins:    o.corsOrigins,
		EgressProxy:    set.egress,
		Limits:         o.limits,
		Trees:          o.trees,
		Memory:         memoryOf(o.memory),
		MetricsWorst:   o.admin.worst,
		TraceEndpoint:  o.admin.traces,
	}
}

// sealKey returns the keyset of the environment or of --seal-key-file, "" if
// the data directory's own is meant.
func (o serveOptions) sealKey(cmd *cobra.Command, env lookupEnv) (providers.Secret, error) {
	return secretInput{
		name: "sealing keyset", variable: sealKeyVariable, flag: "--seal-key-file", file: o.sealKeyFile,
		next: "give the file of a keyset as DIR/keys/seal.json is one, or leave --seal-key-file out",
	}.read(cmd, env)
}

// dsn returns the connection string of the environment or of --database-file, "" if
// SQLite is meant. It has no flag of its own: a flag would show its password to every
// user of the machine.
func (o serveOptions) dsn(cmd *cobra.Command, env lookupEnv) (providers.Secret, error) {
	return secretInput{
		name: "connection string of the database", variable: database.Variable, flag: "--database-file", file: o.databaseFile,
		next: "give a file with one line, such as postgres://headwater@db.example.com/headwater",
	}.read(cmd, env)
}

// public returns the address that clients use, without a slash at its end, or "".
func (o serveOptions) public() (string, error) {
	if o.publicURL == "" {
		return "", nil
	}
	if _, err := parsePublicURL(o.publicURL); err != nil {
		return "", err
	}
	return strings.TrimSuffix(o.publicURL, "/"), nil
}

// parsePublicURL reads --public-url, which webhooks, clone addresses and answers
// begin with.
func parsePublicURL(text string) (*url.URL, error) {
	public, err := url.Parse(text)
	if err != nil || public.Host == "" || public.User != nil || public.RawQuery != "" || public.Fragment != "" ||
		public.Scheme != "https" && public.Scheme != "http" {
		return nil, usagef("give a URL like https://git.example.com", "--public-url must be an http or https URL with a host, and without a user, ? and #")
	}
	return public, nil
}

// checkOrigins refuses what no browser would ever send as an origin.
func checkOrigins(origins []string) error {
	for _, text := range origins {
		if err := server.CheckCORSOrigin(text); err != nil {
			return usagef("name origins as browsers send them, like https://app.example.org", "--cors-origin: %s", core.MessageOf(err))
		}
	}
	return nil
}

// webhookPolicy says where outbound webhooks may lead.
func (o serveOptions) webhookPolicy() (events.Policy, error) {
	p := events.Policy{AllowHTTP: o.webhooksAllowHTTP, AllowPrivate: o.webhooksAllowPrivate}
	var err error
	p.AllowNetworks, err = parseNetworks("webhooks-allow-network", o.webhooksAllowNetworks)
	return p, err
}

// parseNetworks reads the values of a flag.
func parseNetworks(flag string, texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usagef("write it like 10.1.0.0/16; one address is 10.1.2.3/32", "--%s %q is not a network", flag, text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// certificate returns the certificate of the files, or nil for plain HTTP and
// --acme-domain.
func (o serveOptions) certificate(dir dataDir) (*certificate, error) {
	given := 0
	for _, way := range []bool{o.tlsSelfSigned, o.tlsCert != "", len(o.acme.domains) > 0} {
		if way {
			given++
		}
	}
	switch {
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return nil, usagef("give both", "--tls-cert and --tls-key belong together")
	case given > 1:
		return nil, usagef("give one of them", "--tls-self-signed and --acme-domain make a certificate, --tls-cert names one")
	case o.tlsSelfSigned:
		return newCertificate(func() (tlsFiles, error) {
			files, err := selfSigned(dir.tls(), time.Now())
			if err != nil {
				return files, wrapf(err, "check that the data directory can be written", "make a certificate in %q", dir.tls())
			}
			return files, nil
		})
	case o.tlsCert != "":
		return newCertificate(func() (tlsFiles, error) { return tlsFiles{cert: o.tlsCert, key: o.tlsKey}, nil })
	case len(o.acme.domains) > 0:
		return nil, o.acme.check()
	default:
		return nil, nil
	}
}

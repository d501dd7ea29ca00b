package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/database"
)

const (
	// readHeaderTimeout ends connections that never finish their request head.
	readHeaderTimeout = 15 * time.Second
	// idleTimeout ends kept-alive connections that ask for nothing.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes leaves room for a token with a long ref policy.
	maxHeaderBytes = 64 << 10
)

// serveOptions are the flags of serve.
type serveOptions struct {
	data, listen, config, publicURL string
	sealKeyFile                     string
	databaseFile                    string
	tlsCert, tlsKey                 string
	tlsSelfSigned                   bool
	acme                            acmeOptions
	drain                           time.Duration
	keepDeleted                     time.Duration
	logLevel                        string
	logJSON                         bool
	webhooksAllowHTTP               bool
	webhooksAllowPrivate            bool
	webhooksAllowNetworks           []string
	trustedProxies                  []string
	corsOrigins                     []string
	egressProxyFile                 string
	limits                          limit.Options
	trees                           treeobject.Limits
	memory                          git.Memory // in MiB
	admin                           adminOptions
}

// sealKeyVariable holds the sealing keyset itself. It has no flag: a flag would
// show it to every user of the machine.
const sealKeyVariable = envPrefix + "SEAL_KEY"

func newServeCommand(env lookupEnv) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Serve the API and Git on one address until interrupted.

The first start in an empty data directory makes the database, an organisation
named "local" and its ES256 key pair; the private key is written to
DIR/keys/local.pem. On SIGINT or SIGTERM the server takes no new work and waits
for running pushes and syncs; a second signal ends it at once. On SIGHUP it reads the
certificate and providers.hcl again: what goes on is not disturbed, and a file that
cannot be used leaves the former one in force.

Stored credentials are encrypted with the keyset in DIR/keys/seal.json, made at
the first start. To keep it elsewhere give its text in the environment variable
HEADWATER_SEAL_KEY, or a file with --seal-key-file.`,
		Example: `  # Plain HTTP on loopback, everything under ./headwater-data
  headwater serve

  # HTTPS with a certificate for localhost, for SDKs that insist on it
  headwater serve --listen 127.0.0.1:8443 --tls-self-signed

  # HTTPS with a certificate of Let's Encrypt; ports 80 and 443 must be reachable
  headwater serve --listen :443 --acme-domain git.example.com

  # Behind a reverse proxy that ends TLS
  headwater serve --data /var/lib/headwater --config /etc/headwater/providers.hcl \
      --public-url https://git.example.com --trusted-proxy 127.0.0.1/32`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sealKey, err := o.sealKey(cmd, env)
			if err != nil {
				return err
			}
			dsn, err := o.dsn(cmd, env)
			if err != nil {
				return err
			}
			return serve(cmd, o, sealKey, dsn)
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &o.data)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 picks a free one")
	f.StringVar(&o.config, "config", "", "providers.hcl; without it the built-in providers run with their defaults")
	f.StringVar(&o.publicURL, "public-url", "", "base URL that clients use (default: what each request says)")
	f.StringVar(&o.databaseFile, "database-file", "", "connection string of a PostgreSQL that holds the metadata (default: SQLite in DIR)")
	f.StringVar(&o.sealKeyFile, "seal-key-file", "", "keyset that encrypts stored credentials (default: made in DIR/keys/seal.json)")
	f.StringVar(&o.tlsCert, "tls-cert", "", "PEM certificate chain for HTTPS")
	f.StringVar(&o.tlsKey, "tls-key", "", "PEM private key of --tls-cert")
	f.BoolVar(&o.tlsSelfSigned, "tls-self-signed", false, "HTTPS with a certificate for localhost, made in DIR/tls")
	bindACME(f, &o.acme)
	bindLife(f, &o.drain, "drain", 30*time.Second, "how long running pushes and syncs may finish after a signal")
	bindLife(f, &o.keepDeleted, "keep-deleted", 7*day, "how long a deleted repository can be brought back; 0 removes it at once")
	f.StringVar(&o.logLevel, "log-level", "info", "trace, debug, info, warn or error")
	f.BoolVar(&o.webhooksAllowHTTP, "webhooks-allow-http", false, "let outbound webhooks have http URLs")
	f.BoolVar(&o.webhooksAllowPrivate, "webhooks-allow-private", false, "let outbound webhooks lead to private and loopback addresses")
	f.StringArrayVar(&o.webhooksAllowNetworks, "webhooks-allow-network", nil, "let outbound webhooks lead to this private network, like 10.1.0.0/16; may be repeated")
	f.StringArrayVar(&o.trustedProxies, "trusted-proxy", nil, "believe X-Forwarded-For from this network of reverse proxies, like 10.1.0.0/16; may be repeated")
	f.StringArrayVar(&o.corsOrigins, "cors-origin", nil, "let web pages of this origin call the API, like https://app.example.org; * is every one; may be repeated")
	f.StringVar(&o.egressProxyFile, "egress-proxy-file", "", "file with the URL of the forward proxy to upstreams, like http://user:password@proxy:3128; a host block's proxy goes before it")
	bindLimits(f, &o.limits)
	bindTrees(f, &o.trees)
	bindMemory(f, &o.memory)
	bindAdmin(f, &o.admin)
	f.BoolVar(&o.logJSON, "log-json", false, "log JSON lines")
	return cmd
}

// serve runs the server until the command's context ends.
func serve(cmd *cobra.Command, o serveOptions, sealKey, dsn providers.Secret) error {
	level := hclog.LevelFromString(o.logLevel)
	if level == hclog.NoLevel {
		return usagef("use trace, debug, info, warn or error", "unknown log level %q", o.logLevel)
	}
	data, err := filepath.Abs(o.data)
	if err != nil {
		return err
	}
	dir := dataDir(data)
	log := hclog.New(&hclog.LoggerOptions{
		Name: "headwater", Level: level, JSONFormat: o.logJSON, Output: cmd.ErrOrStderr(), TimeFormat: "2006-01-02T15:04:05.000Z07:00",
	})
	cert, err := o.certificate(dir)
	if err != nil {
		return err
	}
	webhooks, err := o.webhookPolicy()
	if err != nil {
		return err
	}
	proxies, err := parseNetworks("trusted-proxy", o.trustedProxies)
	if err != nil {
		return err
	}
	if err := checkLimits(o.limits, o.trees, o.memory); err != nil {
		return err
	}
	if err := checkOrigins(o.corsOrigins); err != nil {
		return err
	}
	public, err := o.public()
	if err != nil {
		return err
	}
	egress, err := o.egressProxy()
	if err != nil {
		return err
	}
	inherited, err := inheritedSockets()
	if err != nil {
		return err
	}
	// Listen first: a wrong address should not cost a start.
	listener, err := listenOn(cmd.Context(), inherited.main, o.listen, "listen")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	adminListener, err := o.admin.listenAdmin(cmd.Context(), log)
	if err != nil {
		return err
	}
	if adminListener != nil {
		defer func() { _ = adminListener.Close() }()
	}
	base := baseURL(listener.Addr(), cert != nil)
	var tlsConfig *tls.Config
	if cert != nil {
		tlsConfig = cert.config()
	}
	if len(o.acme.domains) > 0 {
		certificates, err := o.newACME(cmd.Context(), dir, listener, inherited.http, egress, log)
		if err != nil {
			return err
		}
		defer certificates.stop()
		tlsConfig = certificates.tlsConfig()
		// The certificate is for this name alone, so commands on this machine need it, too.
		base = "https://" + withPort(o.acme.domains[0], listenerPort(listener))
		if public == "" {
			public = base
		}
		if err := certificates.start(cmd.Context(), log); err != nil {
			return err
		}
	}
	srv, err := server.New(cmd.Context(), server.Options{
		DataDir:        data,
		ConfigFile:     o.config,
		Logger:         log,
		Version:        version(),
		Builtins:       builtin.All(),
		PluginCommand:  builtin.Command(),
		PublicURL:      public,
		SealKey:        sealKey,
		Database:       dsn,
		Webhooks:       webhooks,
		TrustedProxies: proxies,
		KeepDeleted:    o.keepDeleted,
		CORSOrigins:    o.corsOrigins,
		EgressProxy:    egress,
		Limits:         o.limits,
		Trees:          o.trees,
		Memory:         memoryOf(o.memory),
		MetricsWorst:   o.admin.worst,
		TraceEndpoint:  o.admin.traces,
	})
	if err != nil {
		return wrapf(err, "read the message above; `headwater serve --help` lists the flags", "cannot start the server")
	}
	// Only the holder of the data directory's lock may say where it listens.
	removeAddress, err := dir.writeAddress(base)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		// Reads need no room: a full disk must not keep them from being served.
		log.Error("the disk of the data directory is full; reads are served, writes fail. Commands must name the server with --server", "data", data, "server", base)
	case err != nil:
		return errors.Join(err, srv.Shutdown(cmd.Context()))
	default:
		defer removeAddress()
	}
	defer serveAdmin(dir, adminListener, srv.AdminHandler(), log)()
	printStarted(cmd, o, dir, base, public, adminListener)
	hangup := make(chan os.Signal, 1) // what comes during a reload is one more
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return runServer(cmd.Context(), serving{
		server: srv, listener: listener, tls: tlsConfig, log: log, drain: o.drain,
		hangup: hangup, reload: reloadAll(cert, srv),
	})
}

// listenOn returns the socket of systemd if there is one, or listens on an address.
func listenOn(ctx context.Context, inherited net.Listener, address, flag string) (net.Listener, error) {
	if inherited != nil {
		return inherited, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EACCES) {
		return nil, wrapf(err, "give a port above 1023, or let the unit grant CAP_NET_BIND_SERVICE", "cannot listen on %s", address)
	}
	if err != nil {
		return nil, wrapf(err, "give another address with a port: --"+flag+" 127.0.0.1:0 takes a free one", "cannot listen on %s", address)
	}
	return l, nil
}

// newACME listens for challenges and prepares what --acme-domain asks for.
func (o serveOptions) newACME(ctx context.Context, dir dataDir, main, inherited net.Listener, egress providers.Secret, log hclog.Logger) (*acme, error) {
	plain := inherited
	if plain == nil && o.acme.httpListen != "none" {
		var err error
		if plain, err = listenOn(ctx, nil, o.acme.httpListen, "acme-http-listen"); err != nil {
			return nil, err
		}
	}
	return newACME(o.acme, dir.acmeDir(), main, plain, egress, log)
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
		return nil, usagef("give a URL like https://git.example.com", "--public-url must be an absolute http or https URL")
	}
	return public, nil
}

// checkOrigins refuses what no browser would ever send as an origin.
func checkOrigins(origins []string) error {
	for _, text := range origins {
		u, err := url.Parse(text)
		if text != "*" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != text || text != strings.ToLower(text)) {
			return usagef("write it like https://app.example.org, in lower case and without a path, or *", "--cors-origin %q is not an origin", text)
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

// baseURL is how a client on this machine reaches the listener.
func baseURL(addr net.Addr, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// printStarted tells what a person needs next. It goes to stdout, the log to stderr.
func printStarted(cmd *cobra.Command, o serveOptions, dir dataDir, base, public string, admin net.Listener) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Headwater %s is listening on %s\n", version(), base)
	if public != "" {
		fmt.Fprintf(out, "  public URL    %s\n", public)
	}
	fmt.Fprintf(out, "  data          %s\n", dir)
	fmt.Fprintf(out, "  organisation  %s\n", localOrg)
	fmt.Fprintf(out, "  private key   %s\n", dir.keyFile())
	if o.tlsSelfSigned {
		fmt.Fprintf(out, "  trust this    %s\n", dir.caFile())
	}
	if admin != nil {
		fmt.Fprintf(out, "  metrics       %s/metrics\n", baseURL(admin.Addr(), false))
	}
	fmt.Fprintf(out, "Next: headwater mirror https://github.com/octocat/Hello-World%s\n", dataFlag(dir))
}

// dataFlag is what a printed command must add to find the data directory.
func dataFlag(dir dataDir) string {
	if abs, err := filepath.Abs(defaultDataDir); err == nil && abs == string(dir) {
		return ""
	}
	return " --data " + core.ShellWord(string(dir))
}

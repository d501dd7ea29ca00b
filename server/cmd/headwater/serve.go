package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/store"
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
	bindLife(f, &o.keepDeleted, "keep-deleted", 7*core.Day, "how long a deleted repository can be brought back; 0 removes it at once")
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
	set, err := o.settings(cmd)
	if err != nil {
		return err
	}
	ctx, dir, log := cmd.Context(), set.dir, set.log
	inherited, err := inheritedSockets()
	if err != nil {
		return err
	}
	// Listen first: a wrong address should not cost a start.
	listener, err := listenOn(ctx, inherited.main, o.listen, "listen")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	adminListener, err := o.admin.listenAdmin(ctx, log)
	if err != nil {
		return err
	}
	if adminListener != nil {
		defer func() { _ = adminListener.Close() }()
	}
	base := baseURL(listener.Addr(), set.cert != nil)
	var tlsConfig *tls.Config
	if set.cert != nil {
		tlsConfig = set.cert.config()
	}
	if len(o.acme.domains) > 0 {
		certificates, err := o.newACME(ctx, dir, listener, inherited.http, set.egress, log)
		if err != nil {
			return err
		}
		defer certificates.stop()
		tlsConfig = certificates.tlsConfig()
		// The certificate is for this name alone, so commands on this machine need it, too.
		base = "https://" + withPort(o.acme.domains[0], listenerPort(listener))
		if set.public == "" {
			set.public = base
		}
		if err := certificates.start(ctx, log); err != nil {
			return err
		}
	}
	srv, err := server.New(ctx, o.serverOptions(set, sealKey, dsn))
	if err != nil {
		next := "read the message above; `headwater serve --help` lists the flags"
		if store.IsDamaged(err) {
			next = "headwater restore BACKUP into an empty folder; without a backup move headwater.db away, then: headwater doctor --adopt"
		}
		return wrapf(err, next, "cannot start the server")
	}
	removeAddress, err := announce(dir, base, log)
	if err != nil {
		return errors.Join(err, srv.Shutdown(ctx))
	}
	defer removeAddress()
	defer serveAdmin(dir, adminListener, srv.AdminHandler(), log)()
	printStarted(cmd, o, dir, base, set.public, adminListener)
	hangup := make(chan os.Signal, 1) // what comes during a reload is one more
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return runServer(ctx, serving{
		server: srv, listener: listener, tls: tlsConfig, log: log, drain: o.drain,
		hangup: hangup, reload: reloadAll(set.cert, srv),
	})
}

// announce writes where the server listens into the data directory, for the commands on
// this machine, and returns what removes it. Only the holder of the directory's lock may
// do so.
func announce(dir dataDir, base string, log hclog.Logger) (func(), error) {
	remove, err := dir.writeAddress(base)
	if errors.Is(err, syscall.ENOSPC) {
		// Reads need no room: a full disk must not keep them from being served.
		log.Error("the disk of the data directory is full; reads are served, writes fail. Commands must name the server with --server", "data", string(dir), "server", base)
		return func() {}, nil
	}
	return remove, err
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

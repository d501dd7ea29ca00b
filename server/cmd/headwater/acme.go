package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/headwater-git/headwater/providers"
)

// acmeOptions are the flags about certificates that the server gets by itself (RFC 8555).
type acmeOptions struct {
	domains    []string
	email      string
	directory  string
	caFile     string
	httpListen string
}

// bindACME adds the flags.
func bindACME(f *pflag.FlagSet, o *acmeOptions) {
	f.StringArrayVar(&o.domains, "acme-domain", nil, "HTTPS with a certificate for this name that the server gets and renews by itself; may be repeated")
	f.StringVar(&o.email, "acme-email", "", "address that the authority may write to")
	f.StringVar(&o.directory, "acme-ca", certmagic.LetsEncryptProductionCA, "directory URL of the ACME authority")
	f.StringVar(&o.caFile, "acme-ca-file", "", "PEM file to trust for the authority's own HTTPS, if it is one of your own")
	f.StringVar(&o.httpListen, "acme-http-listen", ":80", "address on which the authority is answered over HTTP, and everybody else sent to HTTPS; none answers over --listen alone")
}

// check refuses what cannot work.
func (o acmeOptions) check() error {
	for _, domain := range o.domains {
		if !certmagic.SubjectQualifiesForCert(domain) || strings.Contains(domain, "*") || net.ParseIP(domain) != nil {
			return usagef("give a name like git.example.com, and --acme-domain again for another one", "--acme-domain %q is not the name of a host", domain)
		}
	}
	if u, err := url.Parse(o.directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return usagef("give the authority's https URL, or leave --acme-ca out for Let's Encrypt", "--acme-ca is not an https URL")
	}
	return nil
}

// acme gets and renews certificates.
type acme struct {
	config   *certmagic.Config
	issuer   *certmagic.ACMEIssuer
	cache    *certmagic.Cache
	http     *http.Server // answers HTTP-01; nil without --acme-http-listen
	listener net.Listener // of http
	domains  []string
	stopped  sync.Once
}

// newACME prepares what --acme-domain asks for, without a word to the authority. main
// is the listener of HTTPS, and plain that of HTTP, nil for none. Account, keys and
// certificates are kept in dir.
func newACME(o acmeOptions, dir string, main, plain net.Listener, egress providers.Secret, log hclog.Logger) (*acme, error) {
	roots, err := o.roots()
	if err != nil {
		return nil, err
	}
	proxy, err := acmeProxy(egress)
	if err != nil {
		return nil, err
	}
	a := &acme{domains: o.domains, listener: plain}
	logger := zap.New(zapToHclog{log.Named("acme")})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           logger,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: dir}, Logger: logger})
	template := certmagic.ACMEIssuer{
		CA: o.directory, Email: o.email, Agreed: true, TrustedRoots: roots, Logger: logger, HTTPProxy: proxy,
		// The library opens these ports for a challenge unless somebody listens there, as
		// we do.
		ListenHost: listenerHost(main), AltTLSALPNPort: listenerPort(main),
		DisableHTTPChallenge: plain == nil,
	}
	if plain != nil {
		template.AltHTTPPort = listenerPort(plain)
	}
	a.issuer = certmagic.NewACMEIssuer(a.config, template)
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	if plain != nil {
		a.http = &http.Server{
			Handler:           a.issuer.HTTPChallengeHandler(toHTTPS(listenerPort(main))),
			ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog: log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		}
	}
	return a, nil
}

// roots returns what the authority's own HTTPS is trusted by; nil is the system's.
func (o acmeOptions) roots() (*x509.CertPool, error) {
	if o.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, wrapf(err, "name a PEM file with --acme-ca-file, or leave it out", "read --acme-ca-file")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usagef("name a PEM file with --acme-ca-file, or leave it out", "%s holds no PEM certificate", o.caFile)
	}
	return roots, nil
}

// acmeProxy leads to the authority through the operator's forward proxy alone: nothing
// of the environment chooses one.
func acmeProxy(egress providers.Secret) (func(*http.Request) (*url.URL, error), error) {
	if egress == "" {
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil
	}
	u, err := url.Parse(string(egress))
	if err != nil {
		return nil, errors.New("the URL of the forward proxy cannot be read") // its text holds a password
	}
	return http.ProxyURL(u), nil
}

// tlsConfig returns what the listener of HTTPS needs, for TLS-ALPN-01 too.
func (a *acme) tlsConfig() *tls.Config {
	c := a.config.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return c
}

// start begins to get and renew certificates, in the background: the authority asks
// back while the server already listens.
func (a *acme) start(ctx context.Context, log hclog.Logger) error {
	if a.http != nil {
		go func() {
			if err := a.http.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
				log.Error("challenges over HTTP are no longer answered", "error", err)
			}
		}()
	}
	return a.config.ManageAsync(ctx, a.domains)
}

// stop ends what start began. It may be called twice.
func (a *acme) stop() {
	a.stopped.Do(func() {
		if a.http != nil {
			_ = a.http.Close()
		}
		a.cache.Stop()
	})
}

// toHTTPS sends readers to HTTPS. What would write has sent its credential in the clear
// already, and gets an error instead.
func toHTTPS(port int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "use https: nothing is taken over http", http.StatusForbidden)
			return
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		http.Redirect(w, r, "https://"+withPort(host, port)+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}
}

// withPort is a host with a port that is not that of HTTPS.
func withPort(host string, port int) string {
	if port == 443 {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// acmeDir is where account, keys and certificates of --acme-domain are.
func (d dataDir) acmeDir() string { return filepath.Join(d.tls(), "acme") }

func listenerPort(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func listenerHost(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		return a.IP.String()
	}
	return ""
}

// zapToHclog passes what the ACME library logs on to the log of the server.
type zapToHclog struct{ log hclog.Logger }

var _ zapcore.Core = zapToHclog{}

// Enabled implements [zapcore.Core].
func (z zapToHclog) Enabled(level zapcore.Level) bool {
	return z.log.GetLevel() <= hclogLevel(level)
}

// With implements [zapcore.Core].
func (z zapToHclog) With(fields []zapcore.Field) zapcore.Core {
	return zapToHclog{z.log.With(arguments(fields)...)}
}

// Check implements [zapcore.Core].
func (z zapToHclog) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !z.Enabled(e.Level) {
		return checked
	}
	return checked.AddCore(e, z)
}

// Write implements [zapcore.Core].
func (z zapToHclog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	z.log.Log(hclogLevel(e.Level), e.Message, arguments(fields)...)
	return nil
}

// Sync implements [zapcore.Core].
func (zapToHclog) Sync() error { return nil }

// hclogLevel maps the library's levels to those of the server.
func hclogLevel(level zapcore.Level) hclog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return hclog.Error
	case level == zapcore.WarnLevel:
		return hclog.Warn
	case level == zapcore.InfoLevel:
		return hclog.Info
	default:
		return hclog.Debug
	}
}

// arguments are the fields of an entry as hclog takes them.
func arguments(fields []zapcore.Field) []any {
	e := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(e)
	}
	out := make([]any, 0, 2*len(e.Fields))
	for _, f := range fields {
		if value, ok := e.Fields[f.Key]; ok {
			out = append(out, f.Key, value)
		}
	}
	return out
}

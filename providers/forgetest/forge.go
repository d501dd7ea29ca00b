package forgetest

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/providertest/fixture"
)

// User is the account that the tokens of [Forge.Token] belong to.
const User = "river"

var errNotEmpty = errors.New("the folder is not empty")

// ForgeOptions says what kind of forge to start. The zero value is a plain
// HTTP forge that looks like GitHub on a free port of 127.0.0.1.
type ForgeOptions struct {
	// HostKind is the host to look like; "" is [HostGitHub].
	HostKind HostKind
	// Custom describes another host in the place of HostKind.
	Custom *fixture.Forge
	// TLS serves https with a certificate of the forge's own; its PEM file is
	// [Forge.CAFile].
	TLS bool
	// BasePath is the path that everything is below, as "/git"; "" is none.
	BasePath string
	// Addr is the address to listen on; "" is "127.0.0.1:0".
	Addr string
	// TokenLife is how long GitHub App installation tokens live; 0 is one hour.
	TokenLife time.Duration
	// AppKey is the key pair of the GitHub App; nil makes one when it is needed.
	AppKey *rsa.PrivateKey
	// ReceiverCAs verify the receivers of webhooks with TLS; nil is the
	// system's.
	ReceiverCAs *x509.CertPool
}

// Forge is a fake host. All methods are safe for concurrent use.
type Forge struct {
	dir     string
	options ForgeOptions
	rules   hostRules
	root    string // folder of the repositories
	hooks   string // core.hooksPath of a push of which something is refused
	caFile  string
	env     []string
	server  *http.Server
	address string
	served  chan struct{} // closed when the accept loop has ended
	app     *githubApp    // nil unless the host has Apps

	listings  listings
	manifests appManifests
	postman   *postman

	ctx     context.Context // ends when the forge closes; releases stalled requests
	cancel  context.CancelFunc
	running sync.WaitGroup // requests in progress

	mu       sync.Mutex
	closed   bool
	lastID   int64
	repos    map[string]*forgeRepo // by key of the path
	moved    map[string]string     // old path's key -> where it went: a path, or a URL
	tokens   map[string]*token
	faults   []*fault
	requests []*Request
	echoed   []string
	webhooks forgeHooks
	skew     time.Duration // of the forge's clock
	limit    RateLimit
	owners   map[string]bool // that have no repository; by key
	pageMost int             // see LimitPages
}

// NewForge starts a forge that keeps its files in dir, which is created if it
// is absent and must be empty: a forge does not remember an earlier one. The
// caller closes it; dir stays.
func NewForge(dir string, o ForgeOptions) (*Forge, error) {
	if o.HostKind == "" {
		o.HostKind = HostGitHub
	}
	d, ok := rulesOf(o.HostKind)
	if o.Custom != nil {
		o.HostKind = hostCustom
		d, ok = rulesOfCustom(o.Custom), true
	}
	if !ok {
		return nil, fmt.Errorf("unknown kind of host %q", o.HostKind)
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("locate forge folder: %w", err)
	}
	if old, err := os.ReadDir(dir); err == nil && len(old) > 0 {
		return nil, fmt.Errorf("start forge in %s: %w", dir, errNotEmpty)
	}
	f := &Forge{
		dir:     dir,
		options: o,
		rules:   d,
		root:    filepath.Join(dir, "repos"),
		hooks:   filepath.Join(dir, "hooks"),
		served:  make(chan struct{}),
		repos:   map[string]*forgeRepo{},
		moved:   map[string]string{},
		tokens:  map[string]*token{},
		owners:  map[string]bool{},

		manifests: appManifests{pending: map[string]pendingManifest{}},
	}
	f.webhooks = newForgeHooks()
	f.postman = newPostman(o)
	for _, sub := range []string{f.root, f.hooks} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return nil, fmt.Errorf("create forge folder: %w", err)
		}
	}
	if err := writeHooks(f.hooks); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	f.env = gitEnv(dir)
	if d.apps {
		if f.app, err = newGitHubApp(o.AppKey); err != nil {
			return nil, err
		}
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if err := f.listen(); err != nil {
		f.cancel()
		return nil, err
	}
	return f, nil
}

// listen opens the socket and starts to serve it.
func (f *Forge) listen() error {
	listener, err := new(net.ListenConfig).Listen(f.ctx, "tcp", f.options.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	f.address = listener.Addr().String()
	f.server = &http.Server{
		Handler:           http.StripPrefix(f.options.BasePath, f),
		ReadHeaderTimeout: time.Minute,
		// Clients that distrust the certificate and connections dropped by a
		// fault are this server's daily life, not news.
		ErrorLog: log.New(discard{}, "", 0),
	}
	if f.options.TLS {
		certificate, ca, err := newCertificate(f.address)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		f.caFile = filepath.Join(f.dir, "ca.pem")
		if err := os.WriteFile(f.caFile, ca, 0o644); err != nil {
			return errors.Join(fmt.Errorf("write CA file: %w", err), listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
		})
	}
	go f.postman.run(f)
	go func() {
		defer close(f.served)
		_ = f.server.Serve(listener) // always ErrServerClosed, from Close
	}()
	return nil
}

// gitEnv is the environment that every git of the forge runs in, but for PATH.
func gitEnv(home string) []string {
	return []string{
		"HOME=" + home,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Forge", "GIT_AUTHOR_EMAIL=forge@example.test",
		"GIT_COMMITTER_NAME=Forge", "GIT_COMMITTER_EMAIL=forge@example.test",
	}
}

// Close stops the forge: it releases stalled requests, closes every
// connection, drops deliveries that were not sent, and waits for the requests
// to end. It may be called twice.
func (f *Forge) Close() error {
	f.mu.Lock()
	f.closed = true // no request is admitted from here on, so Wait below is final
	f.mu.Unlock()
	f.cancel()
	err := f.server.Close()
	<-f.served
	f.running.Wait()
	<-f.postman.done
	return err
}

// admit counts a request in; it is false when the forge is closing.
func (f *Forge) admit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.running.Add(1)
	return true
}

// HostKind returns what the forge looks like.
func (f *Forge) HostKind() HostKind { return f.options.HostKind }

// Dir returns the folder of the forge.
func (f *Forge) Dir() string { return f.dir }

// Host returns the forge's host:port.
func (f *Forge) Host() string { return f.address }

// Scheme returns "http" or "https".
func (f *Forge) Scheme() string {
	if f.options.TLS {
		return "https"
	}
	return "http"
}

// URL returns the base URL of the forge, without a slash at the end.
func (f *Forge) URL() string { return f.Scheme() + "://" + f.address + f.options.BasePath }

// CAFile returns the PEM file that a client must trust, "" without TLS.
func (f *Forge) CAFile() string { return f.caFile }

// APIURL returns the base URL of the API, in the form that the host
// uses when it is self-hosted, as in [providers.HostPolicy].
func (f *Forge) APIURL() string { return f.URL() + f.rules.apiPath }

// CloneURL returns the URL of a repository, without user info.
func (f *Forge) CloneURL(repo string) string {
	if f.rules.bareURLs {
		return f.URL() + "/" + repo
	}
	return f.URL() + "/" + repo + ".git"
}

// CloneURLAs is [Forge.CloneURL] with a user and a valid token in it, for a
// git client that pushes to the forge directly.
func (f *Forge) CloneURLAs(repo string) string {
	user, secret := f.Credential()
	rest := strings.TrimPrefix(f.CloneURL(repo), f.Scheme()+"://")
	return f.Scheme() + "://" + user + ":" + secret + "@" + rest
}

// HostPolicy returns the policy an operator would write for this forge.
func (f *Forge) HostPolicy() providers.HostPolicy {
	return providers.HostPolicy{
		Host:         f.address,
		Scheme:       f.Scheme(),
		AllowPrivate: true,
		CAFile:       f.caFile,
		APIURL:       f.APIURL(),
		BasePath:     f.options.BasePath,
	}
}

// discard is an io.Writer that drops what it is given.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

package servertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/repo/repotest"
	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/netguard"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

// Org is the organisation of every server here.
const Org = server.FirstOrg

// Options says what server to start. The zero value is a server in a folder of
// its own that knows no host.
type Options struct {
	Dir           string                 // data directory; "" is a new one
	Forges        []*forgetest.TestForge // hosts that it may contact
	Hosts         []string               // further host blocks of providers.hcl, for gitea
	Config        string                 // further blocks of providers.hcl
	TLS           bool
	Clock         core.Clock
	Resolver      netguard.Resolver
	Failpoint     func(name string)
	SQLFirst      bool // changes of refs become true in SQL, and then on the disk
	Webhooks      events.Policy
	TraceEndpoint string // of a collector
	CORSOrigins   []string
	Public        bool // the server has a public URL, so webhooks are registered at hosts
	Limits        limit.Options
	Memory        git.Memory
	// FetchGrace and PushGrace: see server.Options.
	FetchGrace, PushGrace time.Duration
	Stall                 time.Duration // see server.Options
	SettlePeriod          time.Duration // see server.Options; 0 is settlePeriod
	KeepDeleted           time.Duration // see server.Options
	// Providers are further built-in ones; TestMain serves them, see builtin.Serve.
	Providers map[string]func() providers.Provider
}

// Server is a running server.
type Server struct {
	*server.Server
	Caller
	Dir  string
	Log  *Log
	http *httptest.Server
	stop func() error

	store func() core.Store // opened once
}

// Start starts a server and stops it when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	log := &Log{}
	so := ServerOptions(t, o)
	so.Logger = log.logger()
	listener := httptest.NewUnstartedServer(nil) // it has its address already
	if o.Public {
		so.PublicURL = "http://" + listener.Listener.Addr().String()
		if o.TLS {
			so.PublicURL = "https://" + listener.Listener.Addr().String()
		}
	}
	srv, err := server.New(t.Context(), so)
	if err != nil {
		_ = listener.Listener.Close()
	}
	require.NoError(t, err, "%s", log)
	s := &Server{Server: srv, Dir: o.Dir, Log: log, http: listener}
	s.http.Config.Handler = srv.Handler()
	// Upload and receive may rightly be cut off by tests; that is no news.
	s.http.Config.ErrorLog = log.logger().StandardLogger(nil)
	if o.TLS {
		s.http.EnableHTTP2 = true // as the program's own listener
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	s.store = sync.OnceValue(func() core.Store { return Store(t, o.Dir) })
	s.Caller = newCaller(t, o.Dir, s.http.URL, o.Clock)
	runCtx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(runCtx) }()
	stopped := false
	s.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
		defer done()
		err := srv.Shutdown(ctx)
		cancel()
		runErr := <-ran
		s.http.Close()
		if err == nil {
			err = runErr
		}
		return err
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
		if t.Failed() && os.Getenv("HEADWATER_TEST_LOG") != "" {
			t.Logf("log of %s:\n%s", s.Dir, s.Log)
		}
	})
	return s
}

// settlePeriod is short: the hosts of tests have no hooks that finish later.
const settlePeriod = 200 * time.Millisecond

// ServerOptions returns the options of a server over the test's plugins, with
// a providers.hcl for its forges.
func ServerOptions(t testing.TB, o Options) server.Options {
	t.Helper()
	if databaseOf(t, o.Dir) == "" {
		storetest.Empty(t, o.Dir)
	}
	builtins := builtin.All()
	maps.Copy(builtins, o.Providers)
	return server.Options{
		DataDir: o.Dir, Database: databaseOf(t, o.Dir), ConfigFile: writeConfig(t, o), Builtins: builtins, PluginCommand: builtin.Command(),
		Version: "test", Clock: o.Clock, Resolver: o.Resolver, Failpoint: o.Failpoint, Webhooks: o.Webhooks, TraceEndpoint: o.TraceEndpoint, CORSOrigins: o.CORSOrigins,
		Limits: o.Limits, Memory: o.Memory, FetchGrace: o.FetchGrace, PushGrace: o.PushGrace, Stall: o.Stall,
		KeepDeleted: o.KeepDeleted, SettlePeriod: cmp.Or(o.SettlePeriod, settlePeriod), CommitPoint: commitPoint(o.SQLFirst),
	}
}

// commitPoint returns the server's own, as nil, or the one with SQL first.
func commitPoint(sqlFirst bool) func(repo.CommitPointOptions) repo.CommitPoint {
	if sqlFirst {
		return repotest.SQLFirst
	}
	return nil
}

// writeConfig writes a providers.hcl that allows the forges.
func writeConfig(t testing.TB, o Options) string {
	t.Helper()
	hosts := o.Hosts
	for _, f := range o.Forges {
		block := fmt.Sprintf("  host %q {\n    scheme        = %q\n    allow_private = true\n", f.Host(), f.Scheme())
		if f.CAFile() != "" {
			block += fmt.Sprintf("    ca_file       = %q\n", f.CAFile())
		}
		hosts = append(hosts, block+"  }\n")
	}
	path := filepath.Join(t.TempDir(), "providers.hcl")
	require.NoError(t, os.WriteFile(path, []byte("provider \"gitea\" {\n"+strings.Join(hosts, "")+"}\n"+o.Config), 0o600))
	return path
}

// Stop shuts the server down before the test ends.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	require.NoError(t, s.stop())
}

// CAFile writes the certificate of a TLS server to a file.
func (s *Server) CAFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}), 0o600))
	return path
}

// HTTPS returns a client that trusts a TLS server, and speaks HTTP/2 with it on one
// connection.
func (s *Server) HTTPS() *http.Client { return s.http.Client() }

// Repo returns the row of a repository.
func (s *Server) Repo(t testing.TB, name string) core.Repository {
	t.Helper()
	r, err := s.Engine().Services().Repos.Repository(t.Context(), Org, name)
	require.NoError(t, err)
	return r
}

// Status returns the sync state of a repository.
func (s *Server) Status(t testing.TB, name string) engine.SyncStatus {
	t.Helper()
	status, err := s.Engine().SyncStatus(t.Context(), s.Repo(t, name))
	require.NoError(t, err)
	return status
}

// Runs returns the runs of a repository, newest first.
func (s *Server) Runs(t testing.TB, name string) []core.Run {
	t.Helper()
	runs, err := s.store().Runs(t.Context(), s.Repo(t, name).ID, "", 1000)
	require.NoError(t, err)
	return runs
}

// Sync runs a sync to its end and returns its error.
func (s *Server) Sync(t testing.TB, name string) error {
	t.Helper()
	return s.SyncID(t.Context(), s.Repo(t, name).ID)
}

// SyncID is Sync for a repository's id, for other goroutines than the test's own.
func (s *Server) SyncID(ctx context.Context, id string) error {
	schedule := s.Engine().Services().Schedule
	generation, err := schedule.Request(ctx, id, "api", "")
	if err != nil {
		return err
	}
	return schedule.Wait(ctx, id, generation)
}

// Refs returns every ref on disk, the internal ones too, and HEAD's target.
func (s *Server) Refs(t testing.TB, name string) map[string]string {
	t.Helper()
	dir := s.Engine().Services().Repos.Path(s.Repo(t, name).ID)
	refs, err := forgetest.ReadRefs(dir)
	require.NoError(t, err)
	refs["HEAD"], err = headRef(dir)
	require.NoError(t, err)
	return refs
}

// Mirror makes a repository that follows one of the forge's, with a stored
// credential, and waits for its first sync.
func (s *Server) Mirror(t testing.TB, name string, forge *forgetest.TestForge, path string) {
	t.Helper()
	s.Link(t, name, forge, path)
	require.NoError(t, s.Sync(t, name), "%s", s.Log)
}

// Store opens the metadata of a data directory beside a running server.
func Store(t testing.TB, dir string) core.Store {
	t.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "keys", "seal.json"))
	require.NoError(t, err)
	st, err := database.Place{DataDir: dir, DSN: databaseOf(t, dir)}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

// Caller calls the API of a server, in this process or in another.
type Caller struct {
	URL   string
	key   access.PrivateKey
	pem   []byte
	clock core.Clock
}

func newCaller(t testing.TB, dir, url string, clock core.Clock) Caller {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "keys", Org+".pem"))
	require.NoError(t, err)
	key, err := access.ParsePrivateKey(pem)
	require.NoError(t, err)
	if clock == nil {
		clock = core.SystemClock{}
	}
	return Caller{URL: url, key: key, pem: pem, clock: clock}
}

// PrivatePEM returns the organisation's private key.
func (c Caller) PrivatePEM() []byte { return c.pem }

// Token signs a token for a repository that opens everything.
func (c Caller) Token(t testing.TB, repo string) string {
	t.Helper()
	return c.TokenWith(t, access.Claims{Repo: repo, Scopes: access.Scopes()})
}

// TokenWith signs a token; issuer and times are filled in, and a subject if
// there is none.
func (c Caller) TokenWith(t testing.TB, claims access.Claims) string {
	t.Helper()
	now := c.clock.Now()
	claims.Issuer, claims.IssuedAt = Org, now
	if claims.Subject == "" {
		claims.Subject = "tester"
	}
	if claims.ExpiresAt.IsZero() {
		claims.ExpiresAt = now.Add(1000 * time.Hour)
	}
	token, err := access.Sign(c.key, claims)
	require.NoError(t, err)
	return token
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Raw    string
	Body   map[string]any // nil if there is none
}

// At returns a value of the body by a path of keys, such as "sync.state"; nil
// if it is not there.
func (a Answer) At(path string) any {
	var value any = a.Body
	for key := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// API calls the preferred route of a repository: suffix is what follows its
// name. A nil body sends none.
func (c Caller) API(t testing.TB, method, repo, suffix string, body any) Answer {
	t.Helper()
	return c.Call(t, method, "/api/repos/"+url.PathEscape(repo)+suffix, c.Token(t, repo), body)
}

// Call sends one request to the API.
func (c Caller) Call(t testing.TB, method, path, token string, body any) Answer {
	t.Helper()
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		reader = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, reader)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true // no idle connection outlives the call
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &a.Body), a.Raw)
	}
	return a
}

// Get returns the answer of the API about a repository, with its raw body; most tests
// want [Caller.Repository].
func (c Caller) Get(t testing.TB, repo string) Answer {
	t.Helper()
	a := c.API(t, http.MethodGet, repo, "", nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	return a
}

// Remote returns the URL of a Git remote, without a token: the name of a
// repository, with "+ephemeral" or "+import" for the others.
func (c Caller) Remote(name string) string { return c.URL + "/" + name + ".git" }

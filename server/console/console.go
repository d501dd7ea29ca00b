package console

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/middleware"
)

// Prefix is where the console is.
const Prefix = "/console"

// Match reports whether a request is for the console.
func Match(r *http.Request) bool {
	return r.URL.Path == Prefix || strings.HasPrefix(r.URL.Path, Prefix+"/")
}

// Store is what the console reads past the API.
type Store interface {
	DeletedRepository(ctx context.Context, org, nameOrID string) (core.Repository, error)
	core.ConsoleStore
	core.OrgStore
	core.AuditStore
	core.LimitStore
	core.SwitchStore
	Tx(ctx context.Context, f func(core.Queries) error) error
	EventsOf(ctx context.Context, f core.EventFilter) ([]core.Event, error)
	Events(ctx context.Context, after int64, limit int) ([]core.Event, error)
	LastSeq(ctx context.Context) (int64, error)
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
}

// Plans says what a sync would do now. It asks the upstream.
type Plans interface {
	Plan(ctx context.Context, repo core.Repository, s core.Settings) (mirror.Plan, error)
}

// Server is what is known of the server itself, for its owner.
type Server struct {
	Version, Git string
	StartedAt    time.Time
	Problems     []string
	DiskSize     int64
	DiskFree     int64
	Disk         map[string]int64 // by class
	Running      int
	Waiting      int
}

// Options is what the console stands on. All of it is required but for PublicURL.
type Options struct {
	Store    Store
	Clock    core.Clock
	Logger   hclog.Logger
	Verifier *access.Verifier
	// API returns the operations for callers that identify names. No listener serves it.
	API func(identify func(ctx context.Context) (access.Identity, error)) http.Handler
	// Operation returns the operation of the API of a name, as a token of the whole
	// organisation or of one repository needs it; false: there is none.
	Operation func(name string, orgWide bool) (access.Operation, bool)
	Plans     Plans
	Hosts     func() []schedule.HostLoad
	// Unsettled names the refs of which the upstream has not said whether it took a push.
	Unsettled func(repoID string) []string
	// Stopping is closed when the server stops: what waits for events ends.
	Stopping <-chan struct{}
	Server   func(ctx context.Context) Server
	// StatusOf maps an error kind to an HTTP status.
	StatusOf func(core.Kind) int
	// PublicURL is the base that browsers use; "" takes what each request came to.
	PublicURL string
	// Grace is how long a form may come in below one kilobyte a second; 0 is
	// [middleware.BodyGrace].
	Grace time.Duration
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	Options
	access    middleware.Access // decides what a token opens
	base      string            // of every path, without a slash at its end
	api       *client.API
	plans     plans // of links that wait for a yes
	streams   streams
	templates map[string]*template.Template
	assets    string // names the version of the static files in links to them
	handler   http.Handler
}

//go:embed static templates
var files embed.FS

// New returns the console. It panics if its own templates are broken.
func New(o Options) (*Console, error) {
	o.Grace = cmp.Or(o.Grace, middleware.BodyGrace)
	c := &Console{Options: o, access: middleware.Access{LacksScope: "the token of this session lacks the scope %s"}, base: Prefix}
	protection := http.NewCrossOriginProtection()
	if public, err := url.Parse(o.PublicURL); err == nil && public.Host != "" {
		c.base = strings.TrimSuffix(public.Path, "/") + Prefix
		if err := protection.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
			return nil, err
		}
	}
	var err error
	if c.api, err = newAPI(o.API(identityOf)); err != nil {
		return nil, err
	}
	if c.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	if c.assets, err = assetsVersion(); err != nil {
		return nil, err
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, nil, core.Errorf(core.KindPermission, "this form was sent from another site; open the console itself and send it there"))
	}))
	c.handler = protection.Handler(c.routes())
	return c, nil
}

// assetsVersion returns a name that changes with any static file.
func assetsVersion() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, "static", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		sum.Write(content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12], err
}

// routes returns what serves each path.
func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	assets := http.StripPrefix(Prefix+"/static/", http.FileServerFS(static))
	mux.HandleFunc("GET "+Prefix+"/static/{file}", func(w http.ResponseWriter, r *http.Request) {
		// The version is in the query of each link, so that an old file is never met.
		w.Header().Set("Cache-Control", "public, max-age=604800, immutable")
		assets.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET "+Prefix+"/sign-in", c.open(c.signInPage))
	mux.HandleFunc("POST "+Prefix+"/sign-in", c.open(c.signInByToken))
	mux.HandleFunc("GET "+Prefix+"/link/{code}", c.open(c.linkPage))
	mux.HandleFunc("POST "+Prefix+"/link", c.open(c.signInByLink))
	mux.HandleFunc("POST "+Prefix+"/sign-out", c.signed(c.signOut))
	for path, of := range c.pages() {
		method, rest, _ := strings.Cut(path, " ")
		h := c.permitted(of)
		if method == http.MethodPost {
			h = c.writing(h)
		}
		mux.HandleFunc(method+" "+Prefix+rest, c.signed(h))
	}
	mux.HandleFunc("GET "+Prefix, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, c.base+"/", http.StatusSeeOther)
	})
	mux.HandleFunc(Prefix+"/", c.signed(func(_ http.ResponseWriter, _ *http.Request, _ *session) error {
		return core.Errorf(core.KindNotFound, "there is no such page")
	}))
	return mux
}

// route is one of the paths of those who are signed in.
type route struct {
	serve handler
	// needs names the operations of the API that a token must open to get here, those
	// among them of which the route shows something without asking the API. Where it asks
	// the API that decides once more.
	needs []string
	owner bool // for the owner alone, who needs no operation
}

// pages are what is served to those who are signed in, by method and path below [Prefix].
// What is POST changes something.
func (c *Console) pages() map[string]route {
	return map[string]route{
		"GET /{$}":                                 {serve: c.overview, needs: []string{"listRepositories"}},
		"GET /data/{plot}":                         {serve: c.overviewData, needs: []string{"listRepositories", "listEvents"}},
		"GET /stream":                              {serve: c.stream, needs: []string{"listEvents"}},
		"GET /repositories":                        {serve: c.repositories, needs: []string{"listRepositories"}},
		"GET /repositories/{id}":                   {serve: c.repository, needs: []string{"getRepository"}},
		"GET /repositories/{id}/data/{plot}":       {serve: c.repositoryData, needs: []string{"getRepository", "listSyncRuns"}},
		"GET /repositories/{id}/compare":           {serve: c.compare, needs: []string{"getRepository", "listBranches", "getSync"}},
		"GET /repositories/{id}/upstream":          {serve: c.upstreamPage, needs: []string{"getRepository"}},
		"GET /repositories/{id}/credential":        {serve: c.credentialPage, needs: []string{"getRepository"}},
		"GET /hosts":                               {serve: c.hosts, needs: []string{"listRepositories", "listProviders"}},
		"GET /deliveries":                          {serve: c.deliveries, needs: []string{"listWebhooks", "listDeliveries"}},
		"GET /audit":                               {serve: c.audit, needs: []string{"listAudit"}},
		"GET /organisations":                       {serve: c.organisations, needs: []string{"getOrganisation"}},
		"GET /credentials":                         {serve: c.credentials, needs: []string{"listSharedCredentials"}},
		"POST /repositories/bulk":                  {serve: c.bulk, needs: []string{"listRepositories"}},
		"POST /repositories/{id}/sync":             {serve: c.sync, needs: []string{"pullUpstream"}},
		"POST /repositories/{id}/pause":            {serve: c.pause, needs: []string{"pauseRepository"}},
		"POST /repositories/{id}/resume":           {serve: c.resume, needs: []string{"resumeRepository"}},
		"POST /repositories/{id}/settings":         {serve: c.changeSettings, needs: []string{"updateSettings"}},
		"POST /repositories/{id}/upstream":         {serve: c.changeUpstream, needs: []string{"getRepository"}},
		"POST /repositories/{id}/detach":           {serve: c.detach, needs: []string{"detachUpstream"}},
		"POST /repositories/{id}/credential":       {serve: c.storeCredential, needs: []string{"getRepository"}},
		"POST /repositories/{id}/credential/share": {serve: c.assignCredential, needs: []string{"assignSharedCredential"}},
		"POST /repositories/{id}/webhook":          {serve: c.renewWebhook, needs: []string{"rotateInboundWebhook"}},
		"POST /repositories/{id}/rewrites/{what}":  {serve: c.decide, needs: []string{"listRewrites"}},
		"GET /trash":                               {serve: c.trash, needs: []string{"listRepositories"}},
		"POST /trash/undelete":                     {serve: c.undelete, needs: []string{"undeleteRepository"}},
		"POST /trash/delete":                       {serve: c.purgeDeleted, needs: []string{"purgeDeletedRepository"}},
		"POST /credentials":                        {serve: c.createShared, needs: []string{"createSharedCredential"}},
		"POST /credentials/rotate":                 {serve: c.rotateShared, needs: []string{"rotateSharedCredential"}},
		"POST /credentials/check":                  {serve: c.checkShared, needs: []string{"checkSharedCredential"}},
		"POST /redeliver":                          {serve: c.redeliver, needs: []string{"redeliver"}},
		"POST /ping":                               {serve: c.ping, needs: []string{"pingWebhook"}},
		"POST /sessions/end":                       {serve: c.endSession, needs: []string{endsSessions}},
		"POST /maintenance":                        {serve: c.maintain, owner: true},
		"POST /organisations/limits":               {serve: c.changeLimits, owner: true},
	}
}

// permit is KindPermission unless the session may do an operation of the API, by the same
// table and the same function that decide there. The owner may do all.
func (c *Console) permit(s *session, operation string) error {
	if s.Owner() {
		return nil
	}
	op, ok := c.Operation(operation, true)
	if !ok {
		return fmt.Errorf("the console asks for the operation %q, which there is not", operation)
	}
	return c.access.Authorise(s.identity(s.Org), op)
}

// permitted keeps from a route whoever may not do what it stands for.
func (c *Console) permitted(of route) handler {
	return func(w http.ResponseWriter, r *http.Request, s *session) error {
		if of.owner && !s.Owner() {
			return core.Errorf(core.KindPermission, "only the owner of the machine does that; they sign in with: headwater console")
		}
		for _, operation := range of.needs {
			if err := c.permit(s, operation); err != nil {
				return err
			}
		}
		return of.serve(w, r, s)
	}
}

// writing keeps viewers from whatever changes something, and notes that they tried.
func (c *Console) writing(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, s *session) error {
		if s.Writes() {
			if err := readForm(w, r, maxForm); err != nil {
				return err
			}
			return h(w, r, s)
		}
		if err := c.refused(r, s); err != nil {
			return err
		}
		return core.Errorf(core.KindPermission, "viewers change nothing; sign in as an operator, with a token that has repo:write and git:write")
	}
}

// ServeHTTP serves a page. What it answers may be shown by nobody else's page, and runs
// nothing that is not the console's own.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			c.Logger.Error("a page of the console panicked", "path", r.Pattern, "panic", p)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	}()
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, middleware.NewPaced(w, r, c.Grace), maxForm)
	c.handler.ServeHTTP(w, r)
}

// What a form may hold, in bytes: one of somebody who is signed in, and one of a
// stranger, who may send them on any number of connections.
const (
	maxForm      = 1 << 20
	strangerForm = 16 << 10
)

// readForm reads a form of at most that many bytes. Errors: KindTooLarge, and those of
// [middleware.BodyError].
func readForm(w http.ResponseWriter, r *http.Request, most int64) error {
	if r.Method != http.MethodPost {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	err := r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &core.Error{Kind: core.KindTooLarge, Message: "the form is larger than " + strconv.FormatInt(most>>10, 10) + " KiB", Err: err}
	}
	if err != nil {
		return middleware.BodyError(err)
	}
	return nil
}

// handler serves a page for somebody who is signed in.
type handler func(w http.ResponseWriter, r *http.Request, s *session) error

// signed is a page for those who are signed in.
func (c *Console) signed(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := c.session(r)
		if core.KindOf(err) == core.KindUnauthenticated {
			c.toSignIn(w, r)
			return
		}
		if err == nil {
			err = h(w, r.WithContext(withCaller(r.Context(), r)), s)
		}
		if err != nil {
			c.fail(w, r, s, err)
		}
	}
}

// open is a page for anybody.
func (c *Console) open(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := readForm(w, r, strangerForm)
		if err == nil {
			err = h(w, r.WithContext(withCaller(r.Context(), r)))
		}
		if err != nil {
			c.fail(w, r, nil, err)
		}
	}
}

package githttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/serve"
	"github.com/headwater-git/headwater/server/middleware"
)

// Repositories knows whether repositories can be read yet.
type Repositories interface {
	// CheckReady is KindSyncing while the first sync of a repository runs.
	CheckReady(ctx context.Context, repo core.Repository) error
}

// Freshener makes copies as fresh as clients demand.
type Freshener interface {
	Freshness(ctx context.Context, repo core.Repository, d core.Demand) (core.Freshness, error)
	Confirm(ctx context.Context, repo core.Repository, d core.Demand) (core.Freshness, error)
}

// Mirror knows the upstreams of repositories.
type Mirror interface {
	// BeforePush makes a copy fresh, if that is possible in a short time.
	BeforePush(ctx context.Context, repo core.Repository)
}

// Copies knows whether the local copy of a repository is the newest there is.
type Copies interface {
	Current(ctx context.Context, repo core.Repository) error
}

// Fetches serves what clients read.
type Fetches interface {
	Advertise(ctx context.Context, repo core.Repository, ns core.Namespace, protocol string, out io.Writer) error
	UploadPack(ctx context.Context, f serve.Fetch) error
}

// Pushes serves what clients write.
type Pushes interface {
	Advertise(ctx context.Context, repo core.Repository, ns core.Namespace, out io.Writer) error
	ReceivePack(ctx context.Context, r push.Receive) error
	// Refused records in the audit a push that did not become a write session.
	Refused(ctx context.Context, w push.Session, cause error)
}

var (
	_ Fetches = (*serve.Service)(nil)
	_ Pushes  = (*push.Service)(nil)
)

// Public knows which repositories are read without a token. [*publicread.Service]
// implements it.
type Public interface {
	// Find returns the repository that a name means to whoever has no token; false: none.
	Find(ctx context.Context, name string) (core.Repository, bool, error)
}

// Options configures [New]. All but Public, Limiter and the graces is required.
type Options struct {
	Measure      middleware.Measure
	Lookup       middleware.Repositories // finds repositories by name or id
	Repositories Repositories
	Fresh        Freshener
	Mirror       Mirror
	Copies       Copies
	Fetches      Fetches
	Pushes       Pushes
	Verifier     *access.Verifier
	Public       Public            // nil: nothing is read without a token
	Limiter      *limit.Limiter    // nil: requests are not bounded
	Rates        *middleware.Rates // nil: requests are not counted
	// ReadOnly is the mode in which pushes are refused; nil: there is none.
	ReadOnly middleware.ReadOnly
	Logger   hclog.Logger
	// StatusOf maps an error kind to an HTTP status.
	StatusOf func(core.Kind) int
	// FetchGrace and PushGrace are how long the body of a request may come in
	// below one kilobyte a second before it is cut; 0 is 10 s and one minute.
	FetchGrace, PushGrace time.Duration
}

// Handler serves the Git remotes.
type Handler struct {
	o      Options
	log    hclog.Logger
	access middleware.Access
}

// New returns the handler. Give it the requests for which [Match] is true.
func New(o Options) *Handler {
	if o.FetchGrace <= 0 {
		o.FetchGrace = middleware.BodyGrace
	}
	if o.PushGrace <= 0 {
		o.PushGrace = middleware.StreamGrace
	}
	return &Handler{
		o: o, log: o.Logger.Named("git-http"),
		access: middleware.Access{
			Verifier: o.Verifier, Limiter: o.Limiter, Rates: o.Rates, Repositories: o.Lookup, Token: middleware.GitToken,
			LacksScope: "the token lacks the scope %s", OtherRepository: "the token is for another repository",
		},
	}
}

// remote is one of the three remotes of a repository.
type remote struct {
	name      string // of the repository
	namespace core.Namespace
	imports   bool
	service   string // "git-upload-pack" or "git-receive-pack"
	advertise bool   // info/refs
}

// method returns the only one that the request may have.
func (m remote) method() string {
	if m.advertise {
		return http.MethodGet
	}
	return http.MethodPost
}

// parse takes a request path apart: the name of the repository, perhaps the
// suffix of one of its other remotes, perhaps ".git", and the service. Without
// ".git" it may look like a path of the API, which begins as no name does.
func parse(r *http.Request) (remote, bool) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	var m remote
	switch {
	case strings.HasSuffix(path, "/info/refs"):
		path = strings.TrimSuffix(path, "/info/refs")
		m.advertise, m.service = true, r.URL.Query().Get("service")
	case strings.HasSuffix(path, "/git-upload-pack"):
		path = strings.TrimSuffix(path, "/git-upload-pack")
		m.service = "git-upload-pack"
	case strings.HasSuffix(path, "/git-receive-pack"):
		path = strings.TrimSuffix(path, "/git-receive-pack")
		m.service = "git-receive-pack"
	default:
		return m, false
	}
	path, ended := strings.CutSuffix(path, ".git")
	if first, _, _ := strings.Cut(path, "/"); !ended && core.ReservedPath(first) {
		return remote{}, false
	}
	if base, ok := strings.CutSuffix(path, "+ephemeral"); ok {
		path, m.namespace = base, core.Ephemeral
	} else if base, ok := strings.CutSuffix(path, "+import"); ok {
		path, m.imports = base, true
	}
	m.name = path
	return m, true
}

// Match reports whether the request is for a Git remote.
func Match(r *http.Request) bool {
	_, ok := parse(r)
	return ok
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, ok := parse(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if want := m.method(); r.Method != want {
		w.Header().Set("Allow", want)
		http.Error(w, "use "+want+" here", http.StatusMethodNotAllowed)
		return
	}
	stack := h.stack(m)
	stack.Serve(w, r, func(x *middleware.Exchange, r *http.Request) error {
		x.Route = m.route()
		return h.serve(x, r, m)
	})
}

// stack returns what is done around a request for the remote.
func (h *Handler) stack(m remote) middleware.Stack {
	line := func(x *middleware.Exchange, r *http.Request, took time.Duration) {
		status := x.Status()
		if status == 0 {
			status = http.StatusOK // net/http's own
		}
		h.log.With(x.LogFields(r)...).Info("git request", "repo", m.name, "service", m.service, "advertise", m.advertise, "namespace", m.namespace, "org", x.Identity.Org,
			"subject", x.Identity.Subject, "status", status, "bytes_out", x.Bytes(), "duration", took, "error", hosterror.RedactError(x.Err))
	}
	return middleware.Stack{
		IDs:      middleware.RequestIDs{Now: core.SystemClock{}.Now},
		Log:      middleware.AccessLog{Now: core.SystemClock{}.Now, Line: line},
		Recovery: middleware.Recovery{Logger: h.log},
		Errors:   middleware.Errors{Answer: h.fail},
		Measure:  h.o.Measure,
	}
}

// route is the template of the request's path, with the service.
func (m remote) route() string {
	service := m.service
	if service != "git-upload-pack" && service != "git-receive-pack" {
		service = "other" // whatever a client has put into the query
	}
	if m.advertise {
		return "/{repo}/info/refs?service=" + service
	}
	return "/{repo}/" + service
}

// serve checks who asks for what, and hands over to the service.
func (h *Handler) serve(x *middleware.Exchange, r *http.Request, m remote) error {
	if m.service != "git-upload-pack" && m.service != "git-receive-pack" {
		return core.Errorf(core.KindPermission, "only the smart HTTP protocol is served; the dumb one is not")
	}
	if id, ok, err := h.stranger(r, m); err != nil {
		return err
	} else if ok {
		return h.access.ServeAs(x, r, id, func(x *middleware.Exchange, r *http.Request) error { return h.open(x, r, m) })
	}
	return h.access.Serve(x, r, func(x *middleware.Exchange, r *http.Request) error { return h.open(x, r, m) })
}

// open serves what an identity asks for.
func (h *Handler) open(x *middleware.Exchange, r *http.Request, m remote) error {
	repo, err := h.authorise(x, r, m)
	if err != nil {
		return err
	}
	return h.dispatch(x, r, repo, m)
}

// stranger returns the identity of whoever fetches without a token from a repository that
// can be read so. Of everything else it reports false: the answer is the 401 that there
// always is, whether the repository exists or not.
func (h *Handler) stranger(r *http.Request, m remote) (access.Identity, bool, error) {
	if h.o.Public == nil || len(r.Header.Values("Authorization")) > 0 || m.service != "git-upload-pack" || m.namespace != core.Default || m.imports || m.name == "" {
		return access.Identity{}, false, nil
	}
	repo, ok, err := h.o.Public.Find(r.Context(), m.name)
	if err != nil || !ok {
		return access.Identity{}, false, err
	}
	return access.Anonymous(repo, addressOf(r)), true, nil
}

// addressOf returns the client's address without its port, and of an IPv6 address the
// network of which one customer has all.
func addressOf(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}

// authorise returns the repository if the token opens it, and its remote takes
// the service. Refused pushes are recorded in the audit.
func (h *Handler) authorise(x *middleware.Exchange, r *http.Request, m remote) (core.Repository, error) {
	write := m.service == "git-receive-pack"
	repo, err := h.find(r.Context(), x.Identity, m, write)
	if err == nil && m.imports {
		err = m.checkImport(repo, write)
	}
	if write && core.KindOf(err) == core.KindPermission {
		if repo.ID == "" {
			repo = h.access.Wanted(r.Context(), x.Identity, m.name)
		}
		h.o.Pushes.Refused(r.Context(), session(x, r, repo, m), err)
	}
	return repo, err
}

// find returns the repository if the token opens it.
func (h *Handler) find(ctx context.Context, id access.Identity, m remote, write bool) (core.Repository, error) {
	op := access.Operation{Name: access.GitFetch, Scope: access.GitRead}
	if write {
		op = access.Operation{Name: access.GitPush, Scope: access.GitWrite}
	}
	if err := h.access.Authorise(id, op); err != nil {
		return core.Repository{}, err
	}
	if m.name == "" {
		return core.Repository{}, core.Errorf(core.KindNotFound, "repository not found")
	}
	if id.Stranger() != "" {
		repo, ok, err := h.o.Public.Find(ctx, m.name)
		if err == nil && !ok {
			err = middleware.ErrNoToken // since a moment ago
		}
		return repo, err
	}
	repo, err := h.access.Repository(ctx, id, m.name)
	if core.KindOf(err) == core.KindNotFound {
		return repo, core.Errorf(core.KindNotFound, "repository %q not found", m.name)
	}
	return repo, err
}

// dispatch gives an authorised request to the service that it is for.
func (h *Handler) dispatch(x *middleware.Exchange, r *http.Request, repo core.Repository, m remote) error {
	write := m.service == "git-receive-pack"
	if write {
		if err := h.o.ReadOnly.Check(r.Context()); err != nil {
			return err
		}
	}
	if err := h.o.Repositories.CheckReady(r.Context(), repo); err != nil {
		return err
	}
	if err := h.o.Copies.Current(r.Context(), repo); err != nil {
		return err
	}
	noCache(x)
	switch {
	case m.advertise && write:
		return h.advertisePush(x, r, repo, m)
	case m.advertise:
		if err := h.confirm(r, repo, x.Identity); err != nil {
			return err
		}
		return h.advertiseFetch(x, r, repo, m)
	case write:
		return h.receivePack(x, r, repo, m)
	}
	return h.uploadPack(x, r, repo, m)
}

// checkImport refuses what the import remote is not for.
func (m remote) checkImport(repo core.Repository, write bool) error {
	switch {
	case !write:
		return core.Errorf(core.KindPermission, "the import remote takes pushes only; read from /%s.git", m.name)
	case repo.Upstream != nil:
		return core.Errorf(core.KindPermission, "repository %q follows an upstream; push to /%s.git", m.name, m.name)
	}
	return nil
}

// noCache keeps proxies from storing answers, with the headers of git
// http-backend (http-backend.c, hdr_nocache).
func noCache(w http.ResponseWriter) {
	w.Header().Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
}

// fail answers with a status and one line of text, which git shows as
// "remote: ..." of a GET, and [Handler.inBand] of a POST. Once a body has begun, all that is left is to cut it off.
func (h *Handler) fail(w *middleware.Exchange, r *http.Request, err error) {
	if w.Began() {
		if r.Context().Err() == nil {
			h.log.Warn("git request failed in mid-answer", "error", hosterror.RedactError(err))
			panic(http.ErrAbortHandler)
		}
		return
	}
	kind := core.KindOf(err)
	status, message := h.o.StatusOf(kind), core.MessageOf(err)
	if errors.Is(err, middleware.ErrSlowBody) {
		// The rest of the body is not waited for.
		status, message = http.StatusRequestTimeout, middleware.ErrSlowBody.Error()
		w.Header().Set("Connection", "close")
	}
	middleware.RetryAfterOf(w, err)
	if h.inBand(w, r, status, message) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if kind == core.KindUnauthenticated {
		w.Header().Set("WWW-Authenticate", `Basic realm="headwater", charset="UTF-8"`)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, message)
}

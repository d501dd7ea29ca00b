package lfshttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/middleware"
)

// mediaType is that of all bodies but objects.
const mediaType = "application/vnd.git-lfs+json"

const (
	// maxBody bounds the bodies of requests that are no objects, in bytes.
	maxBody = 2 << 20
	// maxObjects bounds the objects of a batch. git-lfs asks for a hundred.
	maxObjects = 10_000
)

// Objects serves objects and locks. [*lfs.Service] implements it; see there for the
// errors.
type Objects interface {
	Downloads(ctx context.Context, repo core.Repository, objects []lfs.Pointer) ([]lfs.Answer, error)
	Uploads(ctx context.Context, repo core.Repository, ref string, objects []lfs.Pointer) ([]lfs.Answer, error)
	Open(ctx context.Context, repo core.Repository, p lfs.Pointer) (lfs.Content, error)
	Put(ctx context.Context, repo core.Repository, p lfs.Pointer, body io.Reader) error
	Verify(ctx context.Context, repo core.Repository, p lfs.Pointer) error
	Locks(ctx context.Context, repo core.Repository, owner string, q lfs.LockQuery) ([]lfs.OwnedLock, string, error)
	Lock(ctx context.Context, repo core.Repository, owner, path, ref string) (lfs.Lock, error)
	Unlock(ctx context.Context, repo core.Repository, owner, id, ref string, force bool) (lfs.Lock, error)
}

var _ Objects = (*lfs.Service)(nil)

// Audit takes entries of the audit. [core.Store] implements it.
type Audit interface {
	AddAudit(ctx context.Context, e core.AuditEntry) error
}

// Options configures [New]. All but Limiter, Rates, ReadOnly and Grace is required.
type Options struct {
	Objects  Objects
	Lookup   middleware.Repositories // finds repositories by name or id
	Verifier *access.Verifier
	Audit    Audit // of locks: who took and removed which, and what was refused
	Clock    core.Clock
	Limiter  *limit.Limiter
	Rates    *middleware.Rates
	Measure  middleware.Measure
	// ReadOnly is the mode in which uploads and locks are refused; nil: there is none.
	ReadOnly middleware.ReadOnly
	// Base returns the URL that clients reach the server by.
	Base   func(r *http.Request) string
	Logger hclog.Logger
	// StatusOf maps an error kind to an HTTP status.
	StatusOf func(core.Kind) int
	// Grace is how long an object may come in below one kilobyte a second before it is
	// cut; 0 is one minute.
	Grace time.Duration
}

// Handler serves Git LFS.
type Handler struct {
	o      Options
	log    hclog.Logger
	access middleware.Access
}

// New returns the handler. Give it the requests for which [Match] is true.
func New(o Options) *Handler {
	if o.Grace <= 0 {
		o.Grace = middleware.StreamGrace
	}
	return &Handler{
		o: o, log: o.Logger.Named("lfs-http"),
		access: middleware.Access{
			Verifier: o.Verifier, Limiter: o.Limiter, Rates: o.Rates, Repositories: o.Lookup, Token: middleware.GitToken,
			LacksScope: "the token lacks the scope %s", OtherRepository: "the token is for another repository",
		},
	}
}

// operation is what a method does at an endpoint.
type operation struct {
	route  string
	write  bool // takes the scope to push; a batch decides by its body
	serve  func(h *Handler, c *call) error
	action string // what the audit says of it; "" if it is not in there
}

func operations() map[endpoint]map[string]operation {
	return map[endpoint]map[string]operation{
		batch: {http.MethodPost: {"objects/batch", false, (*Handler).batch, ""}},
		object: {
			http.MethodGet:  {"objects/{oid}", false, (*Handler).download, ""},
			http.MethodHead: {"objects/{oid}", false, (*Handler).download, ""},
			http.MethodPut:  {"objects/{oid}", true, (*Handler).upload, ""},
		},
		verify: {http.MethodPost: {"objects/{oid}/verify", true, (*Handler).verify, ""}},
		locks: {
			http.MethodGet:  {"locks", false, (*Handler).listLocks, ""},
			http.MethodPost: {"locks", true, (*Handler).lock, "lfs.lock"},
		},
		verifyLocks: {http.MethodPost: {"locks/verify", true, (*Handler).verifyLocks, ""}},
		unlock:      {http.MethodPost: {"locks/{id}/unlock", true, (*Handler).unlock, "lfs.unlock"}},
	}
}

// call is one request for one repository.
type call struct {
	*middleware.Exchange
	r      *http.Request
	target target
	repo   core.Repository

	lockPath, lockNote string // of a lock, for the audit
}

// into returns the repository that an upload is for.
func (c *call) into() core.Repository {
	if c.target.ephemeral {
		return lfs.In(core.Ephemeral, c.repo)
	}
	return c.repo
}

// owner names who asks, for locks.
func (c *call) owner() string { return c.Identity.Actor().LockOwner() }

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, _ := parse(r)
	methods := operations()[t.endpoint]
	op, found := methods[r.Method]
	line := func(x *middleware.Exchange, r *http.Request, took time.Duration) {
		h.log.With(x.LogFields(r)...).Info("lfs request", "repo", t.name, "method", r.Method, "route", x.Route, "org", x.Identity.Org, "subject", x.Identity.Subject,
			"status", x.Status(), "bytes_out", x.Bytes(), "duration", took, "error", hosterror.RedactError(x.Err))
	}
	stack := middleware.Stack{
		IDs:      middleware.RequestIDs{Now: core.SystemClock{}.Now},
		Log:      middleware.AccessLog{Now: core.SystemClock{}.Now, Line: line},
		Recovery: middleware.Recovery{Logger: h.log},
		Errors:   middleware.Errors{Answer: h.fail},
		Measure:  h.o.Measure,
	}
	stack.Serve(w, r, func(x *middleware.Exchange, r *http.Request) error {
		if !found {
			x.Route = "/{repo}/info/lfs/other"
			if len(methods) == 0 {
				return core.Errorf(core.KindNotFound, "there is no such path of the Git LFS API")
			}
			for method := range methods {
				x.Header().Add("Allow", method)
			}
			return errMethod
		}
		x.Route = "/{repo}/info/lfs/" + op.route
		return h.access.Serve(x, r, func(x *middleware.Exchange, r *http.Request) error {
			c := &call{Exchange: x, r: r, target: t}
			err := h.serve(c, op)
			h.audit(c, op.action, err)
			return err
		})
	})
}

// serve serves a request whose token has been verified.
func (h *Handler) serve(c *call, op operation) error {
	var err error
	if c.repo, err = h.find(c); err != nil {
		return err
	}
	if err := h.allow(c, op.write); err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return op.serve(h, c)
}

// errMethod is answered with 405.
var errMethod = errors.New("the path takes another method")

// find returns the repository if the token opens it at all.
func (h *Handler) find(c *call) (core.Repository, error) {
	op := access.Operation{Name: access.GitFetch, Scope: access.GitRead}
	if c.target.imports || c.Identity.Issued() && !c.Identity.Allows(access.GitFetch) {
		op = access.Operation{Name: access.GitPush, Scope: access.GitWrite}
	}
	if err := h.access.Authorise(c.Identity, op); err != nil {
		return core.Repository{}, err
	}
	repo, err := h.access.Repository(c.r.Context(), c.Identity, c.target.name)
	if core.KindOf(err) == core.KindNotFound {
		return repo, core.Errorf(core.KindNotFound, "repository %q not found", c.target.name)
	}
	return repo, err
}

// allow checks that the token reads, or writes, and that the server takes writes.
func (h *Handler) allow(c *call, write bool) error {
	if !write {
		if c.target.imports && c.target.endpoint != batch {
			return core.Errorf(core.KindPermission, "the import remote takes uploads only; read from /%s.git", c.target.name)
		}
		return nil
	}
	if err := h.access.Authorise(c.Identity, access.Operation{Name: access.GitPush, Scope: access.GitWrite}); err != nil {
		return err
	}
	if c.target.imports && c.repo.Upstream != nil {
		return core.Errorf(core.KindPermission, "repository %q follows an upstream; push to /%s.git", c.target.name, c.target.name)
	}
	if !c.Identity.Policy.AllowsPush() {
		return core.Errorf(core.KindPermission, "the token's policy lets no ref be pushed, so there is nothing to upload or lock for")
	}
	return h.o.ReadOnly.Check(c.r.Context())
}

// allowRef checks that the token may push a ref, if one is named.
func (c *call) allowRef(ref string) error {
	if ref == "" {
		return nil // that some ref may be pushed was checked
	}
	if err := core.ValidateRefName(ref); err != nil {
		return err
	}
	if c.Identity.Policy.Rule(ref).NoPush {
		return core.Errorf(core.KindPermission, "the token's policy forbids to push %s", ref)
	}
	return nil
}

// refBody is a ref in a request.
type refBody struct {
	Name string `json:"name"`
}

// name returns the full name, "" for none. Where no branch is checked out, git-lfs names HEAD,
// which says nothing of what is pushed.
func (r *refBody) name() string {
	if r == nil || r.Name == "HEAD" {
		return ""
	}
	return r.Name
}

// read reads a body of JSON.
func (h *Handler) read(c *call, into any) error {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != mediaType && kind != "application/json" {
		return core.Errorf(core.KindInvalid, "the body must be of the type %s", mediaType)
	}
	if err := middleware.HoldBody(c, c.r, c.repo.ID); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(middleware.NewPaced(c, c.r, middleware.BodyGrace), maxBody+1))
	if err != nil {
		return middleware.BodyError(err)
	}
	if len(raw) > maxBody {
		middleware.DiscardBody(c, c.r)
		return &core.Error{Kind: core.KindTooLarge, Message: "the request is larger than " + strconv.Itoa(maxBody) + " bytes; ask for fewer objects at once"}
	}
	if err := middleware.CheckText(raw); err != nil {
		return err
	}
	err = json.Unmarshal(raw, into)
	if own, ok := errors.AsType[*core.Error](err); ok {
		return own
	}
	if err != nil {
		return &core.Error{Kind: core.KindInvalid, Message: "the body is not the JSON that is expected here", Err: err}
	}
	return nil
}

// answer writes a body of JSON.
func (c *call) answer(status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.Header().Set("Content-Type", mediaType)
	c.WriteHeader(status)
	_, err = c.Write(append(raw, '\n'))
	return err
}

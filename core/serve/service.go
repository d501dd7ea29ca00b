package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/limit"
)

// Options configures [New]. All but MaxRequest, Suspect, Sent, Refused and
// Logger are required.
type Options struct {
	Git     *git.Git
	Path    func(repoID string) string // folder of a repository
	TempDir string                     // for requests that are too large for memory
	// MaxRequest bounds a request after decompression, in bytes; 0 is 10 MB,
	// the http.maxRequestBuffer of git http-backend.
	MaxRequest int64
	// Suspect gets what git said of damage in a repository, unless it ran out of
	// memory, files or processes; nil: nobody does.
	Suspect func(repoID, said string)
	// Sent is called when somebody has been sent objects of a repository, or an error in
	// their place; nil: nothing is. It does not wait.
	Sent func(repoID string)
	// Refused returns which of the ids that a fetch names are not served. Nil: all that
	// are here are.
	Refused func(ctx context.Context, r core.Repository, ids []core.ObjectID) ([]core.ObjectID, error)
	Logger  hclog.Logger
}

// Service serves fetches. It is safe for concurrent use.
type Service struct {
	o      Options
	log    hclog.Logger
	spools *limit.Limiter // of requests that lie in files

	mu           sync.Mutex
	capabilities map[string][]byte // protocol v2 advertisement by object format
}

// New returns a service.
func New(o Options) *Service {
	if o.MaxRequest <= 0 {
		o.MaxRequest = 10 << 20
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Suspect == nil {
		o.Suspect = func(string, string) {}
	}
	if o.Sent == nil {
		o.Sent = func(string) {}
	}
	return &Service{
		o: o, log: o.Logger.Named("serve"), capabilities: map[string][]byte{},
		// They hold no process but up to 10 MB of disk each, for as long as a
		// slow client takes. Nobody waits: who waited would be such a client.
		spools: limit.New(limit.Options{Ceilings: limit.Ceilings{Caller: 16, Repository: 32, Organisation: 48, Server: 64}, Waiting: -1}),
	}
}

// config is the configuration of git upload-pack.
func config(ns core.Namespace) []git.Config {
	cfg := []git.Config{
		git.Set("transfer.hideRefs", "^refs/internal"),
		// Partial clones, and the later fetch of single objects that they need.
		git.Set("uploadpack.allowFilter", "true"),
		git.Set("uploadpack.allowAnySHA1InWant", "true"),
		// A sparse filter looks at a tree once for each path that leads to it, of
		// which a kilobyte of trees can make more than there is time for. Large
		// hosts do not offer it either.
		git.Set("uploadpackfilter.sparse:oid.allow", "false"),
	}
	if ns == core.Default {
		cfg = append(cfg, git.Set("transfer.hideRefs", "^refs/namespaces"))
	}
	return cfg
}

// command is git upload-pack for one request. protocol is the client's
// Git-Protocol header.
func (s *Service) command(r core.Repository, ns core.Namespace, protocol string) git.Command {
	return git.Command{
		Name: "upload-pack", Dir: s.o.Path(r.ID), Config: config(ns),
		Env:   append(git.NamespaceEnv(ns), git.ProtocolEnv(protocol)...),
		Flags: []string{"--stateless-rpc"}, Args: []string{"."},
	}
}

// Advertise writes the body of info/refs?service=git-upload-pack.
func (s *Service) Advertise(ctx context.Context, r core.Repository, ns core.Namespace, protocol string, out io.Writer) error {
	c := s.command(r, ns, protocol)
	c.Flags = append(c.Flags, "--http-backend-info-refs")
	if protocol == "version=2" {
		body, err := s.v2Capabilities(ctx, r, c)
		if err != nil {
			return err
		}
		_, err = out.Write(body)
		return err
	}
	if err := limit.Take(ctx, r.ID); err != nil {
		return err
	}
	c.Stdout = pktline.NewServiceWriter(out, "git-upload-pack")
	return s.o.Git.Run(ctx, c)
}

// v2Capabilities returns the protocol v2 advertisement, which tells nothing of
// the repository but its object format.
func (s *Service) v2Capabilities(ctx context.Context, r core.Repository, c git.Command) ([]byte, error) {
	s.mu.Lock()
	body := s.capabilities[r.ObjectFormat]
	s.mu.Unlock()
	if body != nil {
		return body, nil
	}
	if err := limit.Take(ctx, r.ID); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	c.Stdout = &out
	if err := s.o.Git.Run(ctx, c); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities[r.ObjectFormat] = out.Bytes()
	return out.Bytes(), nil
}

// Fetch is one request of a fetch.
type Fetch struct {
	Repo      core.Repository
	Namespace core.Namespace
	Caller    limit.Caller
	Protocol  string    // the client's Git-Protocol header
	Body      io.Reader // decompressed
	// Out takes the answer. It is asked for when the request has been read and
	// has a slot, so that an error before that may still be any answer.
	Out func() io.Writer
}

// UploadPack serves one request of a fetch. Errors before Out is asked for:
// KindTooLarge, KindInvalid for a malformed request, KindRateLimited, and
// those of the body's reader. An error that upload-pack itself sends to the client in
// the protocol, such as that an object does not exist, is not returned.
func (s *Service) UploadPack(ctx context.Context, f Fetch) error {
	q, err := s.read(ctx, f)
	if err != nil {
		return err
	}
	defer q.close()
	if q.probe {
		_ = f.Out()
		return nil
	}
	if err := limit.Take(ctx, f.Repo.ID); err != nil {
		return err
	}
	if done, err := s.refuse(ctx, f, q); done || err != nil {
		return err
	}
	c := s.command(f.Repo, f.Namespace, f.Protocol)
	out := &answer{open: f.Out, dir: c.Dir}
	if c.Stdin, err = q.reader(); err != nil {
		return err
	}
	if q.thin {
		c.Stdin = newFewerHaves(c.Stdin)
	}
	c.Stdout = out
	err = out.end(s.o.Git.Run(ctx, c))
	if said := out.suspicion(); said != "" {
		s.o.Suspect(f.Repo.ID, said)
	}
	if out.w != nil && len(q.wants) > 0 {
		s.o.Sent(f.Repo.ID)
	}
	if err == nil && out.w == nil {
		_ = f.Out() // an empty answer still has its headers
	}
	return err
}

// refuse answers a request that wants what is not served, in the words of git for
// what is not there: whether it is must not show.
func (s *Service) refuse(ctx context.Context, f Fetch, q *request) (done bool, err error) {
	if s.o.Refused == nil || len(q.wants) == 0 {
		return false, nil
	}
	refused, err := s.o.Refused(ctx, f.Repo, q.wants)
	var text string
	switch {
	case core.KindOf(err) == core.KindConflict:
		text = core.MessageOf(err) // no git client shows the text of an HTTP status
	case err != nil:
		return false, err
	case len(refused) == 0:
		return false, nil
	default:
		text = "upload-pack: not our ref " + string(refused[0])
	}
	_, err = f.Out().Write(pktline.Appendf(nil, "ERR %s", text))
	return true, err
}

// end returns the error of an answer whose upload-pack ended with err, and completes
// the answer where the protocol has a form for the error.
func (a *answer) end(err error) error {
	exit, ok := errors.AsType[*git.ExitError](err)
	switch {
	case !ok || exit.Code < 0:
		return err
	case a.shortage != "":
		return &core.Error{Kind: core.KindResource, Message: a.shortage, Err: err}
	case a.short:
		return &core.Error{Kind: core.KindResource, Message: "git pack-objects ran out of memory; have the operator raise --git-memory-serve", Err: err}
	case a.sent:
		return nil // in the protocol: the answer is complete
	case a.between() && unmet(exit.Stderr) != "":
		_, err := a.Write(pktline.Appendf(nil, "ERR upload-pack: %s", unmet(exit.Stderr)))
		return err
	case a.w == nil && malformed(exit.Stderr):
		return &core.Error{Kind: core.KindInvalid, Message: "the body is not a request that git upload-pack understands", Err: err}
	}
	return err
}

// malformed reports whether upload-pack ended because of what the client sent.
// The texts are those of upload-pack.c, serve.c and pkt-line.c of git.
func malformed(stderr string) bool {
	for _, text := range []string{
		"protocol error", "unexpected line", "invalid command", "unknown capability", "no command requested", "expected flush",
		"unknown object format", "mismatched object format", "the remote end hung up unexpectedly", "unable to parse object",
		"invalid shallow line", "Invalid deepen", "bad line length", "requested after already requesting", "expected SHA1 object",
		"cannot be used together", "filtering capability not negotiated",
		// Of list-objects-filter-options.c.
		"invalid filter-spec", "multiple filter-specs cannot be combined", "expected 'tree:<depth>'", "expected something after combine:", "must escape char in sub-filter-spec",
		"is not a valid object type", "sparse:path filters support has been dropped",
	} {
		if strings.Contains(stderr, text) {
			return true
		}
	}
	return false
}

// unmet returns in words for the client that there is nothing of the kind that
// a well-formed request asked for, or "". Upload-pack says that to itself only;
// the client would report a broken connection.
func unmet(stderr string) string {
	for _, text := range []string{"no commits selected for shallow requests", "deepen-not is not a ref", "ambiguous deepen-not"} {
		if strings.Contains(stderr, text) {
			return text
		}
	}
	return ""
}

package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// server returns the address of the remote's LFS server, as Git LFS derives it if the
// provider says no other.
func server(r git.Remote) (*url.URL, error) {
	address := r.LFSURL
	if address == "" {
		address = strings.TrimRight(r.URL, "/")
		if !strings.HasSuffix(address, ".git") {
			address += ".git"
		}
		address += "/info/lfs"
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, &hosterror.Error{Class: core.ClassRefused, HostText: "the address of the upstream's LFS server is not an http or https URL"}
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u, nil
}

// operationOf returns the operation whose credential opens what.
func operationOf(what lfs.Operation) providers.Operation {
	if what == lfs.Upload {
		return providers.OpLFSWrite
	}
	return providers.OpLFS
}

// api is one request to the LFS server itself.
type api struct {
	method string
	path   []string // below the server's address
	query  url.Values
	in     any // sent as JSON; nil: nothing
	once   bool
}

// said is an answer with where it came from.
type said struct {
	answer
	remote git.Remote // that was asked
	place  string     // the address of the server, for a person
	link   string     // the URL of the upstream
}

// refuse is [answer.refusal] of the LFS server.
func (a said) refuse(about string) error { return a.refusal(about, a.remote.Secrets()) }

// worded is an answer with words of the host in it.
type worded interface {
	// clean replaces each of them.
	clean(func(string) string)
}

// decode is [answer.decode]. A host may repeat in its words what it was sent: no secret
// gets past here in them.
func (a said) decode(place string, into any) error {
	err := a.answer.decode(place, into)
	if w, ok := into.(worded); ok {
		w.clean(func(text string) string { return hosterror.Text(text, a.remote.Secrets()...) })
	}
	return err
}

// call sends a request with the credential of the operation and gives the answer to judge,
// whatever its status. It is sent once more if judge says that the credential does not do
// and there is another, and at the upstream's new place if the host says that it has one.
func (c *client) call(ctx context.Context, operation providers.Operation, q api, judge func(said) error) error {
	if err := c.rests(); err != nil {
		return err
	}
	at := c
	if operation == providers.OpLFSWrite {
		var err error
		if at, err = c.admitted(ctx); err != nil {
			return err
		}
	}
	err := at.callOnce(ctx, operation, q, judge)
	if moved, refusal := at.followed(ctx, err); moved != nil {
		err = moved.callOnce(ctx, operation, q, judge)
	} else if refusal != nil {
		return refusal
	}
	return err
}

// admitted returns the client of the upstream as it is linked when the host has confirmed
// who it is, at most a minute ago: nothing may be written to a stranger.
func (c *client) admitted(ctx context.Context) (*client, error) {
	if c.s.links == nil {
		return c, nil
	}
	repo, err := c.s.links.Admit(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &client{c.s, repo}, nil
}

// followed returns the client of the place that the upstream has now, if a request was
// turned away because it is not where it was; nil: it is there, or nobody knows. refusal
// is what the host says of the upstream, if that explains the failure.
func (c *client) followed(ctx context.Context, failure error) (moved *client, refusal error) {
	if c.s.links == nil || !upstream.TurnedAway(failure) {
		return nil, nil
	}
	now, refusal := c.s.links.Follow(ctx, c.repo, failure)
	if now.Upstream.URL == c.repo.Upstream.URL {
		return nil, refusal
	}
	return &client{c.s, now}, nil
}

// callOnce is call at the place that the client knows.
func (c *client) callOnce(ctx context.Context, operation providers.Operation, q api, judge func(said) error) error {
	err := c.s.up.Do(ctx, c.repo, operation, func(r git.Remote) error {
		u, err := server(r)
		if err != nil {
			return err
		}
		place := u.Host + u.Path
		u = u.JoinPath(q.path...)
		u.RawQuery = q.query.Encode()
		ask := request{method: q.method, url: u, header: http.Header{"Accept": {mediaType}}, own: credential(r), remote: r, once: q.once}
		if q.in != nil {
			sent, err := json.Marshal(q.in)
			if err != nil {
				return err
			}
			ask.body = plain(sent)
			ask.header.Set("Content-Type", mediaType)
		}
		ctx, w := watched(ctx, c.s.clock, c.s.stall)
		defer w.stop()
		resp, err := c.send(ctx, ask)
		if err != nil {
			return err
		}
		resp.Body = &counted{resp.Body, w}
		a, err := readAnswer(resp)
		if err != nil {
			return c.connectionError(ctx, err, ask.allSecrets())
		}
		return judge(said{a, r, place, c.repo.Upstream.URL})
	})
	c.record(nil, err)
	return err
}

// credential returns the header that opens the remote.
func credential(r git.Remote) http.Header {
	name, value := r.Authorization()
	if name == "" {
		return nil
	}
	h := http.Header{}
	h.Set(name, value.Reveal())
	return h
}

// noServer is the refusal of an address at which there is no LFS server, as far as the
// answer shows: nil if there is one. A server says in JSON what it does not find.
func noServer(a said) error {
	words := a.words(a.remote.Secrets())
	switch a.status {
	case http.StatusNotImplemented:
	case http.StatusNotFound, http.StatusGone, http.StatusMethodNotAllowed:
		if media := a.media(); words != "" && strings.HasSuffix(media, "json") {
			return nil
		}
		words = ""
	default:
		return nil
	}
	e := a.refusal("", nil)
	e.HostText = "the upstream has no LFS server at " + a.place + ", or LFS is off there"
	if words != "" {
		e.HostText += "; it says: " + words
	}
	e.Err = lfs.ErrUnsupported
	return e
}

// plain is a body that can be sent any number of times.
type plain []byte

func (p plain) open() (r io.ReadCloser, size int64, chunked bool) {
	return io.NopCloser(bytes.NewReader(p)), int64(len(p)), false
}

func (p plain) again() bool { return true }

func (p plain) kept() bool { return true }

// counted is the body of an answer, of which every byte that comes in counts.
type counted struct {
	io.ReadCloser
	w *watch
}

// Read reads from the body.
func (r *counted) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.w.moved.Add(int64(n))
	return n, err
}

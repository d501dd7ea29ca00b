package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
)

// batchSize is how many objects one request asks for, as many as Git LFS does: hosts have
// limits that they do not tell.
const batchSize = 100

type batchRequest struct {
	Operation lfs.Operation  `json:"operation"`
	Transfers []string       `json:"transfers"`
	Ref       *refJSON       `json:"ref,omitempty"`
	Objects   []batchPointer `json:"objects"`
	HashAlgo  string         `json:"hash_algo"`
}

type refJSON struct {
	Name string `json:"name"`
}

func refOf(name string) *refJSON {
	if name == "" {
		return nil
	}
	return &refJSON{name}
}

type batchPointer struct {
	OID  lfs.OID `json:"oid"`
	Size int64   `json:"size"`
}

type batchAnswer struct {
	Transfer string        `json:"transfer"`
	HashAlgo string        `json:"hash_algo"`
	Objects  []batchObject `json:"objects"`
}

func (b *batchAnswer) clean(text func(string) string) {
	b.Transfer, b.HashAlgo = text(b.Transfer), text(b.HashAlgo)
	for _, o := range b.Objects {
		if o.Error != nil {
			o.Error.Message = text(queries.ReplaceAllString(o.Error.Message, "$1?[redacted]"))
		}
	}
}

type batchObject struct {
	OID           string              `json:"oid"`
	Size          *int64              `json:"size"`
	Authenticated bool                `json:"authenticated"`
	Actions       map[string]linkJSON `json:"actions"`
	Links         map[string]linkJSON `json:"_links"` // of servers of before the specification
	Error         *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type linkJSON struct {
	Href      string            `json:"href"`
	Header    map[string]string `json:"header"`
	ExpiresIn int64             `json:"expires_in"`
	ExpiresAt string            `json:"expires_at"`
}

// Batch implements [lfs.Upstream].
func (c *client) Batch(ctx context.Context, operation lfs.Operation, ref string, objects []lfs.Pointer) ([]lfs.Transfer, error) {
	out := make([]lfs.Transfer, len(objects))
	size := batchSize
	for from := 0; from < len(objects); {
		chunk := objects[from:min(from+size, len(objects))]
		answered, err := c.batch(ctx, operation, ref, chunk)
		if he, ok := errors.AsType[*hosterror.Error](err); ok && he.Status == http.StatusRequestEntityTooLarge && len(chunk) > 1 {
			size = len(chunk) / 2 // the host takes fewer at once
			continue
		}
		if err != nil && from == 0 {
			return nil, err
		}
		if err != nil {
			for i := from; i < len(objects); i++ {
				out[i] = lfs.Transfer{Pointer: objects[i], Err: err}
			}
			return out, nil //nolint:nilerr // it is in the transfers that it is about
		}
		from += copy(out[from:], answered)
	}
	return out, nil
}

// batch asks for at most batchSize objects.
func (c *client) batch(ctx context.Context, operation lfs.Operation, ref string, objects []lfs.Pointer) ([]lfs.Transfer, error) {
	ask := batchRequest{Operation: operation, Transfers: []string{"basic"}, Ref: refOf(ref), HashAlgo: "sha256"}
	asked := make(map[lfs.OID]bool, len(objects))
	for _, p := range objects {
		if !asked[p.OID] {
			asked[p.OID] = true
			ask.Objects = append(ask.Objects, batchPointer(p))
		}
	}
	var (
		found  batchAnswer
		now    time.Time
		remote git.Remote
		asking string
	)
	err := c.call(ctx, operationOf(operation), api{method: http.MethodPost, path: []string{"objects", "batch"}, in: ask}, func(a said) error {
		if err := noServer(a); err != nil {
			return err
		}
		if !a.ok() {
			return a.refuse("")
		}
		if a.status != http.StatusOK {
			return &hosterror.Error{Class: core.ClassProtocol, Status: a.status, HostText: fmt.Sprintf("the upstream's LFS answered with status %d, which means nothing there", a.status)}
		}
		found, now, remote, asking = batchAnswer{}, c.s.clock.Now(), a.remote, a.link
		return a.decode(a.place, &found)
	})
	if err != nil {
		return nil, err
	}
	if found.Transfer != "" && found.Transfer != "basic" || found.HashAlgo != "" && found.HashAlgo != "sha256" {
		return nil, &hosterror.Error{Class: core.ClassProtocol, HostText: hosterror.Text(fmt.Sprintf(
			"the upstream's LFS wants transfers of kind %.40q with the hash %.40q, and only \"basic\" ones with \"sha256\" were offered", found.Transfer, found.HashAlgo))}
	}
	byID := make(map[string]*batchObject, len(found.Objects))
	for i := range found.Objects {
		byID[found.Objects[i].OID] = &found.Objects[i]
	}
	out := make([]lfs.Transfer, len(objects))
	for i, p := range objects {
		out[i] = transferOf(p, byID[string(p.OID)], operation, ref, now)
		if a, ok := out[i].Action.(*actions); ok {
			a.remote, a.opened, a.link = remote, now, asking
		}
	}
	return out, nil
}

// transferOf reads what the host answered about one object; nil: nothing.
func transferOf(p lfs.Pointer, said *batchObject, operation lfs.Operation, ref string, now time.Time) lfs.Transfer {
	t := lfs.Transfer{Pointer: p}
	fail := func(class core.ErrorClass, format string, args ...any) lfs.Transfer {
		t.Err = &hosterror.Error{Class: class, HostText: object(p) + ": " + fmt.Sprintf(format, args...)}
		return t
	}
	switch {
	case said == nil:
		return fail(core.ClassProtocol, "the upstream's LFS answered nothing about it")
	case said.Error != nil:
		text := said.Error.Message
		if text == "" {
			text = fmt.Sprintf("the host answered %d", said.Error.Code)
		}
		t.Err = &hosterror.Error{Class: classOf(said.Error.Code, text), Status: said.Error.Code, HostText: object(p) + ": " + text}
		return t
	case said.Size != nil && *said.Size != p.Size:
		return fail(core.ClassCorrupt, "the host says that it has %d bytes, and its pointer says %d", *said.Size, p.Size)
	}
	links := said.Actions
	if len(links) == 0 {
		links = said.Links
	}
	main, ok := links[string(operation)]
	if !ok && operation == lfs.Upload {
		t.Present = true
		return t
	}
	if !ok {
		return fail(core.ClassProtocol, "the host names no address to get it from")
	}
	a := &actions{operation: operation, ref: ref, authenticated: said.Authenticated}
	if a.main, ok = main.link(now); !ok {
		return fail(core.ClassProtocol, "the host names an address for it that is none")
	}
	if verify, wanted := links["verify"]; wanted && operation == lfs.Upload {
		v, ok := verify.link(now)
		if !ok {
			return fail(core.ClassProtocol, "the host names an address to verify it at that is none")
		}
		a.verify = &v
	}
	t.Action = a
	return t
}

// link reads an action; ok is false if its address or a header is none.
func (j linkJSON) link(now time.Time) (l link, ok bool) {
	u, err := url.Parse(j.Href)
	if err != nil || u.Host == "" {
		return link{}, false
	}
	u.Fragment = ""
	l = link{url: u, header: http.Header{}}
	for name, value := range j.Header {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return link{}, false
		}
		l.header.Set(name, value)
	}
	// Gitea sends the time zero for never.
	if at, err := time.Parse(time.RFC3339, j.ExpiresAt); err == nil && at.Year() > 1 {
		l.expires = at
	}
	if j.ExpiresIn != 0 {
		l.expires = now.Add(time.Duration(min(max(j.ExpiresIn, -1<<31), 1<<31)) * time.Second)
	}
	return l, true
}

// ask asks for one object anew.
func (c *client) ask(ctx context.Context, operation lfs.Operation, ref string, p lfs.Pointer) (lfs.Transfer, error) {
	answered, err := c.batch(ctx, operation, ref, []lfs.Pointer{p})
	if err != nil {
		return lfs.Transfer{}, err
	}
	return answered[0], answered[0].Err
}

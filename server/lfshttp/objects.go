package lfshttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/middleware"
)

// basicTransfer is the one way of transfer that is served.
const basicTransfer = "basic"

// errHash refuses object ids of another hash.
var errHash = errors.New("objects are named by sha256 here, and by no other hash")

// batchRequest is the body of a batch.
type batchRequest struct {
	Operation lfs.Operation `json:"operation"`
	Transfers []string      `json:"transfers"`
	Ref       *refBody      `json:"ref"`
	HashAlgo  string        `json:"hash_algo"`
	Objects   objectList    `json:"objects"`
}

// objectList is the objects of a batch, which are counted while they are decoded: the
// shortest take ten times as much memory as they are sent with.
type objectList []objectBody

// UnmarshalJSON implements [json.Unmarshaler]. KindTooLarge for more than maxObjects.
func (l *objectList) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	switch open, err := d.Token(); {
	case err != nil:
		return err
	case open == nil: // null
		return nil
	case open != json.Delim('['):
		return core.Errorf(core.KindInvalid, "objects must be a list")
	}
	for d.More() {
		if len(*l) == maxObjects {
			return core.Errorf(core.KindTooLarge, "a batch may name %s, and names more; ask for fewer at once", core.Count(maxObjects, "object"))
		}
		var o objectBody
		if err := d.Decode(&o); err != nil {
			return err
		}
		*l = append(*l, o)
	}
	return nil
}

// objectBody is an object in a request.
type objectBody struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

// pointer returns the object; KindInvalid if it can be none.
func (o objectBody) pointer() (lfs.Pointer, error) {
	oid, err := lfs.ParseOID(o.OID)
	if err != nil {
		return lfs.Pointer{}, &core.Error{Kind: core.KindInvalid, Message: err.Error()}
	}
	if o.Size < 0 {
		return lfs.Pointer{}, core.Errorf(core.KindInvalid, "the size %d of the object is negative", o.Size)
	}
	return lfs.Pointer{OID: oid, Size: o.Size}, nil
}

// batchAnswer is the answer to a batch.
type batchAnswer struct {
	Transfer string         `json:"transfer"`
	Objects  []objectAnswer `json:"objects"`
	HashAlgo string         `json:"hash_algo"`
}

// objectAnswer is what may be done with an object.
type objectAnswer struct {
	OID     string            `json:"oid"`
	Size    int64             `json:"size"`
	Actions map[string]action `json:"actions,omitempty"`
	Error   *objectError      `json:"error,omitempty"`
}

type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header,omitempty"`
}

type objectError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// batch says what may be downloaded or uploaded.
func (h *Handler) batch(c *call) error {
	var body batchRequest
	if err := h.read(c, &body); err != nil {
		return err
	}
	upload := body.Operation == lfs.Upload
	switch {
	case !upload && body.Operation != lfs.Download:
		return core.Errorf(core.KindInvalid, "the operation must be %q or %q", lfs.Download, lfs.Upload)
	case body.HashAlgo != "" && body.HashAlgo != "sha256":
		return errHash
	case len(body.Transfers) > 0 && !slices.Contains(body.Transfers, basicTransfer):
		return core.Errorf(core.KindInvalid, "only the transfer %q is served", basicTransfer)
	case !upload && c.target.imports:
		return core.Errorf(core.KindPermission, "the import remote takes uploads only; read from /%s.git", c.target.name)
	}
	if upload {
		if err := h.allow(c, true); err != nil {
			return err
		}
		if err := c.allowRef(body.Ref.name()); err != nil {
			return err
		}
	}
	answer := batchAnswer{Transfer: basicTransfer, HashAlgo: "sha256", Objects: make([]objectAnswer, len(body.Objects))}
	var pointers []lfs.Pointer
	var at []int
	for i, o := range body.Objects {
		answer.Objects[i] = objectAnswer{OID: o.OID, Size: o.Size}
		p, err := o.pointer()
		if err != nil {
			answer.Objects[i].Error = h.objectError(err)
			continue
		}
		pointers, at = append(pointers, p), append(at, i)
	}
	var answers []lfs.Answer
	var err error
	if upload {
		answers, err = h.o.Objects.Uploads(c.r.Context(), c.into(), body.Ref.name(), pointers)
	} else {
		answers, err = h.o.Objects.Downloads(c.r.Context(), c.repo, pointers)
	}
	if err != nil {
		return err
	}
	for n, a := range answers {
		o := &answer.Objects[at[n]]
		switch {
		case a.Err != nil:
			o.Error = h.objectError(a.Err)
		case upload && a.Present:
			// Without actions, which says that there is nothing to send.
		case upload:
			o.Actions = map[string]action{"upload": h.action(c, a.Pointer, ""), "verify": h.action(c, a.Pointer, "/verify")}
		default:
			o.Actions = map[string]action{"download": h.action(c, a.Pointer, "")}
		}
	}
	return c.answer(http.StatusOK, answer)
}

func (h *Handler) objectError(err error) *objectError {
	return &objectError{Code: h.status(err), Message: Message(err)}
}

// action says where an object is. The size is in the address, because an upstream that
// is asked for an object must be asked with it.
//
// Clients authenticate there as they do here: git-lfs uses its credentials for all that
// has the host of the remote. If clients know the server by another name than the public
// one, they get back the header that they sent, as other servers do.
func (h *Handler) action(c *call, p lfs.Pointer, below string) action {
	base := h.o.Base(c.r)
	path := (&url.URL{Path: "/" + c.target.remote + ".git/info/lfs/objects/" + string(p.OID) + below}).EscapedPath()
	a := action{Href: base + path + "?size=" + strconv.FormatInt(p.Size, 10)}
	if u, err := url.Parse(base); err == nil && u.Host != c.r.Host {
		a.Header = map[string]string{"Authorization": c.r.Header.Get("Authorization")}
	}
	return a
}

// pointer returns the object that the address of a request names; its size is negative
// if the address does not tell.
func (c *call) pointer() (lfs.Pointer, error) {
	o := objectBody{OID: c.target.id}
	text := c.r.URL.Query().Get("size")
	if text != "" {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return lfs.Pointer{}, core.Errorf(core.KindInvalid, "the size of the object in the address is no number")
		}
		o.Size = size
	}
	p, err := o.pointer()
	if err == nil && text == "" {
		p.Size = -1
	}
	return p, err
}

// download serves an object, whole or from an offset on.
func (h *Handler) download(c *call) (err error) {
	p, err := c.pointer()
	if err != nil {
		return err
	}
	content, err := h.o.Objects.Open(c.r.Context(), c.repo, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	c.Header().Set("Content-Type", "application/octet-stream")
	c.Header().Set("ETag", `"`+string(p.OID)+`"`)
	// What an uploader made must not run as a page of this server.
	c.Header().Set("X-Content-Type-Options", "nosniff")
	c.Header().Set("Content-Disposition", "attachment")
	if content.Blob != nil {
		http.ServeContent(middleware.NewStallingWriter(c), c.r, "", time.Time{}, content.Blob)
		return nil
	}
	return h.stream(c, p, content)
}

// stream serves an object that comes from the upstream meanwhile.
func (h *Handler) stream(c *call, p lfs.Pointer, content lfs.Content) (err error) {
	from, to, part := byteRange(c.r.Header.Get("Range"), content.Size)
	c.Header().Set("Accept-Ranges", "bytes")
	if c.r.Method == http.MethodHead {
		answers, err := h.o.Objects.Downloads(c.r.Context(), c.repo, []lfs.Pointer{p})
		if err != nil {
			return err
		}
		if err := answers[0].Err; err != nil {
			return err
		}
		c.Header().Set("Content-Length", strconv.FormatInt(content.Size, 10))
		c.WriteHeader(http.StatusOK)
		return nil
	}
	body, err := content.Stream(c.r.Context(), from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	// The first bytes come before the status: what the upstream refuses is an error then.
	first := make([]byte, 32<<10)
	n, rerr := io.ReadFull(body, first[:min(int64(len(first)), to-from)])
	if rerr != nil && !errors.Is(rerr, io.EOF) && !errors.Is(rerr, io.ErrUnexpectedEOF) {
		return rerr
	}
	c.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	status := http.StatusOK
	if part {
		status = http.StatusPartialContent
		c.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, content.Size))
	}
	c.WriteHeader(status)
	w := middleware.NewStallingWriter(c)
	if _, err := w.Write(first[:n]); err != nil {
		return err
	}
	sent, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(body, to-from-int64(n)), make([]byte, 128<<10))
	if err == nil && sent+int64(n) < to-from {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// byteRange reads the header Range of one range of an object that is not whole yet; what
// it does not understand it takes for the whole, as it may (RFC 9110, section 14.2).
func byteRange(header string, size int64) (from, to int64, part bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || first == "" {
		return 0, size, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 || from >= size {
		return 0, size, false
	}
	to = size
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, size, false
		}
		to = min(end+1, size)
	}
	return from, to, true
}

const (
	// refusedRest and refusedWait bound what of a refused object is taken off the wire,
	// so that the client sees the answer and not a broken connection.
	refusedRest = 64 << 20
	refusedWait = 10 * time.Second
)

// upload takes an object.
func (h *Handler) upload(c *call) error {
	p, err := c.pointer()
	if err != nil {
		return err
	}
	switch {
	case p.Size < 0 && c.r.ContentLength < 0:
		return core.Errorf(core.KindInvalid, "neither the address nor the header Content-Length has the object's size")
	case p.Size < 0:
		p.Size = c.r.ContentLength
	case c.r.ContentLength >= 0 && c.r.ContentLength != p.Size:
		return core.Errorf(core.KindInvalid, "the object has %d bytes, and the request %d", p.Size, c.r.ContentLength)
	}
	if c.r.Header.Get("Content-Encoding") != "" {
		return core.Errorf(core.KindInvalid, "an object is sent as it is, without Content-Encoding")
	}
	body := middleware.NewPaced(c, c.r, h.o.Grace)
	if err = limit.Upload(c.r.Context(), c.repo.ID); err == nil {
		err = h.o.Objects.Put(c.r.Context(), c.into(), p, received{body})
	}
	if err != nil {
		body.Discard(refusedRest, refusedWait)
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// received is the body of an upload; what goes wrong with it is the client's.
type received struct{ body io.Reader }

// Read says of an error what the sender has to know.
func (b received) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = middleware.BodyError(err)
	}
	return n, err
}

// verify says whether an upload has come.
func (h *Handler) verify(c *call) error {
	var body objectBody
	if err := h.read(c, &body); err != nil {
		return err
	}
	p, err := body.pointer()
	if err != nil {
		return err
	}
	if string(p.OID) != c.target.id {
		return core.Errorf(core.KindInvalid, "the body names another object than the address")
	}
	if err := h.o.Objects.Verify(c.r.Context(), c.repo, p); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

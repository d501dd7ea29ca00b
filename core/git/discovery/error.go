package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// maxErrorBody bounds what is read of an answer that is an error, in bytes.
const maxErrorBody = 4 << 10

// Failures of discovery that no other package knows, wrapped by [hosterror.Error].
var (
	errNotSmart    = errors.New("the answer is not git's smart HTTP protocol")
	errErrorPacket = errors.New("the host answered with an error packet")
	errBadResponse = errors.New("the host's answer is malformed")
)

// tooLargeError is a list of refs of more bytes than the limit.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the host's list of refs has more than the %s that this server reads of one", core.ByteSize(e.limit))
}

// statusError makes the error of an answer that is not 200. It reads from the
// body, but does not close it.
func statusError(resp *http.Response, r git.Remote) *hosterror.Error {
	e := &hosterror.Error{Status: resp.StatusCode, RetryAfter: hosterror.RetryAfter(resp.Header)}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/plain" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		e.HostText = hosterror.Text(string(body), r.Secrets()...)
	}
	e.Class = hosterror.ClassOfStatus(resp.StatusCode, e.HostText)
	if e.Class == core.ClassMoved {
		// Worth more than a page that says "Moved Permanently". A query may hold
		// a token, and where it leads is not needed to tell a person.
		e.HostText = "the repository has moved"
		if to, err := resp.Location(); err == nil {
			e.HostText = hosterror.Text("the repository has moved to "+to.Host+strings.TrimSuffix(to.EscapedPath(), "/info/refs"), r.Secrets()...)
		}
	}
	if resp.StatusCode == http.StatusProxyAuthRequired {
		e.HostText = hosterror.ProxyWantsLogin // a proxy says that, and never the host
	}
	if e.HostText == "" {
		e.HostText = strings.TrimSpace(fmt.Sprintf("the host answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	return e
}

// remoteError turns what went wrong on the way into a [*hosterror.Error]. What the
// caller itself ended comes back as the error of its context. A host may repeat in any of
// its words what it was sent: no secret of the remote gets past here.
func remoteError(ctx context.Context, err error, r git.Remote) error {
	err = classified(ctx, err)
	if e, ok := errors.AsType[*hosterror.Error](err); ok {
		return e.Without(r.Secrets()...)
	}
	return err
}

func classified(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*hosterror.Error](err); ok {
		return e
	}
	if errors.Is(context.Cause(ctx), hosterror.ErrStalled) {
		return &hosterror.Error{Class: core.ClassTimeout, HostText: "the host did not answer in time", Err: hosterror.ErrStalled}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("list upstream refs: %w", context.Cause(ctx))
	}
	if large, ok := errors.AsType[*tooLargeError](err); ok {
		return &hosterror.Error{Class: core.ClassTooLarge, HostText: large.Error(), Err: err}
	}
	e := hosterror.OfConnection(err)
	var badURL *url.Error
	switch {
	case errors.As(err, &badURL):
		e.Class, e.HostText = core.ClassRefused, "the upstream's address is no URL"
	case errors.Is(err, pktline.ErrMalformed), errors.Is(err, errBadResponse):
		e.Class, e.HostText = core.ClassProtocol, "the host's answer is not git's protocol"
	}
	return e
}

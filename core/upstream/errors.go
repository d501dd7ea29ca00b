package upstream

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/providers"
)

// kindOf maps the provider contract's codes to kinds of the core.
func kindOf(code providers.Code) core.Kind {
	switch code {
	case providers.CodeNotFound:
		return core.KindNotFound
	case providers.CodeInvalidConfig, providers.CodePermissionDenied, providers.CodeRevoked:
		// The operator or the upstream's owner has something to set up first.
		return core.KindPrecondition
	case providers.CodeUnauthenticated, providers.CodeSignatureInvalid:
		return core.KindUpstreamRejected
	case providers.CodeRateLimited:
		return core.KindRateLimited
	case providers.CodeInvalidArgument:
		return core.KindInvalid
	case providers.CodeUnsupported:
		return core.KindUnsupported
	case providers.CodeUnavailable:
		return core.KindUpstreamUnavailable
	}
	return core.KindInternal
}

// coreError turns a provider's error into one of the core.
func coreError(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err // a request that was given up is not the provider's fault
	}
	var pe *providers.Error
	if errors.As(err, &pe) {
		return &core.Error{Kind: kindOf(pe.Code), Op: op, Message: pe.Message, RetryAfter: pe.RetryAfter}
	}
	if _, ok := errors.AsType[*core.Error](err); ok {
		return err
	}
	return &core.Error{Kind: core.KindUpstreamUnavailable, Op: op, Message: "the provider did not answer", Err: err}
}

// ClassifiedError is a failure whose class is known without reading what git or a host
// said.
type ClassifiedError struct {
	Class core.ErrorClass
	Text  string // may be shown
	Final bool   // a retry would not help: the request is served as it is
	Cause error
}

func (e *ClassifiedError) Error() string { return e.Text }

func (e *ClassifiedError) Unwrap() error { return e.Cause }

// errCondition is a failure whose reason is the state of the upstream.
func errCondition(c Condition) error {
	class := core.ClassRevoked
	switch c.State {
	case core.UpstreamDeleted:
		class = core.ClassNotFound
	case core.UpstreamReplaced:
		class = core.ClassMoved
	case core.UpstreamPrivate:
		class = core.ClassAuth
	}
	return &ClassifiedError{Class: class, Text: c.Message}
}

// RetryAfter returns the pause that a host asked for with a failure; 0: none.
func RetryAfter(err error) time.Duration {
	if he, ok := errors.AsType[*hosterror.Error](err); ok {
		return he.RetryAfter
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// Classify returns the error class of a failed contact and the sentence that
// may be shown: the host's own words, redacted.
func Classify(err error) (core.ErrorClass, string) {
	if ce, ok := errors.AsType[*ClassifiedError](err); ok {
		return ce.Class, ce.Text
	}
	if short, ok := core.ShortageOf(err); ok {
		// Of this machine: nothing that a host says has an errno of these.
		if core.KindOf(err) == core.KindResource {
			return core.ClassResource, core.MessageOf(err)
		}
		return core.ClassResource, short.Sentence(core.DataDirectory)
	}
	if _, ok := errors.AsType[*git.RefError](err); ok {
		return core.ClassInternal, "a ref could not be written: " + hosterror.Redact(err.Error())
	}
	if he, ok := errors.AsType[*hosterror.Error](err); ok {
		return he.Class, he.HostText
	}
	if shallow, ok := errors.AsType[*git.ShallowError](err); ok {
		return core.ClassCorrupt, shallow.Error()
	}
	if refused, ok := errors.AsType[*fsck.RefusedError](err); ok {
		return core.ClassCorrupt, hosterror.Text(refused.Error())
	}
	var exit *git.ExitError
	if errors.As(err, &exit) {
		return hosterror.Classify(exit.Stderr, exit.Code)
	}
	if _, ok := errors.AsType[*git.ResourceError](err); ok {
		return core.ClassResource, core.MessageOf(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return core.ClassTimeout, "the upstream did not answer in time"
	}
	if errors.Is(err, context.Canceled) {
		return core.ClassInternal, "the server is shutting down"
	}
	switch core.KindOf(err) {
	case core.KindResource:
		return core.ClassResource, core.MessageOf(err)
	case core.KindUpstreamRejected:
		return core.ClassAuth, core.MessageOf(err)
	case core.KindPrecondition:
		return core.ClassRevoked, core.MessageOf(err)
	case core.KindNotFound:
		return core.ClassNotFound, core.MessageOf(err)
	case core.KindRateLimited:
		return core.ClassRateLimited, core.MessageOf(err)
	case core.KindPermission, core.KindInvalid, core.KindUnsupported:
		return core.ClassRefused, core.MessageOf(err)
	case core.KindUpstreamUnavailable:
		return core.ClassNetwork, core.MessageOf(err)
	case core.KindUpstreamTimeout:
		return core.ClassTimeout, core.MessageOf(err)
	}
	return core.ClassInternal, core.MessageOf(err)
}

// isTimeout reports whether err is a time-out of Go's network packages that nobody
// has given a sentence yet: theirs ("Client.Timeout exceeded") is not for people.
func isTimeout(err error) bool {
	if _, ok := errors.AsType[*core.Error](err); ok {
		return false
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Failure turns a failed contact into an error of the core for whoever waits for
// it, in the host's own words.
func Failure(op string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*core.Error](err); ok {
		return err
	}
	class, text := Classify(err)
	e := &core.Error{Kind: core.KindUpstreamRejected, Op: op, Message: class.Explain(text), Err: err}
	switch class {
	case core.ClassAuth, core.ClassRevoked:
		e.Kind = core.KindPrecondition
	case core.ClassNotFound:
		e.Kind = core.KindNotFound
	case core.ClassRateLimited:
		e.Kind = core.KindRateLimited
	case core.ClassTimeout:
		e.Kind = core.KindUpstreamTimeout
	case core.ClassNetwork, core.ClassUnavailable, core.ClassProtocol:
		e.Kind = core.KindUpstreamUnavailable
	case core.ClassResource:
		e.Kind = core.KindResource
	case core.ClassInternal:
		e.Kind = core.KindInternal
	}
	e.RetryAfter = RetryAfter(err)
	return e
}

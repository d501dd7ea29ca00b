package api

import (
	"errors"
	"net/http"
	"slices"

	"github.com/headwater-git/headwater/core/access"
)

// target says what a route is about, and so what the claim "repo" must be.
type target int

const (
	organisation  target = iota // the claim names no single repository
	newRepository               // the claim is the name of a repository to be
	oneRepository               // the claim means a repository that exists
	inTheTrash                  // the claim means a repository that was deleted, by the name that it had
	anything                    // the claim does not matter
	// credentialID is oneRepository or, as SDKs have it for credentials,
	// organisation.
	credentialID
	// organisationOrRepository sees all of the organisation with the scope
	// org:read, or one repository with git:read.
	organisationOrRepository
)

// anyScope stands for "a valid token will do".
const anyScope access.Scope = ""

// operation is one thing that the API can do. It is described here once: the
// router, the authorisation, the audit, the document and the reference all read
// this record, and a test holds it against the source of the handler.
// The package comment says how to add one.
type operation struct {
	id        string // operationId; "Legacy" is added on the legacy route
	head      string // operationId of HEAD, if that is of use by itself
	method    string
	preferred string // path below /api; "": it has none
	legacy    string // path below /api/v1; "": it has none
	scope     access.Scope
	target    target
	audit     action // without a word: it only reads
	doc       doc
	in        input
	out       output

	// One of these serves it. A read looks first whether there is content and
	// how fresh it is, a write whether content can be taken.
	serve func(s *server, c *call) error
	read  func(s *server, c *call, q params) error
	write func(s *server, c *call) error
}

// doc is what the document says of an operation in words.
type doc struct {
	tag     string
	summary string
	text    string
}

// input is what an operation is sent. Handlers take more than this: fields and
// parameters under their older names, and keys that nobody knows.
type input struct {
	query    []parameter
	sample   string // query, for an example
	body     any    // a value of the type that is decoded; nil: none is read
	required bool   // the body must not be left out
	media    string // of the body; "" is JSON
	example  string // body, in the newer vocabulary
}

// output is what an operation answers.
type output struct {
	answers []success // the usual one first
	failure failure
	errors  []int // statuses beyond those of every call with a token
}

// success is one way to succeed.
type success struct {
	status  int
	text    string
	body    any      // a value of the type that is encoded
	media   []string // if it is not JSON
	headers []string // see headerObjects
}

// failure is a shape of errors of their own. The zero value is [errorBody].
type failure struct {
	body  any                   // a value of the type that is encoded
	shape func(err error) error // gives it to errors from before the handler; nil: they keep the usual one
}

// The failures that the clients of some calls read. They also have this shape
// if the handler was never reached: for a bad token, or a repository that is
// not there.
var (
	commitFailures  = failure{commitProblem{}, func(err error) error { return &commitFailure{err: err} }}
	commitConflicts = failure{commitProblem{}, func(err error) error { return &commitFailure{err: err, conflict: true} }}
	noteFailures    = failure{noteProblem{}, func(err error) error { return &noteFailure{err: err} }}
)

// operations is the whole API, but for what answers without a token.
var operations = slices.Concat(
	repositoryOperations, credentialOperations, fileOperations, commitOperations, branchOperations, tagOperations, noteOperations,
	rewriteOperations, webhookOperations, eventOperations, tokenOperations, sharedOperations, serverOperations,
)

// handler returns what serves the operation.
func (op operation) handler() func(s *server, c *call) error {
	switch {
	case op.read != nil:
		return reader(op.read)
	case op.write != nil:
		return writer(op.write)
	}
	return op.serve
}

// shapeError gives an error the shape that clients of the operation read.
func (op operation) shapeError(err error) error {
	if _, ok := errors.AsType[shaped](err); ok || op.out.failure.shape == nil {
		return err
	}
	return op.out.failure.shape(err)
}

// done is the usual answer.
func done(body any) []success { return []success{{status: http.StatusOK, text: "Done.", body: body}} }

// made answers that something is there now that was not.
func made(body any) []success {
	return []success{{status: http.StatusCreated, text: "Created.", body: body}}
}

// Errors by what a call does. Those of the token and of the server itself are
// the same everywhere.
var (
	readErrors  = []int{http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	storeErrors = []int{http.StatusConflict, http.StatusRequestEntityTooLarge}
	writeErrors = []int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
		http.StatusLocked, http.StatusTooManyRequests, http.StatusNotImplemented, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
)

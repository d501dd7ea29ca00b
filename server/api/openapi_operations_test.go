package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// What the document and the reference make of the record of an operation.

// legacyTag marks the routes below /api/v1.
const legacyTag = "legacy"

// tags group the operations, in this order.
var tags = openapi3.Tags{
	{Name: "repositories", Description: "Create, find and delete repositories, and follow an upstream"},
	{Name: "credentials", Description: "The upstream credential of a synced repository"},
	{Name: "shared credentials", Description: "Credentials that many repositories use, bound to a host and an owner"},
	{Name: "mirror sets", Description: "Everything below an organisation, group, workspace or user of a host, mirrored and kept up with"},
	{Name: "files", Description: "Files, archives, blame and search"},
	{Name: "commits", Description: "Commits and diffs, and new commits"},
	{Name: "branches", Description: "Branches and merges"},
	{Name: "tags", Description: "Lightweight tags, and those that git pushes"},
	{Name: "rewrites", Description: "Forced moves and deletions of refs: restore, approve, dismiss"},
	{Name: "notes", Description: "Git notes"},
	{Name: "webhooks", Description: "Subscriptions to events, and what was sent to them"},
	{Name: "events", Description: "What became true, as a list and as a stream"},
	{Name: "tokens", Description: "Keys, tokens that the server issues, and revocation"},
	{Name: "server", Description: "The server itself"},
	{Name: legacyTag, Description: "The same operations below /api/v1, where the token alone names the repository"},
}

// open reports whether the operation answers without a token.
func (op operation) open() bool { return op.handler() == nil }

// route names the operation in messages by its method and path.
func (op operation) route() string {
	if op.preferred != "" {
		return op.method + " " + op.preferred
	}
	return op.method + " " + op.legacy
}

// conditional reports whether the answers of the operation have an ETag. Those of a file
// have their own, and what is no JSON (archives, exports) has none.
func (op operation) conditional() bool {
	return op.method == http.MethodGet && !op.open() && op.out.answers[0].body != nil
}

// parameters returns what the operation takes in its query and in headers.
func (op operation) parameters() []parameter {
	all := slices.Clone(op.in.query)
	if op.read != nil {
		all = append(all, freshnessParameters...)
	}
	if op.conditional() {
		all = append(all, paramHeaderIfNoneMatchAnswer)
	}
	if op.onceEach() {
		all = append(all, paramHeaderIdempotencyKey)
	}
	return all
}

// notModified is the answer that conditional reads have in common.
var notModified = success{status: http.StatusNotModified, text: "What the reader has still holds.", headers: []string{"Headwater-Observed-At?", "Headwater-Staleness?"}}

// answers returns the successes of the operation.
func (op operation) answers() []success {
	answers := slices.Clone(op.out.answers)
	if op.conditional() {
		answers = append(answers, notModified)
	}
	for i, answer := range answers {
		if op.conditional() {
			answer.headers = append(slices.Clone(answer.headers), "ETag?")
		}
		if op.onceEach() {
			answer.headers = append(slices.Clone(answer.headers), replayedHeader+"?")
		}
		if op.read != nil && answer.status != http.StatusNotModified {
			answer.headers = append(slices.Clone(answer.headers), "Headwater-Observed-At?", "Headwater-Staleness?")
		}
		answers[i].headers = answer.headers
	}
	return answers
}

// errorStatuses returns the errors of the operation, in order.
func (op operation) errorStatuses() []int {
	if op.open() {
		return op.out.errors
	}
	all := append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError}, op.out.errors...)
	if op.read != nil {
		all = append(all, http.StatusServiceUnavailable) // a copy that is too old
	}
	if op.target != anything {
		all = append(all, http.StatusBadRequest)
	}
	if op.in.body != nil || op.in.media != "" {
		all = append(all, http.StatusRequestTimeout, http.StatusUnsupportedMediaType) // see dispatch and WriteError
	}
	if op.onceEach() {
		all = append(all, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	switch op.target {
	case oneRepository, inTheTrash, credentialID, organisationOrRepository, newRepository:
		all = append(all, http.StatusNotFound)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// describe returns the text of the operation, and what it takes to call it.
func (op operation) describe() string {
	text := op.doc.text
	if text != "" {
		text += "\n\n"
	}
	switch {
	case op.open():
		return text + "No token is needed."
	case op.target == organisationOrRepository:
		return text + "Scope: `org:read` with a token for the organisation, which sees everything; `git:read` with one for a repository, which sees that one."
	case op.scope == anyScope:
		return text + "Any token for the repository will do."
	case op.scope == access.GitRead:
		return text + "Scope: `git:read` (or `git:write`)."
	}
	return text + "Scope: `" + string(op.scope) + "`."
}

// freshnessParameters are those that every read of content takes.
var freshnessParameters = []parameter{paramMaxStaleness, paramFreshness, paramHeaderMaxStaleness, paramHeaderFreshness}

// codesText names the codes of a status, from the table that answers use.
func codesText(status int) string {
	var codes []string
	switch status { // said of the request's body, beside the status of the code
	case http.StatusRequestTimeout:
		return "The body came in too slowly. `code`: `timeout`."
	case http.StatusUnsupportedMediaType:
		return "The body has a content coding. `code`: `invalid`."
	}
	for _, kind := range core.Kinds() {
		if statuses[kind] == status || status == http.StatusUnprocessableEntity && kind == core.KindInvalid { // see errKeyReused
			codes = append(codes, "`"+string(kind)+"`")
		}
	}
	if len(codes) == 0 {
		return "The field `code` says why."
	}
	return "`code`: " + strings.Join(codes, ", ") + "."
}

// answerHeaders are the headers of answers.
var answerHeaders = map[string]string{
	"Accept-Ranges":         "Always `bytes`.",
	"Content-Length":        "Size of the body in bytes.",
	"Content-Range":         "Which part of the file this is.",
	"Headwater-Observed-At": "When the upstream last confirmed the copy, RFC 3339.",
	"Headwater-Staleness":   "Whole seconds since then.",
	"ETag":                  "For a file, the id of its blob in quotes; else a hash, weak where it is one of commits and of the query. An event stream has none.",
	"Idempotent-Replayed":   "`true`: this is the answer to an earlier request with the same Idempotency-Key.",
	"Last-Modified":         "When the last commit changed the file.",
	"Retry-After":           "Seconds after which to ask again.",
	"WWW-Authenticate":      "The Bearer challenge.",
	"X-Blob-Sha":            "Id of the file's blob.",
	"X-Commit-Sha":          "Id of the commit in the archive.",
	"X-Last-Commit-Sha":     "Id of the last commit that changed the file.",
}

// pathVariables are the variables of paths.
var pathVariables = map[string]string{
	"name": "Name of the repository, percent-encoded into one segment: `team%2Fapp`. The claim \"repo\" of the token must mean the same.",
	"id":   "Id of the credential.",
	"tag":  "Name of the tag, percent-encoded into one segment.",

	"credential": "Name or id of the shared credential.",
	"set":        "Id of the mirror set.",
	"webhook":    "Id of the webhook.",
	"delivery":   "Id of the delivery.",
}

// Package api is the REST layer: it turns HTTP into calls of
// [engine.Repositories] and the answers back into JSON.
//
// Every operation has two routes. The legacy one, below /api/v1, has no
// repository in its path: the claim "repo" of the token says it. The preferred
// one, below /api/repos/{name}, has the name as one percent-encoded segment,
// and the claim must mean the same repository. Published SDKs use either, with
// an older or a newer vocabulary, so each route understands both and every
// answer carries both.
//
// Every operation is one record of the type operation, in operations_*.go. To
// add one: write the handler and the types of its body and its answer; add the
// record, with an audit action if it writes; say in fieldNotes and
// requiredFields (openapi_notes_test.go) what the types do not; run the tests
// TestOpenAPI of this package with HEADWATER_UPDATE=1, which writes openapi.json,
// the document that the server embeds, and docs/api.md anew; run go generate in
// server/client; and call the operation in server/internal/apispec, whose test demands
// that every one of them succeeds once.
//
// Answers never hold null, because the schemas of published SDKs refuse it.
// Clients branch on the HTTP status, or on "code" in the body of an error; the
// texts may change.
package api

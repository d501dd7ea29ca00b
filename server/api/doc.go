// Package api is the REST layer: it turns HTTP into calls of the services in
// [Options] and the answers back into JSON.
//
// Every operation has two routes. The legacy one, below /api/v1, has no
// repository in its path: the claim "repo" of the token says it. The preferred
// one, below /api/repos/{name}, has the name as one percent-encoded segment,
// and the claim must mean the same repository. Published SDKs use either, with
// an older or a newer vocabulary, so each route understands both and every
// answer carries both.
//
// Every operation is one record of the type operation, in operations_*.go. To
// add one:
//
//   - write the handler and the types of its body and its answer;
//   - add the record, with an audit action if it writes;
//   - say in fieldNotes and requiredFields what the types do not;
//   - run the tests TestOpenAPI of this package with HEADWATER_UPDATE=1, which
//     write openapi.json, the document that the server embeds, and docs/api.md;
//   - run go generate in server/client;
//   - call the operation in server/internal/apispec, whose test demands that
//     every one succeeds once.
//
// The document is compared with that of the last release, too: a change that
// breaks clients fails TestOpenAPI_breaksNoClient, which says how to accept it.
//
// Answers never hold null, because the schemas of published SDKs refuse it.
// Clients branch on the HTTP status, or on "code" in the body of an error; the
// texts may change.
package api

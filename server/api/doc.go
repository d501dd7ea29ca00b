// Package api is the REST layer: it turns HTTP into calls of
// [engine.Repositories] and the answers back into JSON.
//
// Every operation has two routes. The legacy one, below /api/v1, has no
// repository in its path: the claim "repo" of the token says it. The preferred
// one, below /api/repos/{name}, has the name as one percent-encoded segment,
// and the claim must mean the same repository. Published SDKs use either, with
// an older or a newer vocabulary, so each route understands both and every
// answer carries both. All routes are in the table in routes.go.
//
// Answers never hold null, because the schemas of published SDKs refuse it.
// Clients branch on the HTTP status, or on "code" in the body of an error; the
// texts may change.
package api

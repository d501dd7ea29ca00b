// Package content reads repositories for the REST API: files, commits, diffs,
// blame, searches, archives, branches, tags, notes and merge previews. It never
// moves a ref and leaves no object behind.
//
// # How it reads
//
// Single objects come from a pool of long-lived git processes
// ([catfile.Pool]); trees are walked here, object by object, so that a page of a
// large listing costs the page and not the listing. What needs a walk over
// history or the diff machinery runs one git process per request, whose output
// is read as it comes. Memory is bounded by what is named in an answer, never
// by the size of a repository or a blob.
//
// # What callers may name
//
// A revision is a branch, a tag, a full ref name, an id or its beginning, HEAD,
// or one of these followed by ~N and ^N. Everything else that gitrevisions(7)
// knows is refused: reflogs, searches, ranges, paths. Refs below refs/internal/
// and refs/namespaces/ do not exist here by any name. Each answer is about one
// commit, and a cursor holds the commit its listing began with, so that the
// pages of one listing fit together while branches move.
//
// All methods are safe for concurrent use. Errors: KindInvalid for a bad
// revision, path, range, pattern or cursor; KindNotFound for what does not
// exist, which is everything in an empty repository; KindTooLarge for an object over a
// limit; KindTimeout for work that took too long.
package content

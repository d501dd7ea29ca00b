package api

// parameter is a parameter of a query, or a header of a request.
type parameter struct {
	key      string // names it among the components of the document, if its name is not enough
	name     string
	in       string // "query" if empty, or "header"
	text     string
	older    []string // names that older clients use
	kind     string   // JSON type, "string" if empty
	absent   any      // default
	top      int      // maximum of a number, which is 1 at least
	required bool     // never with older names: either of them will do
	repeated bool
}

// The parameters of all queries. Where one name means several things, there is
// a variable for each.
var (
	paramQ                       = parameter{name: "q", text: "Only repositories with this text in their name; case does not matter."}
	paramListState               = parameter{key: "state.repositories", name: "state", text: "Only in this state of the sync: `pending`, `syncing`, `ready`, `failing`, `paused`, `held`, `unconfirmed`, `rebuilding`, `waiting`; `local`, without an upstream; or `deleted`, in the trash, which nothing else lists."}
	paramListClass               = parameter{name: "class", text: "Only those whose last contact with the upstream failed with this class: `auth`, `revoked`, `not_found`, `moved`, `protocol`, `rate_limited`, `network`, `timeout`, `too_large`, `refused`, `diverged`, `corrupt`, `unavailable`, `resource`, `internal`."}
	paramListHost                = parameter{name: "host", text: "Only those with an upstream at this host; case does not matter."}
	paramListProvider            = parameter{name: "provider", text: "Only those with an upstream of this provider, by its word or the name of its block."}
	paramListSort                = parameter{name: "sort", text: "`newest` (the usual order), `name`, `size` (largest first), `last-change` (refs that moved last first) or `lag` (longest without a confirmation by the upstream first; those without an upstream last)."}
	paramNow                     = parameter{name: "now", text: "Remove it at once: it cannot be brought back.", kind: "boolean", absent: false}
	paramDefaultBranch           = parameter{name: "default_branch", text: "As in the body, which wins."}
	paramActor                   = parameter{name: "actor", text: "Only entries of this token subject."}
	paramAction                  = parameter{name: "action", text: "Only entries of this action."}
	paramRepoID                  = parameter{name: "repo_id", text: "Only entries of the repository with this id, also after it was deleted."}
	paramSince                   = parameter{name: "since", text: "Only what was written at this time, as in RFC 3339, or after it."}
	paramUntil                   = parameter{name: "until", text: "Only what was written before this time, as in RFC 3339."}
	paramCursor                  = parameter{name: "cursor", text: "`next_cursor` of the page before."}
	paramLimit                   = parameter{name: "limit", text: "Items of a page; a number out of range is brought into it.", kind: "integer", absent: defaultLimit, top: maxLimit}
	paramDryRun                  = parameter{name: "dry_run", text: "Change nothing; show what would be done.", kind: "boolean", absent: false}
	paramFailedOnly              = parameter{name: "failed", text: "Only those that could not be fetched so far.", kind: "boolean", absent: false}
	paramMaxStaleness            = parameter{name: "max_staleness", text: "How long ago the upstream of a synced repository may have confirmed the copy, such as `5s`; `0s` is after this call. No limit if neither the token nor the repository sets one."}
	paramFreshness               = parameter{name: "freshness", text: "What to do with an older copy: `serve` it, `revalidate` it for three seconds and then serve it, or `fail` with 503. `revalidate` if absent."}
	paramLimitFiles              = parameter{key: "limit.files", name: "limit", text: "Entries of a page, 1000 with a cursor alone. With neither limit nor cursor the listing is whole.", kind: "integer", top: maxFiles}
	paramLimitMetadata           = parameter{key: "limit.metadata", name: "limit", text: "Files of a page, 200 with a cursor alone. With neither limit nor cursor the listing is whole.", kind: "integer", top: maxMetadata}
	paramRef                     = parameter{name: "ref", text: "Branch, tag, commit id or another revision; the default branch if absent."}
	paramRefBranch               = parameter{key: "ref.branch", name: "ref", text: "Branch, tag, commit id or another revision to start from; the default branch if absent.", older: []string{"branch"}}
	paramRefCommit               = parameter{key: "ref.commit", name: "ref", text: "Full or short commit id, branch, tag or another revision. Required.", older: []string{"sha"}}
	paramEphemeral               = parameter{name: "ephemeral", text: "Look the ref up among the ephemeral branches.", kind: "boolean", absent: false}
	paramEphemeralCommit         = parameter{key: "ephemeral.commit", name: "ephemeral", text: "Look the ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ref_is_ephemeral"}}
	paramEphemeralBase           = parameter{name: "ephemeral_base", text: "Look the base up among the ephemeral branches.", kind: "boolean", absent: false}
	paramEphemeralBaseFile       = parameter{key: "ephemeral_base.file", name: "ephemeral_base", text: "As ephemeral, where that is absent.", kind: "boolean", absent: false}
	paramRefIsEphemeral          = parameter{name: "ref_is_ephemeral", text: "Look ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ephemeral"}}
	paramBaseIsEphemeral         = parameter{name: "base_is_ephemeral", text: "Look base_ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ephemeral_base"}}
	paramRefRewritten            = parameter{key: "ref.rewritten", name: "ref", text: "Only of this ref, by its full name; a name without refs/ is a branch."}
	paramStateRewrite            = parameter{key: "state.rewrite", name: "state", text: "Only in these states, with commas between: `held`, `frozen`, `retained`, `followed`, `approved`, `dismissed`, `replaced`, `restored`, `expired`."}
	paramBaseRef                 = parameter{name: "base_ref", text: "What to compare with; the first parent if absent, nothing for a first commit.", older: []string{"baseSha", "base_sha"}}
	paramGitApplyCompatible      = parameter{name: "git_apply_compatible", text: "Exact white space: files[].raw in order is a patch that `git apply` takes. Without it, changes in the amount of white space are left out.", kind: "boolean", absent: false, older: []string{"gitApplyCompatible"}}
	paramPathBelow               = parameter{key: "path.below", name: "path", text: "Folder to list, or one file; all if absent."}
	paramPathTouched             = parameter{key: "path.touched", name: "path", text: "Only commits that touch this file or folder."}
	paramPath                    = parameter{name: "path", text: "Path of the file.", required: true}
	paramPathOnly                = parameter{key: "path.only", name: "path", text: "Only these files or folders; at most 500.", repeated: true}
	paramWrites                  = parameter{name: "writes", text: "Whether `read-only` is answered 503, too: for monitoring, and for who sends writes here.", kind: "boolean", absent: false}
	paramRecursive               = parameter{name: "recursive", text: "Go into folders.", kind: "boolean", absent: true}
	paramRange                   = parameter{name: "range", text: "Lines, each as in `git blame -L`: `10,20`, `10,+5`, `/pattern/`, `:function`; at most 16. All lines if absent.", repeated: true}
	paramDetectMoves             = parameter{name: "detect_moves", text: "Find lines that were moved within the file.", kind: "boolean", absent: false}
	paramNameBranch              = parameter{key: "name.branch", name: "name", text: "Name of the branch, without refs/heads/.", required: true}
	paramNameTag                 = parameter{key: "name.tag", name: "name", text: "Name of the tag, without refs/tags/.", required: true}
	paramNameDeleted             = parameter{key: "name.deleted", name: "name", text: "Name of the tag, where there is no body."}
	paramBranch                  = parameter{name: "branch", text: "Branch whose changes are shown.", required: true}
	paramBase                    = parameter{name: "base", text: "Branch to compare with, from where the two parted; the default branch if absent."}
	paramSourceRef               = parameter{name: "source_ref", text: "Branch or revision to merge. Required.", older: []string{"source_branch"}}
	paramTargetBranch            = parameter{name: "target_branch", text: "Branch to merge into.", required: true}
	paramSourceIsEphemeral       = parameter{name: "source_is_ephemeral", text: "Look the source up among the ephemeral branches.", kind: "boolean", absent: false}
	paramTargetIsEphemeral       = parameter{name: "target_is_ephemeral", text: "Look the target up among the ephemeral branches.", kind: "boolean", absent: false}
	paramIncludeContent          = parameter{name: "include_content", text: "Show the versions of files in conflict: at most 20 files, 64 KiB of each version.", kind: "boolean", absent: false}
	paramAllowUnrelatedHistories = parameter{name: "allow_unrelated_histories", text: "Merge branches that have no commit in common.", kind: "boolean", absent: false}
	paramObjectRef               = parameter{name: "object_ref", text: "The commit or other object, by id or revision. Required.", older: []string{"sha"}}
	paramNotesRef                = parameter{name: "notes_ref", text: "Where notes are: `refs/notes/reviews`, `notes/reviews` or `reviews`; refs/notes/commits if absent.", older: []string{"ref"}}
	paramPrefix                  = parameter{name: "prefix", text: "Only refs below this prefix of refs/notes/."}
	paramRepoEvents              = parameter{key: "repo.events", name: "repo", text: "Only events of this repository, by name or id."}
	paramType                    = parameter{name: "type", text: "Only events of these types; several may be separated by commas.", repeated: true}
	paramAfter                   = parameter{name: "after", text: "Only events after this position; 0 is before the oldest that is kept."}
	paramCursorEvents            = parameter{key: "cursor.events", name: "cursor", text: "As after, which wins: `next_cursor` of the page before."}
)

// Headers of requests that change an answer.
var (
	paramHeaderRange             = parameter{name: "Range", in: "header", text: "Parts of the file, as in RFC 9110; more than 16 get the whole file."}
	paramHeaderMaxStaleness      = parameter{name: "Headwater-Max-Staleness", in: "header", text: "As `max_staleness`, which goes before it."}
	paramHeaderFreshness         = parameter{name: "Headwater-Freshness", in: "header", text: "As `freshness`, which goes before it."}
	paramHeaderIfRange           = parameter{name: "If-Range", in: "header", text: "Answer the range only if the file still is this one: an ETag or a date."}
	paramHeaderIfMatch           = parameter{name: "If-Match", in: "header", text: "Answer only if the file has one of these ETags; else 412."}
	paramHeaderIfNoneMatch       = parameter{name: "If-None-Match", in: "header", text: "Answer only if the file has none of these ETags; else 304."}
	paramHeaderIfNoneMatchAnswer = parameter{key: "If-None-Match.answer", name: "If-None-Match", in: "header", text: "Answer only if the answer has none of these ETags; else 304, without a body."}
	paramHeaderIdempotencyKey    = parameter{name: "Idempotency-Key", in: "header", text: "A text that you choose, new for each request: one that is sent again with it is done once and answered as before, for 24 hours."}
	paramHeaderIfModifiedSince   = parameter{name: "If-Modified-Since", in: "header", text: "Answer only if the file changed since; else 304."}
	paramHeaderLastEventID       = parameter{name: "Last-Event-ID", in: "header", text: "As after, and wins: what a client sends that comes back."}
	paramHeaderIfUnmodifiedSince = parameter{name: "If-Unmodified-Since", in: "header", text: "Answer only if the file has not changed since; else 412."}
)

// fileHeaders are those that a read of a file takes.
var fileHeaders = []parameter{paramHeaderRange, paramHeaderIfRange, paramHeaderIfMatch, paramHeaderIfNoneMatch, paramHeaderIfModifiedSince, paramHeaderIfUnmodifiedSince}

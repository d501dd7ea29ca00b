package api

// parameter is a parameter of a query.
type parameter struct {
	name     string
	text     string
	older    []string // names that older clients use
	kind     string   // JSON type, "string" if empty
	absent   any      // default
	top      int      // maximum of a number, which is 1 at least
	required bool     // never with older names: either of them will do
	repeated bool
}

// parameters are the parameters of all queries. A key is the name, and what it
// is about where a name means several things.
var parameters = map[string]parameter{
	"q":                         {name: "q", text: "Only repositories with this text in their name; case does not matter."},
	"default_branch":            {name: "default_branch", text: "As in the body, which wins."},
	"actor":                     {name: "actor", text: "Only entries of this token subject."},
	"action":                    {name: "action", text: "Only entries of this action."},
	"repo_id":                   {name: "repo_id", text: "Only entries of the repository with this id, also after it was deleted."},
	"cursor":                    {name: "cursor", text: "`next_cursor` of the page before."},
	"limit":                     {name: "limit", text: "Items of a page; a number out of range is brought into it.", kind: "integer", absent: defaultLimit, top: maxLimit},
	"dry_run":                   {name: "dry_run", text: "Change nothing; show what would be done.", kind: "boolean", absent: false},
	"max_staleness":             {name: "max_staleness", text: "How long ago the upstream of a synced repository may have confirmed the copy, such as `5s`; `0s` is after this call. No limit if neither the token nor the repository sets one."},
	"freshness":                 {name: "freshness", text: "What to do with an older copy: `serve` it, `revalidate` it for three seconds and then serve it, or `fail` with 503. `revalidate` if absent."},
	"limit.files":               {name: "limit", text: "Entries of a page, 1000 with a cursor alone. With neither limit nor cursor the listing is whole.", kind: "integer", top: maxFiles},
	"limit.metadata":            {name: "limit", text: "Files of a page, 200 with a cursor alone. With neither limit nor cursor the listing is whole.", kind: "integer", top: maxMetadata},
	"ref":                       {name: "ref", text: "Branch, tag, commit id or another revision; the default branch if absent."},
	"ref.branch":                {name: "ref", text: "Branch, tag, commit id or another revision to start from; the default branch if absent.", older: []string{"branch"}},
	"ref.commit":                {name: "ref", text: "Full or short commit id, branch, tag or another revision. Required.", older: []string{"sha"}},
	"ephemeral":                 {name: "ephemeral", text: "Look the ref up among the ephemeral branches.", kind: "boolean", absent: false},
	"ephemeral.commit":          {name: "ephemeral", text: "Look the ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ref_is_ephemeral"}},
	"ephemeral_base":            {name: "ephemeral_base", text: "Look the base up among the ephemeral branches.", kind: "boolean", absent: false},
	"ephemeral_base.file":       {name: "ephemeral_base", text: "As ephemeral, where that is absent.", kind: "boolean", absent: false},
	"ref_is_ephemeral":          {name: "ref_is_ephemeral", text: "Look ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ephemeral"}},
	"base_is_ephemeral":         {name: "base_is_ephemeral", text: "Look base_ref up among the ephemeral branches.", kind: "boolean", absent: false, older: []string{"ephemeral_base"}},
	"ref.rewritten":             {name: "ref", text: "Only of this ref, by its full name; a name without refs/ is a branch."},
	"state.rewrite":             {name: "state", text: "Only in these states, with commas between: `held`, `frozen`, `retained`, `followed`, `approved`, `dismissed`, `replaced`, `restored`, `expired`."},
	"base_ref":                  {name: "base_ref", text: "What to compare with; the first parent if absent, nothing for a first commit.", older: []string{"baseSha", "base_sha"}},
	"git_apply_compatible":      {name: "git_apply_compatible", text: "Exact white space: files[].raw in order is a patch that `git apply` takes. Without it, changes in the amount of white space are left out.", kind: "boolean", absent: false, older: []string{"gitApplyCompatible"}},
	"path.below":                {name: "path", text: "Folder to list, or one file; all if absent."},
	"path.touched":              {name: "path", text: "Only commits that touch this file or folder."},
	"path":                      {name: "path", text: "Path of the file.", required: true},
	"path.only":                 {name: "path", text: "Only these files or folders; at most 500.", repeated: true},
	"recursive":                 {name: "recursive", text: "Go into folders.", kind: "boolean", absent: true},
	"range":                     {name: "range", text: "Lines, each as in `git blame -L`: `10,20`, `10,+5`, `/pattern/`, `:function`; at most 16. All lines if absent.", repeated: true},
	"detect_moves":              {name: "detect_moves", text: "Find lines that were moved within the file.", kind: "boolean", absent: false},
	"name.branch":               {name: "name", text: "Name of the branch, without refs/heads/.", required: true},
	"name.tag":                  {name: "name", text: "Name of the tag, without refs/tags/.", required: true},
	"name.deleted":              {name: "name", text: "Name of the tag, where there is no body."},
	"branch":                    {name: "branch", text: "Branch whose changes are shown.", required: true},
	"base":                      {name: "base", text: "Branch to compare with, from where the two parted; the default branch if absent."},
	"source_ref":                {name: "source_ref", text: "Branch or revision to merge. Required.", older: []string{"source_branch"}},
	"target_branch":             {name: "target_branch", text: "Branch to merge into.", required: true},
	"source_is_ephemeral":       {name: "source_is_ephemeral", text: "Look the source up among the ephemeral branches.", kind: "boolean", absent: false},
	"target_is_ephemeral":       {name: "target_is_ephemeral", text: "Look the target up among the ephemeral branches.", kind: "boolean", absent: false},
	"include_content":           {name: "include_content", text: "Show the versions of files in conflict: at most 20 files, 64 KiB of each version.", kind: "boolean", absent: false},
	"allow_unrelated_histories": {name: "allow_unrelated_histories", text: "Merge branches that have no commit in common.", kind: "boolean", absent: false},
	"object_ref":                {name: "object_ref", text: "The commit or other object, by id or revision. Required.", older: []string{"sha"}},
	"notes_ref":                 {name: "notes_ref", text: "Where notes are: `refs/notes/reviews`, `notes/reviews` or `reviews`; refs/notes/commits if absent.", older: []string{"ref"}},
	"prefix":                    {name: "prefix", text: "Only refs below this prefix of refs/notes/."},

	"repo.events":   {name: "repo", text: "Only events of this repository, by name or id."},
	"type":          {name: "type", text: "Only events of these types; several may be separated by commas.", repeated: true},
	"after":         {name: "after", text: "Only events after this position; 0 is before the oldest that is kept."},
	"cursor.events": {name: "cursor", text: "As after, which wins: `next_cursor` of the page before."},
}

// requestHeader is a header of a request.
func requestHeader(name, text string) node {
	return node{"name": name, "in": "header", "description": text, "schema": node{"type": "string"}}
}

// requestHeaders are the headers of requests that change an answer.
var requestHeaders = node{
	"header.Range":                   requestHeader("Range", "Parts of the file, as in RFC 9110; more than 16 get the whole file."),
	"header.Headwater-Max-Staleness": requestHeader("Headwater-Max-Staleness", "As `max_staleness`, which goes before it."),
	"header.Headwater-Freshness":     requestHeader("Headwater-Freshness", "As `freshness`, which goes before it."),
	"header.If-Range":                requestHeader("If-Range", "Answer the range only if the file still is this one: an ETag or a date."),
	"header.If-Match":                requestHeader("If-Match", "Answer only if the file has one of these ETags; else 412."),
	"header.If-None-Match":           requestHeader("If-None-Match", "Answer only if the file has none of these ETags; else 304."),
	"header.If-Modified-Since":       requestHeader("If-Modified-Since", "Answer only if the file changed since; else 304."),
	"header.Last-Event-ID":           requestHeader("Last-Event-ID", "As after, and wins: what a client sends that comes back."),
	"header.If-Unmodified-Since":     requestHeader("If-Unmodified-Since", "Answer only if the file has not changed since; else 412."),
}

// fileHeaders are the keys of all of them.
const fileHeaders = " header.Range header.If-Range header.If-Match header.If-None-Match header.If-Modified-Since header.If-Unmodified-Since"

// answerHeaders are the headers of answers.
var answerHeaders = map[string]string{
	"Accept-Ranges":         "Always `bytes`.",
	"Content-Length":        "Size of the body in bytes.",
	"Content-Range":         "Which part of the file this is.",
	"Headwater-Observed-At": "When the upstream last confirmed the copy, RFC 3339.",
	"Headwater-Staleness":   "Whole seconds since then.",
	"ETag":                  "Strong; for a file, the id of its blob in quotes.",
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

	"webhook":  "Id of the webhook.",
	"delivery": "Id of the delivery.",
}

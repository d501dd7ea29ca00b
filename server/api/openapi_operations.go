package api

import (
	"maps"
	"net/http"
	"slices"

	"github.com/headwater-git/headwater/core/access"
)

// description is what the document says of one operation beyond its routes and
// its scope.
type description struct {
	id      string // operationId; "Legacy" is added on the legacy route
	head    string // operationId of HEAD, if that is of use by itself
	tag     string
	summary string
	text    string
	query   string // keys of parameters and headers

	body         any    // a value of the type that is decoded; nil: none is read
	bodyRequired bool   // false: it may be left out
	media        string // of the body; "" is JSON
	example      string // body, in the newer vocabulary
	sample       string // query, for an example

	answers []success
	failure any   // a value of the type of errors; nil: errorBody
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

// errorStatuses are the errors of an operation.
func errorStatuses(op operation, about description) []int {
	if op.serve == nil {
		return about.errors
	}
	all := append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError}, about.errors...)
	if op.target != anything {
		all = append(all, http.StatusBadRequest)
	}
	switch op.target {
	case oneRepository, credentialID, organisationOrRepository, newRepository:
		all = append(all, http.StatusNotFound)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// describe is the text of an operation, and what it takes to call it.
func (about description) describe(op operation) string {
	text := about.text
	if text != "" {
		text += "\n\n"
	}
	switch {
	case op.serve == nil:
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

// legacyTag marks the routes below /api/v1.
const legacyTag = "legacy"

// tags group the operations, in this order.
var tags = []node{
	{"name": "repositories", "description": "Create, find and delete repositories, and follow an upstream"},
	{"name": "credentials", "description": "The upstream credential of a synced repository"},
	{"name": "files", "description": "Files, archives, blame and search"},
	{"name": "commits", "description": "Commits and diffs, and new commits"},
	{"name": "branches", "description": "Branches and merges"},
	{"name": "tags", "description": "Lightweight tags, and those that git pushes"},
	{"name": "rewrites", "description": "Forced moves and deletions of refs: restore, approve, dismiss"},
	{"name": "notes", "description": "Git notes"},
	{"name": "webhooks", "description": "Subscriptions to events, and what was sent to them"},
	{"name": "events", "description": "What became true, as a list and as a stream"},
	{"name": "server", "description": "The server itself"},
	{"name": legacyTag, "description": "The same operations below /api/v1, where the token alone names the repository"},
}

// linkExample is the body of an example that links a repository.
const linkExample = `{"base_repo":{"provider":"gitea","owner":"team","name":"app","upstream_host":"git.example.com"},"username":"robot","password":"TOKEN"}`

// descriptions returns what the document says, by operation.
func descriptions() map[string]description {
	repo := "/api/repos/{name}"
	zip := []success{{status: http.StatusOK, text: "The archive, as it is made. An error after its beginning cuts the connection off.",
		media: []string{"application/gzip"}, headers: []string{"X-Commit-Sha"}}}
	whole := []string{"ETag", "Last-Modified?", "Accept-Ranges", "Content-Length", "X-Blob-Sha", "X-Last-Commit-Sha"}
	file := []success{
		{status: http.StatusOK, text: "The bytes of the file.", media: []string{"application/octet-stream"}, headers: whole},
		{status: http.StatusPartialContent, text: "A part of the file, or several.", media: []string{"application/octet-stream", "multipart/byteranges"},
			headers: append([]string{"Content-Range?"}, whole...)},
		{status: http.StatusNotModified, text: "The client has this file already.", headers: []string{"ETag"}},
	}
	all := map[string]description{
		"POST /api/repos": {id: "createRepository", tag: "repositories", summary: "Create a repository",
			text: "The claim \"repo\" of the token is its name. Without base_repo it is empty. With one it follows a repository at a Git host " +
				"(the first sync of an App or a public upstream begins at creation, of a generic one with the first pull-upstream, after its credential was stored), or begins as a fork or snapshot of one on this server.",
			query: "default_branch", body: createBody{}, example: `{"default_branch":"main","base_repo":{"provider":"gitea","owner":"team","name":"app","upstream_host":"git.example.com"}}`,
			answers: made(createdRepository{}), errors: writeErrors},
		"GET /api/repos": {id: "listRepositories", tag: "repositories", summary: "List the repositories of the organisation",
			text: "Newest first. The token must not name a repository.", query: "q cursor limit", sample: "q=app&limit=20", answers: done(repositoryList{})},
		"GET " + repo:   {id: "getRepository", tag: "repositories", summary: "Show a repository", text: "With the state of its sync.", answers: done(repositoryView{})},
		"PATCH " + repo: {id: "updateRepository", tag: "repositories", summary: "Change the default branch", body: updateRepositoryBody{}, example: `{"default_branch":"main"}`, answers: done(repositoryView{}), errors: storeErrors},
		"DELETE " + repo: {id: "deleteRepository", tag: "repositories", summary: "Delete a repository",
			text: "Here, not at its upstream. The name is free at once.", answers: done(deletedRepository{}), errors: storeErrors},
		"DELETE " + repo + "/base": {id: "detachUpstream", tag: "repositories", summary: "Stop following the upstream",
			text: "The content stays; the stored credential goes. Doing it again is no error.", answers: done(messageAnswer{}), errors: writeErrors},
		"POST " + repo + "/base": {id: "attachUpstream", tag: "repositories", summary: "Link a local repository to an upstream",
			text: "The first sync makes its branches and tags equal to the upstream's, by the repository's policies: what the upstream does not have is deleted, and kept as a rewrite. " +
				"`dry_run=true` changes nothing and shows what would become of the refs. The upstream must be readable with the credential of the body, which is stored. " +
				"Reads go on during that sync if there is content.",
			query: "dry_run", body: linkBody{}, bodyRequired: true, example: linkExample, answers: done(linkedAnswer{}), errors: writeErrors},
		"PUT " + repo + "/base": {id: "repointUpstream", tag: "repositories", summary: "Give a synced repository another upstream",
			text:  "As attachUpstream. Settings, rewrites, notes and ephemeral branches stay. The stored credential stays if the body has none and the host is the same; else it goes.",
			query: "dry_run", body: linkBody{}, bodyRequired: true, example: linkExample, answers: done(linkedAnswer{}), errors: writeErrors},
		"POST " + repo + "/pull-upstream": {id: "pullUpstream", tag: "repositories", summary: "Ask for a sync with the upstream",
			text: "Answers at once. How the sync goes is in `sync` of the repository: it has ended, well or not, when `tried` there has reached the `wanted` of this answer.", body: pullUpstreamBody{}, example: `{"ref":"main"}`,
			answers: []success{{status: http.StatusAccepted, text: "A sync will run.", body: pullUpstreamAnswer{}}}, errors: writeErrors},

		"GET " + repo + "/settings": {id: "getSettings", tag: "repositories", summary: "Show the settings of a repository", answers: done(settingsAnswer{})},
		"PATCH " + repo + "/settings": {id: "updateSettings", tag: "repositories", summary: "Change the settings of a repository",
			text:  "What the body does not name stays. Filters and policies take effect by a sync that begins at once; `dry_run=true` changes nothing and shows what would become of the refs.",
			query: "dry_run", body: settingsBody{}, bodyRequired: true, example: `{"poll":"1m","ref_policies":[{"pattern":"refs/heads/main","action":"hold"}]}`,
			answers: done(settingsAnswer{}), errors: writeErrors},
		"GET " + repo + "/sync": {id: "getSync", tag: "repositories", summary: "Show how the sync with the upstream is going",
			answers: []success{{status: http.StatusOK, text: "Done.", body: syncAnswer{}, headers: []string{"Headwater-Observed-At?", "Headwater-Staleness?"}}}},
		"GET " + repo + "/sync/runs": {id: "listSyncRuns", tag: "repositories", summary: "List the runs of the sync", text: "Newest first. Looks that found nothing new are not among them.",
			query: "cursor limit", answers: done(runList{})},
		"POST " + repo + "/ensure": {id: "ensure", tag: "repositories", summary: "Wait until refs and objects are here",
			text: "Of a synced repository. What is here already is not asked about; all else is looked up at the upstream by looks that begin after the call, " +
				"until everything is here or the time is up. An id that is on no ref any more is fetched by itself if the host serves that; it then stays for two weeks at least.",
			body: ensureBody{}, bodyRequired: true, example: `{"refs":[{"name":"main","id":"4b825dc642cb6eb9a060e54bf8d69288fbee4904"}],"timeout":"30s"}`,
			answers: []success{{status: http.StatusOK, text: "Everything is here.", body: ensuredView{}, headers: []string{"Headwater-Observed-At?", "Headwater-Staleness?"}}},
			failure: notHereBody{}, errors: []int{http.StatusRequestEntityTooLarge, http.StatusNotImplemented, http.StatusGatewayTimeout}},

		"GET /api/audit": {id: "listAudit", tag: "server", summary: "List who wrote what in the organisation",
			text:  "Every write and every attempt with a valid token, newest first: pushes, commits, and changes of repositories, credentials, webhooks and keys. Entries are never changed or deleted, and outlive their repository.",
			query: "repo_id actor action cursor limit", sample: "action=push&limit=20", answers: done(auditList{}), errors: []int{http.StatusNotImplemented}},
		"GET " + repo + "/audit": {id: "listRepositoryAudit", tag: "repositories", summary: "List who wrote what in a repository", text: "Newest first. It needs `repo:write`, since it tells where people are.",
			query: "actor action cursor limit", answers: done(auditList{}), errors: []int{http.StatusNotImplemented}},

		"POST " + repo + "/git-credentials": {id: "createCredential", tag: "credentials", summary: "Store the credential for the upstream",
			text: "One for each repository.", body: createCredentialBody{}, bodyRequired: true, example: `{"username":"robot","password":"TOKEN"}`, answers: made(credentialView{}), errors: storeErrors},
		"PUT " + repo + "/git-credentials/{id}": {id: "updateCredential", tag: "credentials", summary: "Replace the credential for the upstream",
			body: updateCredentialBody{}, bodyRequired: true, example: `{"password":"TOKEN"}`, answers: done(credentialView{}), errors: storeErrors},
		"PUT /api/v1/repos/git-credentials": {id: "updateCredential", tag: "credentials", summary: "Replace the credential for the upstream",
			text: "The token may name the organisation or the repository.",
			body: legacyUpdateCredentialBody{}, bodyRequired: true, example: `{"id":"ggc_01","password":"TOKEN"}`, answers: done(credentialView{}), errors: storeErrors},
		"DELETE " + repo + "/git-credentials/{id}": {id: "deleteCredential", tag: "credentials", summary: "Delete the credential for the upstream",
			answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: storeErrors},
		"DELETE /api/v1/repos/git-credentials": {id: "deleteCredential", tag: "credentials", summary: "Delete the credential for the upstream",
			text: "The token may name the organisation or the repository.",
			body: legacyDeleteCredentialBody{}, bodyRequired: true, example: `{"id":"ggc_01"}`, answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: storeErrors},

		"GET " + repo + "/inbound-webhook": {id: "getInboundWebhook", tag: "repositories", summary: "Show where the host may deliver webhooks",
			text: "Whether the host's webhook works. Where it cannot be registered by the server, add this address at the host by hand.", answers: done(inboundWebhookView{}), errors: storeErrors},
		"POST " + repo + "/inbound-webhook": {id: "rotateInboundWebhook", tag: "repositories", summary: "Make a new secret for the inbound webhook",
			text:    "The secret is shown this once. The old one is accepted for a day more; where the server registers the webhook, it does so again.",
			answers: done(rotatedInboundWebhook{}), errors: storeErrors},

		"GET " + repo + "/files": {id: "listFiles", tag: "files", summary: "List files", text: "By path, in byte order.",
			query: "ref ephemeral path.below recursive cursor limit.files", sample: "path=src&recursive=false", answers: done(fileList{}), errors: readErrors},
		"GET " + repo + "/files/metadata": {id: "listFilesMetadata", tag: "files", summary: "List files with their last commits",
			query: "ref ephemeral path.below cursor limit.metadata", sample: "ref=main&limit=200", answers: done(fileMetadataList{}), errors: readErrors},
		"GET " + repo + "/file": {id: "getFile", head: "headFile", tag: "files", summary: "Read a file",
			text: "Ranges and conditions work as in RFC 9110.", query: "path ref ephemeral ephemeral_base.file" + fileHeaders, sample: "path=README.md&ref=main",
			answers: file, errors: append([]int{http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable}, readErrors...)},
		"POST " + repo + "/archive": {id: "getArchive", tag: "files", summary: "Read a tree as tar.gz", text: "Submodules are left out.",
			body: archiveBody{}, example: `{"ref":"main","exclude_globs":["docs/**"],"archive":{"prefix":"app/"}}`, answers: zip, errors: readErrors},
		"POST " + repo + "/grep": {id: "grep", tag: "files", summary: "Search files",
			body: grepBody{}, bodyRequired: true, example: `{"query":{"pattern":"func [A-Z]","case_sensitive":true},"ref":"main","file_filters":{"include_globs":["**/*.go"]},"context":{"before":1,"after":1}}`,
			answers: done(grepResult{}), errors: readErrors},
		"GET " + repo + "/blame": {id: "getBlame", tag: "files", summary: "Tell where each line of a file comes from",
			query: "path ref ephemeral range detect_moves", sample: "path=README.md&range=1,10", answers: done(blameAnswer{}), errors: readErrors},

		"GET " + repo + "/commits": {id: "listCommits", tag: "commits", summary: "List commits", text: "Newest first, as `git log`.",
			query: "ref.branch ephemeral path.touched cursor limit", sample: "ref=main&path=src", answers: done(commitList{}), errors: readErrors},
		"GET " + repo + "/commit": {id: "getCommit", tag: "commits", summary: "Show a commit", query: "ref.commit ephemeral.commit", sample: "ref=main", answers: done(oneCommit{}), errors: readErrors},
		"GET " + repo + "/diff": {id: "getCommitDiff", tag: "commits", summary: "Show what a commit changed",
			text:  "Files that are binary or whose patch is larger than 500,000 bytes are in filtered_files, without the patch.",
			query: "ref.commit base_ref ref_is_ephemeral base_is_ephemeral git_apply_compatible path.only", sample: "ref=main", answers: done(commitDiff{}), errors: readErrors},
		"POST " + repo + "/commit-pack": {id: "createCommit", tag: "commits", summary: "Make a commit from files",
			text: "The body is NDJSON of any length: first a line with `metadata`, then a line with `blob_chunk` for each piece of content. " +
				"The pieces of a content come in order and without others between; an empty file is one empty piece. The schema is that of a line.",
			body: commitPackLine{}, bodyRequired: true, media: "application/x-ndjson",
			example: `{"metadata":{"target_branch":"main","commit_message":"Say hello","author":{"name":"Ada","email":"ada@example.com"},"files":[{"path":"hello.txt","content_id":"1"},{"path":"old.txt","operation":"delete"}]}}` + "\n" +
				`{"blob_chunk":{"content_id":"1","data":"aGVsbG8K","eof":true}}`,
			answers: made(commitResult{}), failure: commitProblem{}, errors: writeErrors},
		"POST " + repo + "/diff-commit": {id: "createCommitFromDiff", tag: "commits", summary: "Make a commit from a patch",
			text: "The body is NDJSON of any length: first a line with `metadata`, then a line with `diff_chunk` for each piece of the patch. The schema is that of a line.",
			body: diffCommitLine{}, bodyRequired: true, media: "application/x-ndjson",
			example: `{"metadata":{"target_branch":"main","commit_message":"Fix a typo","author":{"name":"Ada","email":"ada@example.com"}}}` + "\n" +
				`{"diff_chunk":{"data":"LS0tIGEvYQorKysgYi9hCkBAIC0xICsxIEBACi1oZWxvCitoZWxsbwo=","eof":true}}`,
			answers: made(commitResult{}), failure: commitProblem{}, errors: writeErrors},
		"POST " + repo + "/restore-commit": {id: "restoreCommit", tag: "commits", summary: "Make a commit with the tree of an older one",
			body: restoreBody{}, bodyRequired: true,
			example: `{"metadata":{"target_branch":"main","base_ref":"main~3","commit_message":"Go back","author":{"name":"Ada","email":"ada@example.com"}}}`,
			answers: made(commitResult{}), failure: commitProblem{}, errors: writeErrors},
		"POST " + repo + "/reset-commits": {id: "resetCommits", tag: "commits", summary: "Make a commit with the tree of an older one, by the former name",
			text: "The same as `restore-commit`, for the first published clients.",
			body: restoreBody{}, bodyRequired: true,
			example: `{"metadata":{"target_branch":"main","target_commit_sha":"5e8b7a3c9d1f20461b8e5a7d3c9f0e2b4a6d8c10","author":{"name":"Ada","email":"ada@example.com"}}}`,
			answers: made(commitResult{}), failure: commitProblem{}, errors: writeErrors},

		"GET " + repo + "/branches": {id: "listBranches", tag: "branches", summary: "List branches", text: "By name, in byte order.", query: "ephemeral cursor limit", sample: "limit=20", answers: done(branchList{}), errors: readErrors},
		"GET " + repo + "/branch":   {id: "getBranch", tag: "branches", summary: "Show a branch", query: "name.branch ephemeral", sample: "name=main", answers: done(branchAnswer{}), errors: readErrors},
		"GET " + repo + "/branches/diff": {id: "getBranchDiff", tag: "branches", summary: "Show what a branch changed",
			text: "Since it parted from the base. Files as in the diff of a commit.", query: "branch base ephemeral ephemeral_base path.only", sample: "branch=feature&base=main",
			answers: done(branchDiff{}), errors: readErrors},
		"GET " + repo + "/merge/preview": {id: "previewMerge", tag: "branches", summary: "Tell what a merge would do", text: "Nothing is written.",
			query:  "source_ref target_branch source_is_ephemeral target_is_ephemeral include_content allow_unrelated_histories",
			sample: "source_ref=feature&target_branch=main&include_content=true", answers: done(mergePreview{}), errors: readErrors},
		"POST " + repo + "/branches/create": {id: "createBranch", tag: "branches", summary: "Create a branch", text: "One that is there already, at this commit, is no error.", body: createBranchBody{}, bodyRequired: true,
			example: `{"target_branch":"feature","base_ref":"main"}`,
			answers: done(createdBranch{}), errors: writeErrors},
		"DELETE " + repo + "/branches": {id: "deleteBranch", tag: "branches", summary: "Delete a branch", text: "The default branch cannot be deleted.",
			body: deleteBranchBody{}, bodyRequired: true, example: `{"target_branch":"feature"}`, answers: done(deletedBranch{}), errors: writeErrors},
		"POST " + repo + "/merge": {id: "merge", tag: "branches", summary: "Merge a branch into another", body: mergeBody{}, bodyRequired: true,
			example: `{"source_ref":"feature","target_branch":"main","strategy":"merge","commit_message":"Merge feature","author":{"name":"Ada","email":"ada@example.com"}}`,
			answers: done(mergeAnswer{}), failure: mergeProblem{}, errors: writeErrors},

		"GET " + repo + "/tags":  {id: "listTags", tag: "tags", summary: "List tags", text: "By name, in byte order; an annotated tag shows its commit.", query: "cursor limit", sample: "limit=20", answers: done(tagList{}), errors: readErrors},
		"GET " + repo + "/tag":   {id: "getTag", tag: "tags", summary: "Show a tag", query: "name.tag", sample: "name=v1.0", answers: done(tagAnswer{}), errors: readErrors},
		"POST " + repo + "/tags": {id: "createTag", tag: "tags", summary: "Create a lightweight tag", text: "The older field `target` takes a full commit id only.", body: createTagBody{}, bodyRequired: true, example: `{"name":"v1.0","ref":"main"}`, answers: done(createdTag{}), errors: writeErrors},
		"DELETE " + repo + "/tags": {id: "deleteTagByBody", tag: "tags", summary: "Delete a tag, named in the body or the query",
			query: "name.deleted", body: deleteTagBody{}, example: `{"name":"v1.0"}`, answers: done(deletedTag{}), errors: writeErrors},
		"DELETE " + repo + "/tags/{tag}": {id: "deleteTag", tag: "tags", summary: "Delete a tag", answers: done(deletedTag{}), errors: writeErrors},

		"GET " + repo + "/notes": {id: "getNote", tag: "notes", summary: "Read a note", query: "object_ref notes_ref", sample: "object_ref=main", answers: done(noteContent{}), errors: readErrors},
		"GET " + repo + "/notes/refs": {id: "listNotesRefs", tag: "notes", summary: "List the refs that hold notes", query: "prefix cursor limit", sample: "prefix=reviews",
			answers: done(notesRefList{}), errors: readErrors},
		"POST " + repo + "/notes": {id: "writeNote", tag: "notes", summary: "Add a note, or add to it", text: "Notes are never sent to an upstream.", body: noteBody{}, bodyRequired: true,
			example: `{"object_ref":"main","action":"add","note":"Reviewed by Ada","notes_ref":"reviews"}`, answers: done(noteAnswer{}), failure: noteProblem{}, errors: writeErrors},
		"DELETE " + repo + "/notes": {id: "deleteNote", tag: "notes", summary: "Delete a note", body: deleteNoteBody{}, bodyRequired: true,
			example: `{"object_ref":"main","notes_ref":"reviews"}`, answers: done(noteAnswer{}), failure: noteProblem{}, errors: writeErrors},

		"GET " + repo + "/rewrites": {id: "listRewrites", tag: "rewrites", summary: "List forced moves and deletions of refs", text: "Newest first: what was rewritten, and what a policy holds back.",
			query: "ref.rewritten state.rewrite cursor limit", sample: "state=held,frozen", answers: done(rewriteList{})},
		"GET " + repo + "/rewrites/{id}": {id: "getRewrite", tag: "rewrites", summary: "Show a rewrite", answers: done(rewriteView{})},
		"GET " + repo + "/ephemeral/orphans": {id: "listOrphans", tag: "branches", summary: "List ephemeral branches whose base was rewritten away",
			text: "What the branch has in common with the old tip of a rewritten branch is not in the history of that branch any more, or in that of the default branch if it was deleted. " +
				"The newest 100 rewrites are looked at.",
			answers: done(orphanList{}), errors: readErrors},
		"POST " + repo + "/rewrites/{id}/restore": {id: "restoreRewrite", tag: "rewrites", summary: "Make the old tip a branch again",
			text: "Of a rewrite that is `retained`. In a synced repository the branch goes to the upstream first.",
			body: restoreRewriteBody{}, bodyRequired: true, example: `{"branch":"main-before-the-rewrite"}`, answers: done(rewriteView{}), errors: writeErrors},
		"POST " + repo + "/rewrites/{id}/approve": {id: "approveRewrite", tag: "rewrites", summary: "Let a held ref move",
			text:    "The ref follows the upstream if that still has it where it was when it was held; else 409, and a newer rewrite will tell of the newer move. The old tip is retained.",
			answers: done(rewriteView{}), errors: writeErrors},
		"POST " + repo + "/rewrites/{id}/dismiss": {id: "dismissRewrite", tag: "rewrites", summary: "Want no more of a rewrite",
			text: "A held ref stays where it is, and the same move is not asked about again. The old tip of a retained one is let go now.", answers: done(rewriteView{}), errors: storeErrors},

		"GET /providers": {id: "listProviders", tag: "server", summary: "Show the provider plugins", answers: done(providerList{})},
		"POST /providers/{name}/replay": {id: "replayDeliveries", tag: "server", summary: "Have a host send lost webhooks again",
			text: "Of a provider whose host keeps what could not be delivered, such as a GitHub App. The server does it by itself at its start and every hour.", answers: done(ReplayStatus{}),
			errors: []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusTooManyRequests, http.StatusNotImplemented, http.StatusBadGateway}},
		"GET " + openAPIPath: {id: "getOpenAPI", tag: "server", summary: "Read this document", answers: []success{{status: http.StatusOK, text: "The document.", body: apiDocument{}, headers: []string{"ETag"}},
			{status: http.StatusNotModified, text: "The client has this document already.", headers: []string{"ETag"}}}},
		"GET /healthz": {id: "getHealth", tag: "server", summary: "Tell whether the process lives", answers: done(healthAnswer{})},
		"GET /readyz": {id: "getReadiness", tag: "server", summary: "Tell whether requests can be taken",
			answers: done(readinessAnswer{}), errors: []int{http.StatusServiceUnavailable}},
	}
	maps.Copy(all, outboundDescriptions())
	for _, op := range operations {
		if about := all[op.key()]; op.readsContent(about) {
			all[op.key()] = about.fresh()
		}
	}
	return all
}

// readsContent reports whether the operation reads content, of a copy that may
// be old.
func (op operation) readsContent(about description) bool {
	return op.scope == access.GitRead && slices.Contains([]string{"files", "commits", "branches", "tags", "notes"}, about.tag)
}

// fresh adds what every read of content takes and tells of freshness.
func (about description) fresh() description {
	about.query += " max_staleness freshness header.Headwater-Max-Staleness header.Headwater-Freshness"
	about.answers = slices.Clone(about.answers)
	for i, answer := range about.answers {
		about.answers[i].headers = append(slices.Clone(answer.headers), "Headwater-Observed-At?", "Headwater-Staleness?")
	}
	if !slices.Contains(about.errors, http.StatusServiceUnavailable) {
		about.errors = append(slices.Clone(about.errors), http.StatusServiceUnavailable)
	}
	return about
}

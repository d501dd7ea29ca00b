package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
)

// fileOperations read files.
var fileOperations = []operation{
	{
		id: "listFiles", method: http.MethodGet, preferred: "/api/repos/{name}/files", legacy: "/api/v1/repos/files",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "files", summary: "List files",
			text: "By path, in byte order."},
		in:   input{query: []parameter{paramRef, paramEphemeral, paramPathBelow, paramRecursive, paramCursor, paramLimitFiles}, sample: "path=src&recursive=false"},
		out:  output{answers: done(fileList{}), errors: readErrors},
		read: (*server).listFiles,
	},
	{
		id: "listFilesMetadata", method: http.MethodGet, preferred: "/api/repos/{name}/files/metadata", legacy: "/api/v1/repos/files/metadata",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "files", summary: "List files with their last commits"},
		in:   input{query: []parameter{paramRef, paramEphemeral, paramPathBelow, paramCursor, paramLimitMetadata}, sample: "ref=main&limit=200"},
		out:  output{answers: done(fileMetadataList{}), errors: readErrors},
		read: (*server).listMetadata,
	},
	{
		id: "getFile", head: "headFile", method: http.MethodGet, preferred: "/api/repos/{name}/file", legacy: "/api/v1/repos/file",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "files", summary: "Read a file",
			text: "Ranges and conditions work as in RFC 9110."},
		in:   input{query: append([]parameter{paramPath, paramRef, paramEphemeral, paramEphemeralBaseFile}, fileHeaders...), sample: "path=README.md&ref=main"},
		out:  output{answers: fileAnswers, errors: append([]int{http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable}, readErrors...)},
		read: (*server).getFile,
	},
	{
		id: "getArchive", method: http.MethodPost, preferred: "/api/repos/{name}/archive", legacy: "/api/v1/repos/archive",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "files", summary: "Read a tree as tar.gz",
			text: "Submodules are left out."},
		in: input{body: archiveBody{},
			example: `{"ref":"main","exclude_globs":["docs/**"],"archive":{"prefix":"app/"}}`},
		out:  output{answers: archiveAnswers, errors: readErrors},
		read: (*server).archive,
	},
	{
		id: "grep", method: http.MethodPost, preferred: "/api/repos/{name}/grep", legacy: "/api/v1/repos/grep",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "files", summary: "Search files"},
		in: input{body: grepBody{}, required: true,
			example: `{"query":{"pattern":"func [A-Z]","case_sensitive":true},"ref":"main","file_filters":{"include_globs":["**/*.go"]},"context":{"before":1,"after":1}}`},
		out:  output{answers: done(grepResult{}), errors: readErrors},
		read: (*server).grep,
	},
	{
		id: "getBlame", method: http.MethodGet, preferred: "/api/repos/{name}/blame", legacy: "/api/v1/repos/blame",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "files", summary: "Tell where each line of a file comes from"},
		in:   input{query: []parameter{paramPath, paramRef, paramEphemeral, paramRange, paramDetectMoves}, sample: "path=README.md&range=1,10"},
		out:  output{answers: done(blameAnswer{}), errors: readErrors},
		read: (*server).blame,
	},
}

// commitOperations read and make commits.
var commitOperations = []operation{
	{
		id: "listCommits", method: http.MethodGet, preferred: "/api/repos/{name}/commits", legacy: "/api/v1/repos/commits",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "commits", summary: "List commits",
			text: "Newest first, as `git log`."},
		in:   input{query: []parameter{paramRefBranch, paramEphemeral, paramPathTouched, paramCursor, paramLimit}, sample: "ref=main&path=src"},
		out:  output{answers: done(commitList{}), errors: readErrors},
		read: (*server).listCommits,
	},
	{
		id: "getCommit", method: http.MethodGet, preferred: "/api/repos/{name}/commit", legacy: "/api/v1/repos/commit",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "commits", summary: "Show a commit"},
		in:   input{query: []parameter{paramRefCommit, paramEphemeralCommit}, sample: "ref=main"},
		out:  output{answers: done(oneCommit{}), errors: readErrors},
		read: (*server).getCommit,
	},
	{
		id: "getCommitDiff", method: http.MethodGet, preferred: "/api/repos/{name}/diff", legacy: "/api/v1/repos/diff",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "commits", summary: "Show what a commit changed",
			text: "Files that are binary or whose patch is larger than 500,000 bytes are in filtered_files, without the patch."},
		in:   input{query: []parameter{paramRefCommit, paramBaseRef, paramRefIsEphemeral, paramBaseIsEphemeral, paramGitApplyCompatible, paramPathOnly}, sample: "ref=main"},
		out:  output{answers: done(commitDiff{}), errors: readErrors},
		read: (*server).commitDiff,
	},
	{
		id: "createCommit", method: http.MethodPost, preferred: "/api/repos/{name}/commit-pack", legacy: "/api/v1/repos/commit-pack",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "commit.create", session: true},
		doc: doc{tag: "commits", summary: "Make a commit from files",
			text: "The body is NDJSON of any length: first a line with `metadata`, then a line with `blob_chunk` for each piece of content. " +
				"The pieces of a content come in order and without others between; an empty file is one empty piece. The schema is that of a line."},
		in: input{body: commitPackLine{}, required: true, media: "application/x-ndjson",
			example: `{"metadata":{"target_branch":"main","commit_message":"Say hello","author":{"name":"Ada","email":"ada@example.com"},"files":[{"path":"hello.txt","content_id":"1"},{"path":"old.txt","operation":"delete"}]}}` + "\n" +
				`{"blob_chunk":{"content_id":"1","data":"aGVsbG8K","eof":true}}`},
		out:   output{answers: made(commitResult{}), failure: commitConflicts, errors: writeErrors},
		write: (*server).commitFiles,
	},
	{
		id: "createCommitFromDiff", method: http.MethodPost, preferred: "/api/repos/{name}/diff-commit", legacy: "/api/v1/repos/diff-commit",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "commit.create", session: true},
		doc: doc{tag: "commits", summary: "Make a commit from a patch",
			text: "The body is NDJSON of any length: first a line with `metadata`, then a line with `diff_chunk` for each piece of the patch. The schema is that of a line."},
		in: input{body: diffCommitLine{}, required: true, media: "application/x-ndjson",
			example: `{"metadata":{"target_branch":"main","commit_message":"Fix a typo","author":{"name":"Ada","email":"ada@example.com"}}}` + "\n" +
				`{"diff_chunk":{"data":"LS0tIGEvYQorKysgYi9hCkBAIC0xICsxIEBACi1oZWxvCitoZWxsbwo=","eof":true}}`},
		out:   output{answers: made(commitResult{}), failure: commitConflicts, errors: writeErrors},
		write: (*server).commitPatch,
	},
	{
		id: "restoreCommit", method: http.MethodPost, preferred: "/api/repos/{name}/restore-commit", legacy: "/api/v1/repos/restore-commit",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "commit.restore", session: true},
		doc: doc{tag: "commits", summary: "Make a commit with the tree of an older one"},
		in: input{body: restoreBody{}, required: true,
			example: `{"metadata":{"target_branch":"main","base_ref":"main~3","commit_message":"Go back","author":{"name":"Ada","email":"ada@example.com"}}}`},
		out:   output{answers: made(commitResult{}), failure: commitFailures, errors: writeErrors},
		write: (*server).restoreCommit,
	},
	// The name that the first published clients used.
	{
		id: "resetCommits", method: http.MethodPost, preferred: "/api/repos/{name}/reset-commits", legacy: "/api/v1/repos/reset-commits",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "commit.restore", session: true},
		doc: doc{tag: "commits", summary: "Make a commit with the tree of an older one, by the former name",
			text: "The same as `restore-commit`, for the first published clients."},
		in: input{body: restoreBody{}, required: true,
			example: `{"metadata":{"target_branch":"main","target_commit_sha":"5e8b7a3c9d1f20461b8e5a7d3c9f0e2b4a6d8c10","author":{"name":"Ada","email":"ada@example.com"}}}`},
		out:   output{answers: made(commitResult{}), failure: commitFailures, errors: writeErrors},
		write: (*server).restoreCommit,
	},
}

// branchOperations are those about branches and merges.
var branchOperations = []operation{
	{
		id: "listBranches", method: http.MethodGet, preferred: "/api/repos/{name}/branches", legacy: "/api/v1/repos/branches",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "branches", summary: "List branches",
			text: "By name, in byte order."},
		in:   input{query: []parameter{paramEphemeral, paramCursor, paramLimit}, sample: "limit=20"},
		out:  output{answers: done(branchList{}), errors: readErrors},
		read: (*server).listBranches,
	},
	// The legacy family is documented without the two "get" routes.
	{
		id: "getBranch", method: http.MethodGet, preferred: "/api/repos/{name}/branch", legacy: "/api/v1/repos/branch",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "branches", summary: "Show a branch"},
		in:   input{query: []parameter{paramNameBranch, paramEphemeral}, sample: "name=main"},
		out:  output{answers: done(branchAnswer{}), errors: readErrors},
		read: (*server).getBranch,
	},
	{
		id: "getBranchDiff", method: http.MethodGet, preferred: "/api/repos/{name}/branches/diff", legacy: "/api/v1/repos/branches/diff",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "branches", summary: "Show what a branch changed",
			text: "Since it parted from the base. Files as in the diff of a commit."},
		in:   input{query: []parameter{paramBranch, paramBase, paramEphemeral, paramEphemeralBase, paramPathOnly}, sample: "branch=feature&base=main"},
		out:  output{answers: done(branchDiff{}), errors: readErrors},
		read: (*server).branchDiff,
	},
	{
		id: "previewMerge", method: http.MethodGet, preferred: "/api/repos/{name}/merge/preview", legacy: "/api/v1/repos/merge/preview",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "branches", summary: "Tell what a merge would do",
			text: "Nothing is written."},
		in:   input{query: []parameter{paramSourceRef, paramTargetBranch, paramSourceIsEphemeral, paramTargetIsEphemeral, paramIncludeContent, paramAllowUnrelatedHistories}, sample: "source_ref=feature&target_branch=main&include_content=true"},
		out:  output{answers: done(mergePreview{}), errors: readErrors},
		read: (*server).previewMerge,
	},
	{
		id: "createBranch", method: http.MethodPost, preferred: "/api/repos/{name}/branches/create", legacy: "/api/v1/repos/branches/create",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "branch.create", session: true},
		doc: doc{tag: "branches", summary: "Create a branch",
			text: "One that is there already, at this commit, is no error."},
		in: input{body: createBranchBody{}, required: true,
			example: `{"target_branch":"feature","base_ref":"main"}`},
		out:   output{answers: done(createdBranch{}), errors: writeErrors},
		write: (*server).createBranch,
	},
	{
		id: "deleteBranch", method: http.MethodDelete, preferred: "/api/repos/{name}/branches", legacy: "/api/v1/repos/branches",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "branch.delete", session: true},
		doc: doc{tag: "branches", summary: "Delete a branch",
			text: "The default branch cannot be deleted."},
		in: input{body: deleteBranchBody{}, required: true,
			example: `{"target_branch":"feature"}`},
		out:   output{answers: done(deletedBranch{}), errors: writeErrors},
		write: (*server).deleteBranch,
	},
	{
		id: "merge", method: http.MethodPost, preferred: "/api/repos/{name}/merge", legacy: "/api/v1/repos/merge",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "branch.merge", session: true},
		doc: doc{tag: "branches", summary: "Merge a branch into another"},
		in: input{body: mergeBody{}, required: true,
			example: `{"source_ref":"feature","target_branch":"main","strategy":"merge","commit_message":"Merge feature","author":{"name":"Ada","email":"ada@example.com"}}`},
		out:   output{answers: done(mergeAnswer{}), failure: failure{body: mergeProblem{}}, errors: writeErrors},
		write: (*server).merge,
	},
	{
		id: "listOrphans", method: http.MethodGet, preferred: "/api/repos/{name}/ephemeral/orphans", legacy: "/api/v1/repos/ephemeral/orphans",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "branches", summary: "List ephemeral branches whose base was rewritten away",
			text: "What the branch has in common with the old tip of a rewritten branch is not in the history of that branch any more, or in that of the default branch if it was deleted. " +
				"The newest 100 rewrites are looked at."},
		out:  output{answers: done(orphanList{}), errors: readErrors},
		read: (*server).listOrphans,
	},
}

// tagOperations are those about tags.
var tagOperations = []operation{
	{
		id: "listTags", method: http.MethodGet, preferred: "/api/repos/{name}/tags", legacy: "/api/v1/repos/tags",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "tags", summary: "List tags",
			text: "By name, in byte order; an annotated tag shows its commit."},
		in:   input{query: []parameter{paramCursor, paramLimit}, sample: "limit=20"},
		out:  output{answers: done(tagList{}), errors: readErrors},
		read: (*server).listTags,
	},
	{
		id: "getTag", method: http.MethodGet, preferred: "/api/repos/{name}/tag", legacy: "/api/v1/repos/tag",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "tags", summary: "Show a tag"},
		in:   input{query: []parameter{paramNameTag}, sample: "name=v1.0"},
		out:  output{answers: done(tagAnswer{}), errors: readErrors},
		read: (*server).getTag,
	},
	{
		id: "createTag", method: http.MethodPost, preferred: "/api/repos/{name}/tags", legacy: "/api/v1/repos/tags",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "tag.create", session: true},
		doc: doc{tag: "tags", summary: "Create a lightweight tag",
			text: "The older field `target` takes a full commit id only."},
		in: input{body: createTagBody{}, required: true,
			example: `{"name":"v1.0","ref":"main"}`},
		out:   output{answers: done(createdTag{}), errors: writeErrors},
		write: (*server).createTag,
	},
	{
		id: "deleteTagByBody", method: http.MethodDelete, preferred: "/api/repos/{name}/tags", legacy: "/api/v1/repos/tags",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "tag.delete", session: true},
		doc: doc{tag: "tags", summary: "Delete a tag, named in the body or the query"},
		in: input{query: []parameter{paramNameDeleted}, body: deleteTagBody{},
			example: `{"name":"v1.0"}`},
		out:   output{answers: done(deletedTag{}), errors: writeErrors},
		write: (*server).deleteTag,
	},
	{
		id: "deleteTag", method: http.MethodDelete, preferred: "/api/repos/{name}/tags/{tag}",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "tag.delete", session: true},
		doc:   doc{tag: "tags", summary: "Delete a tag"},
		out:   output{answers: done(deletedTag{}), errors: writeErrors},
		write: (*server).deleteTag,
	},
}

// noteOperations are those about Git notes.
var noteOperations = []operation{
	{
		id: "getNote", method: http.MethodGet, preferred: "/api/repos/{name}/notes", legacy: "/api/v1/repos/notes",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "notes", summary: "Read a note"},
		in:   input{query: []parameter{paramObjectRef, paramNotesRef}, sample: "object_ref=main"},
		out:  output{answers: done(noteContent{}), errors: readErrors},
		read: (*server).getNote,
	},
	{
		id: "listNotesRefs", method: http.MethodGet, preferred: "/api/repos/{name}/notes/refs", legacy: "/api/v1/repos/notes/refs",
		scope: access.GitRead, target: oneRepository,
		doc:  doc{tag: "notes", summary: "List the refs that hold notes"},
		in:   input{query: []parameter{paramPrefix, paramCursor, paramLimit}, sample: "prefix=reviews"},
		out:  output{answers: done(notesRefList{}), errors: readErrors},
		read: (*server).listNotesRefs,
	},
	{
		id: "writeNote", method: http.MethodPost, preferred: "/api/repos/{name}/notes", legacy: "/api/v1/repos/notes",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "note.write", session: true},
		doc: doc{tag: "notes", summary: "Add a note, or add to it",
			text: "Notes are never sent to an upstream."},
		in: input{body: noteBody{}, required: true,
			example: `{"object_ref":"main","action":"add","note":"Reviewed by Ada","notes_ref":"reviews"}`},
		out:   output{answers: done(noteAnswer{}), failure: noteFailures, errors: writeErrors},
		write: (*server).writeNote,
	},
	{
		id: "deleteNote", method: http.MethodDelete, preferred: "/api/repos/{name}/notes", legacy: "/api/v1/repos/notes",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "note.delete", session: true},
		doc: doc{tag: "notes", summary: "Delete a note"},
		in: input{body: deleteNoteBody{}, required: true,
			example: `{"object_ref":"main","notes_ref":"reviews"}`},
		out:   output{answers: done(noteAnswer{}), failure: noteFailures, errors: writeErrors},
		write: (*server).deleteNote,
	},
}

// archiveAnswers and fileAnswers are bytes, not JSON.
var (
	archiveAnswers = []success{{
		status: http.StatusOK, text: "The archive, as it is made. An error after its beginning cuts the connection off.",
		media: []string{"application/gzip"}, headers: []string{"X-Commit-Sha"},
	}}
	fileAnswers = []success{
		{status: http.StatusOK, text: "The bytes of the file.", media: []string{"application/octet-stream"}, headers: wholeFileHeaders},
		{
			status: http.StatusPartialContent, text: "A part of the file, or several.", media: []string{"application/octet-stream", "multipart/byteranges"},
			headers: append([]string{"Content-Range?"}, wholeFileHeaders...),
		},
		{status: http.StatusNotModified, text: "The client has this file already.", headers: []string{"ETag"}},
	}
	wholeFileHeaders = []string{"ETag", "Last-Modified?", "Accept-Ranges", "Content-Length", "X-Blob-Sha", "X-Last-Commit-Sha"}
)

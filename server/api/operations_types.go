package api

import (
	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
)

// The types here exist for the document alone: bodies of which a handler takes
// less than the type that it decodes has, or which are read and written piece by
// piece. Tests hold them against the source of the handlers and against the
// answers of a real server.

// Requests.

type createCredentialBody struct {
	RepoID       string  `json:"repo_id"`
	Username     *string `json:"username"`
	Password     string  `json:"password"`
	Provider     string  `json:"provider"`
	UpstreamHost string  `json:"upstream_host"`
}

type updateCredentialBody struct {
	Username     *string `json:"username"`
	Password     string  `json:"password"`
	Provider     string  `json:"provider"`
	UpstreamHost string  `json:"upstream_host"`
}

type legacyUpdateCredentialBody struct {
	ID string `json:"id"`
	updateCredentialBody
}

type legacyDeleteCredentialBody struct {
	ID string `json:"id"`
}

type commitPackLine struct {
	Metadata  *commitPackMetadata `json:"metadata"`
	BlobChunk *chunkBody          `json:"blob_chunk"`
}

type diffCommitLine struct {
	Metadata  *commitMetadata `json:"metadata"`
	DiffChunk *diffChunk      `json:"diff_chunk"`
}

type diffChunk struct {
	Data []byte `json:"data"`
	EOF  bool   `json:"eof"`
}

type deleteNoteBody struct {
	ObjectRef           *string     `json:"object_ref"`
	SHA                 *string     `json:"sha"`
	NotesRef            *string     `json:"notes_ref"`
	Ref                 *string     `json:"ref"`
	ExpectedNotesRefSHA *string     `json:"expected_notes_ref_sha"`
	ExpectedRefSHA      *string     `json:"expected_ref_sha"`
	Author              *personBody `json:"author"`
}

// createWebhookBody and updateWebhookBody are [webhookBody] as the two calls
// take it.
type createWebhookBody struct {
	webhookBody
}

type updateWebhookBody struct {
	webhookBody
}

// Answers.

type messageAnswer struct {
	Message string `json:"message"`
}

type fileList struct {
	Ref     string      `json:"ref"`
	Paths   []string    `json:"paths"`
	Entries []entryView `json:"entries"`
	pageFields
}

type fileMetadataList struct {
	Ref     string                           `json:"ref"`
	Files   []fileMetadataView               `json:"files"`
	Commits map[core.ObjectID]lastCommitView `json:"commits"`
	pageFields
}

type commitList struct {
	Commits []commitView `json:"commits"`
	pageFields
}

type oneCommit struct {
	Commit commitView `json:"commit"`
}

type diffFiles struct {
	Stats         statsView          `json:"stats"`
	Files         []diffFileView     `json:"files"`
	FilteredFiles []filteredFileView `json:"filtered_files"`
}

type commitDiff struct {
	SHA     core.ObjectID `json:"sha"`
	BaseSHA core.ObjectID `json:"base_sha"`
	diffFiles
}

type branchDiff struct {
	Branch       string        `json:"branch"`
	Base         string        `json:"base"`
	HeadSHA      core.ObjectID `json:"head_sha"`
	BaseSHA      core.ObjectID `json:"base_sha"`
	MergeBaseSHA core.ObjectID `json:"merge_base_sha,omitempty"`
	diffFiles
}

type blameAnswer struct {
	Ref       string          `json:"ref"`
	Path      string          `json:"path"`
	CommitSHA core.ObjectID   `json:"commit_sha"`
	Lines     []blameLineView `json:"lines"`
}

type grepResult struct {
	Query struct {
		Pattern       string `json:"pattern"`
		CaseSensitive bool   `json:"case_sensitive"`
	} `json:"query"`
	Repo struct {
		Ref    string        `json:"ref"`
		Commit core.ObjectID `json:"commit"`
	} `json:"repo"`
	Matches []grepFileView `json:"matches"`
	pageFields
}

type branchList struct {
	Branches []branchView `json:"branches"`
	pageFields
}

type branchAnswer struct {
	Branch branchView `json:"branch"`
}

type tagList struct {
	Tags []tagView `json:"tags"`
	pageFields
}

type tagAnswer struct {
	Tag tagView `json:"tag"`
}

type noteContent struct {
	SHA    core.ObjectID `json:"sha"`
	Note   string        `json:"note"`
	RefSHA core.ObjectID `json:"ref_sha"`
}

type notesRefList struct {
	Refs   []notesRefView `json:"refs"`
	Prefix string         `json:"prefix"`
	pageFields
}

type mergePreview struct {
	Status            string                 `json:"status"`
	Result            content.MergeResult    `json:"result"`
	SourceBranch      string                 `json:"source_branch"`
	SourceRef         string                 `json:"source_ref"`
	TargetBranch      string                 `json:"target_branch"`
	SourceTipSHA      core.ObjectID          `json:"source_tip_sha"`
	TargetTipSHA      core.ObjectID          `json:"target_tip_sha"`
	MergeBaseSHA      core.ObjectID          `json:"merge_base_sha,omitempty"`
	ConflictPaths     []string               `json:"conflict_paths"`
	Conflicts         []conflictView         `json:"conflicts"`
	FilteredConflicts []filteredConflictView `json:"filtered_conflicts"`
}

// mergeProblem has what a conflict tells besides; the other errors of a merge
// do not have it.
type mergeProblem struct {
	errorBody
	ConflictType  commit.Conflict `json:"conflict_type,omitempty"`
	ConflictPaths []string        `json:"conflict_paths,omitempty"`
	MergeBase     core.ObjectID   `json:"merge_base_sha,omitempty"`
}

type deletedTag struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

type providerList struct {
	Providers []ProviderStatus `json:"providers"`
}

type healthAnswer struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

type readinessAnswer struct {
	Status   string   `json:"status"`
	Problems []string `json:"problems,omitempty"`
}

// apiDocument is the document itself; what may be in it is OpenAPI's business.
type apiDocument struct {
	OpenAPI    string         `json:"openapi"`
	Info       map[string]any `json:"info"`
	Servers    []any          `json:"servers"`
	Security   []any          `json:"security"`
	Tags       []any          `json:"tags"`
	Paths      map[string]any `json:"paths"`
	Components map[string]any `json:"components"`
}

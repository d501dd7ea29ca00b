package api

import (
	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
)

// The types here exist for the document alone: they are bodies that handlers
// decode into a type of no name, or write piece by piece. Tests hold them
// against the source of the handlers and against the answers of a real server.

// Requests.

type updateRepositoryBody struct {
	DefaultBranch *string `json:"default_branch"`
}

type pullUpstreamBody struct {
	Ref string `json:"ref"`
}

type createCredentialBody struct {
	RepoID   string  `json:"repo_id"`
	Username *string `json:"username"`
	Password string  `json:"password"`
}

type updateCredentialBody struct {
	Username *string `json:"username"`
	Password string  `json:"password"`
}

type legacyUpdateCredentialBody struct {
	ID string `json:"id"`
	updateCredentialBody
}

type legacyDeleteCredentialBody struct {
	ID string `json:"id"`
}

type archiveBody struct {
	Ref          string   `json:"ref"`
	Rev          string   `json:"rev"`
	Ephemeral    bool     `json:"ephemeral"`
	IncludeGlobs []string `json:"include_globs"`
	ExcludeGlobs []string `json:"exclude_globs"`
	MaxBlobSize  int64    `json:"max_blob_size"`
	Archive      struct {
		Prefix string `json:"prefix"`
	} `json:"archive"`
}

type commitPackMetadata struct {
	commitMetadata
	Files []fileBody `json:"files"`
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

type restoreBody struct {
	Metadata restoreMetadata `json:"metadata"`
}

type restoreMetadata struct {
	commitMetadata
	BaseRef         *string `json:"base_ref"`
	TargetCommitSHA *string `json:"target_commit_sha"`
}

type createBranchBody struct {
	TargetBranch      string  `json:"target_branch"`
	BaseRef           *string `json:"base_ref"`
	BaseBranch        *string `json:"base_branch"`
	BaseIsEphemeral   bool    `json:"base_is_ephemeral"`
	TargetIsEphemeral bool    `json:"target_is_ephemeral"`
	Force             bool    `json:"force"`
}

type deleteBranchBody struct {
	TargetBranch      *string `json:"target_branch"`
	Name              *string `json:"name"`
	TargetIsEphemeral *bool   `json:"target_is_ephemeral"`
	Ephemeral         *bool   `json:"ephemeral"`
}

type mergeBody struct {
	SourceRef         *string         `json:"source_ref"`
	SourceBranch      *string         `json:"source_branch"`
	TargetBranch      string          `json:"target_branch"`
	Strategy          commit.Strategy `json:"strategy"`
	SourceIsEphemeral bool            `json:"source_is_ephemeral"`
	TargetIsEphemeral bool            `json:"target_is_ephemeral"`
	ExpectedTargetSHA string          `json:"expected_target_sha"`
	CommitMessage     string          `json:"commit_message"`
	Author            *personBody     `json:"author"`
	Committer         *personBody     `json:"committer"`
	AllowUnrelated    bool            `json:"allow_unrelated_histories"`
	Squash            bool            `json:"squash"`
}

type createTagBody struct {
	Name   string  `json:"name"`
	Ref    *string `json:"ref"`
	Target *string `json:"target"`
}

type deleteTagBody struct {
	Name string `json:"name"`
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

// Answers.

type createdRepository struct {
	repositoryView
	ID      string `json:"id"`
	Message string `json:"message"`
}

type deletedRepository struct {
	RepoID   string `json:"repo_id"`
	RepoName string `json:"repo_name"`
	URL      string `json:"url"`
	Message  string `json:"message"`
}

type messageAnswer struct {
	Message string `json:"message"`
}

// pageFields are the end of every answer that may go on.
type pageFields struct {
	NextCursor string `json:"next_cursor,omitempty"`
	HasMore    bool   `json:"has_more"`
}

type repositoryList struct {
	Repos []repositoryView `json:"repos"`
	pageFields
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

type commitResult struct {
	Commit madeView  `json:"commit"`
	Result refResult `json:"result"`
}

type commitProblem struct {
	errorBody
	Commit *struct{} `json:"commit"`
	Result refResult `json:"result"`
}

type noteProblem struct {
	errorBody
	// The names are those of the request, whatever they were.
	SHA        string        `json:"sha"`
	TargetRef  string        `json:"target_ref"`
	NotesRef   string        `json:"notes_ref"`
	BaseCommit core.ObjectID `json:"base_commit,omitempty"`
	NewRefSHA  core.ObjectID `json:"new_ref_sha"`
	Result     noteResult    `json:"result"`
}

type createdBranch struct {
	Message           string        `json:"message"`
	TargetBranch      string        `json:"target_branch"`
	TargetIsEphemeral bool          `json:"target_is_ephemeral"`
	CommitSHA         core.ObjectID `json:"commit_sha"`
}

type deletedBranch struct {
	Name         string `json:"name"`
	TargetBranch string `json:"target_branch"`
	Message      string `json:"message"`
	Ephemeral    bool   `json:"ephemeral"`
}

type mergeAnswer struct {
	Result    commit.Outcome `json:"result"`
	CommitSHA core.ObjectID  `json:"commit_sha"`
	TreeSHA   core.ObjectID  `json:"tree_sha"`
	Source    mergeSource    `json:"source"`
	Target    mergeTarget    `json:"target"`
	MergeBase core.ObjectID  `json:"merge_base_sha,omitempty"`
	Promoted  int            `json:"promoted_commits"`
}

// mergeProblem has what a conflict tells besides; the other errors of a merge
// do not have it.
type mergeProblem struct {
	errorBody
	ConflictType  commit.Conflict `json:"conflict_type,omitempty"`
	ConflictPaths []string        `json:"conflict_paths,omitempty"`
	MergeBase     core.ObjectID   `json:"merge_base_sha,omitempty"`
}

type createdTag struct {
	Name    string        `json:"name"`
	SHA     core.ObjectID `json:"sha"`
	Message string        `json:"message"`
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
	Status string `json:"status"`
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

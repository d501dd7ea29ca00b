package apispec_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/apispec"
)

// sdkCall is how the published Python and Go clients read a success of one
// operation: what the stricter of the two demands. TypeScript's runs as it is,
// in other tests.
type sdkCall struct {
	status int // the only one that Python takes for a success; 0: any 2xx
	// fields must be there, and of their type, or Python raises KeyError and Go
	// an error of its decoder: "a.b" below an object, "a[].b" in each of a list,
	// "a{}.b" in each value of an object; ":n", ":b" and ":l" are numbers,
	// booleans and lists, others are texts.
	fields string
	times  string // of those, the ones that Python parses
}

const (
	sdkCommit = "sha parent_shas:l message author_name author_email committer_name committer_email date"
	sdkDiff   = " stats.files:n stats.additions:n stats.deletions:n stats.changes:n files[].path files[].state files[].raw files[].bytes:n files[].is_eof:b" +
		" filtered_files[].path filtered_files[].state filtered_files[].bytes:n filtered_files[].is_eof:b"
	sdkMade = "commit.commit_sha commit.tree_sha commit.target_branch commit.pack_bytes:n result.branch result.target_branch result.old_sha result.new_sha result.success:b result.status"
	sdkNote = "sha target_ref notes_ref new_ref_sha result.success:b result.status"
)

// below puts a prefix before each field.
func below(prefix, fields string) string {
	return prefix + strings.Join(strings.Fields(fields), " "+prefix)
}

var sdkCalls = map[string]sdkCall{
	"createRepository":  {},
	"listRepositories":  {fields: "repos[].repo_id repos[].repo_name repos[].url repos[].default_branch repos[].created_at has_more:b", times: "repos[].created_at"},
	"getRepository":     {fields: "default_branch created_at", times: "created_at"},
	"updateRepository":  {status: 200, fields: "repo_id repo_name url default_branch created_at", times: "created_at"},
	"deleteRepository":  {fields: "repo_id message"},
	"createCredential":  {fields: "id"},
	"updateCredential":  {fields: "id created_at", times: "created_at"},
	"deleteCredential":  {},
	"getFile":           {},
	"headFile":          {},
	"getArchive":        {},
	"listFiles":         {fields: "ref paths:l entries[].path entries[].type entries[].mode has_more:b"},
	"listFilesMetadata": {fields: "ref files[].path files[].mode files[].size:n files[].last_commit_sha commits{}.author commits{}.date commits{}.message has_more:b", times: "commits{}.date"},
	"getBlame": {
		fields: "ref path commit_sha lines[].line_number:n lines[].original_line_number:n " + below("lines[].", "commit_sha original_path author_name author_email author_time committer_name committer_email committer_time summary"),
		times:  "lines[].author_time lines[].committer_time",
	},
	"grep":                 {fields: "query.pattern query.case_sensitive:b repo.ref repo.commit matches[].path matches[].lines[].line_number:n matches[].lines[].text matches[].lines[].type has_more:b"},
	"listBranches":         {fields: "branches[].cursor branches[].name branches[].head_sha branches[].created_at has_more:b", times: "branches[].created_at"},
	"getBranch":            {fields: "branch.name branch.head_sha branch.created_at", times: "branch.created_at"},
	"createBranch":         {status: 200, fields: "message target_branch target_is_ephemeral:b commit_sha"},
	"deleteBranch":         {status: 200, fields: "name target_branch message ephemeral:b"},
	"getBranchDiff":        {fields: "branch base" + sdkDiff},
	"getCommitDiff":        {fields: "sha" + sdkDiff},
	"merge":                {status: 200, fields: "result commit_sha tree_sha source.ref source.branch source.ephemeral:b source.sha target.branch target.ephemeral:b target.old_sha target.new_sha promoted_commits:n"},
	"previewMerge":         {status: 200, fields: "status result source_branch target_branch source_tip_sha target_tip_sha conflict_paths:l conflicts:l filtered_conflicts:l"},
	"listTags":             {fields: "tags[].cursor tags[].name tags[].sha has_more:b"},
	"getTag":               {fields: "tag.name tag.sha"},
	"createTag":            {status: 200, fields: "name sha message"},
	"deleteTag":            {status: 200, fields: "name message"},
	"deleteTagByBody":      {status: 200, fields: "name message"},
	"listCommits":          {fields: below("commits[].", sdkCommit) + " has_more:b", times: "commits[].date"},
	"getCommit":            {fields: below("commit.", sdkCommit), times: "commit.date"},
	"createCommit":         {fields: sdkMade + " commit.blob_count:n"},
	"createCommitFromDiff": {fields: sdkMade + " commit.blob_count:n"},
	"restoreCommit":        {fields: sdkMade},
	"resetCommits":         {fields: sdkMade},
	"getNote":              {fields: "sha note ref_sha"},
	"writeNote":            {fields: sdkNote},
	"deleteNote":           {fields: sdkNote},
	"listNotesRefs":        {fields: "refs[].cursor refs[].ref refs[].sha has_more:b prefix"},
	"pullUpstream":         {status: 202},
	"detachUpstream":       {fields: "message"},
}

// sdkReads reports what of an answer to an operation the clients could not read.
func sdkReads(op string, status int, body []byte) error {
	call, known := sdkCalls[op]
	if !known {
		return nil // ours alone
	}
	var value any
	if status >= 200 && status < 300 {
		if call.status != 0 && status != call.status {
			return fmt.Errorf("the clients take %d alone for a success, not %d", call.status, status)
		}
		if call.fields == "" {
			return nil
		}
		if err := json.Unmarshal(body, &value); err != nil {
			return err
		}
		for field := range strings.FieldsSeq(call.fields) {
			path, kind, _ := strings.Cut(field, ":")
			if err := visit(value, path, func(at any) error { return isOf(at, kind) }); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		for path := range strings.FieldsSeq(call.times) {
			if err := visit(value, path, fromISOFormat); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	}
	if status < 400 || len(body) == 0 {
		return nil // conditional requests, HEAD
	}
	return sdkFailure(op, body)
}

// sdkFailure reports why the clients would not find the reason of a failure.
func sdkFailure(op string, body []byte) error {
	var failure struct {
		Error   *string `json:"error"`
		Message *string `json:"message"` // Python takes this one first
		Result  *struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Success *bool  `json:"success"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &failure); err != nil {
		return fmt.Errorf("the clients decode every failure as JSON: %w", err)
	}
	switch op {
	case "createCommit", "createCommitFromDiff", "restoreCommit", "resetCommits", "writeNote", "deleteNote":
		if failure.Result == nil || failure.Result.Status == "" || failure.Result.Message == "" || failure.Result.Success == nil || *failure.Result.Success {
			return fmt.Errorf("the failure has no result with a status and a message")
		}
		if strings.HasSuffix(op, "Note") && failure.Error != nil {
			return fmt.Errorf("the Python client would read \"error\" instead of the result")
		}
	default:
		if failure.Message != nil || failure.Error == nil || strings.TrimSpace(*failure.Error) == "" {
			return fmt.Errorf("the failure has no text in \"error\"")
		}
	}
	return nil
}

// visit calls f for every value at a path; see sdkCall.
func visit(value any, path string, f func(any) error) error {
	if path == "" {
		return f(value)
	}
	name, rest, _ := strings.Cut(path, ".")
	key, each := strings.CutSuffix(name, "[]")
	key, values := strings.CutSuffix(key, "{}")
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%q is not in an object", key)
	}
	at, ok := object[key]
	if !ok {
		return fmt.Errorf("%q is missing", key)
	}
	switch {
	case each:
		list, ok := at.([]any)
		if !ok {
			return fmt.Errorf("%q is not a list", key)
		}
		for _, item := range list {
			if err := visit(item, rest, f); err != nil {
				return err
			}
		}
		return nil
	case values:
		all, ok := at.(map[string]any)
		if !ok {
			return fmt.Errorf("%q is not an object", key)
		}
		for _, item := range all {
			if err := visit(item, rest, f); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(at, rest, f)
}

func isOf(value any, kind string) error {
	var ok bool
	switch kind {
	case "n":
		_, ok = value.(float64)
	case "b":
		_, ok = value.(bool)
	case "l":
		_, ok = value.([]any)
	default:
		_, ok = value.(string)
	}
	if !ok {
		return fmt.Errorf("%#v is of another type", value)
	}
	return nil
}

// isoFormat is what datetime.fromisoformat reads in Python 3.9 and 3.10, of the years
// since 1000: nothing that it takes was refused by Python 3.9.2, in 200,000 tries.
var isoFormat = regexp.MustCompile(`^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?[+-]([01]\d|2[0-3]):\d\d$`)

// fromISOFormat reports whether the Python client can read a time. It puts
// "+00:00" in the place of a "Z" first.
func fromISOFormat(value any) error {
	text, _ := value.(string)
	if !isoFormat.MatchString(strings.ReplaceAll(text, "Z", "+00:00")) {
		return fmt.Errorf("Python cannot read the time %q", text)
	}
	return nil
}

func TestSDKReads_refusesWhatTheClientsDo(t *testing.T) {
	t.Parallel()
	branch := `{"branches":[{"cursor":"c","name":"n","head_sha":"1","created_at":%q}],"has_more":false}`
	for _, tt := range []struct {
		op, body string
		status   int
		want     string // "": it can be read
	}{
		{"createBranch", `{"message":"m","target_branch":"b","target_is_ephemeral":false,"commit_sha":"1"}`, http.StatusOK, ""},
		{"createBranch", `{"message":"m","target_branch":"b","target_is_ephemeral":false,"commit_sha":"1"}`, http.StatusCreated, "200 alone"},
		{"createTag", `{"name":"n","sha":"1"}`, http.StatusOK, `"message" is missing`},
		{"listBranches", fmt.Sprintf(branch, "2026-01-02T03:04:05Z"), http.StatusOK, ""},
		{"listBranches", fmt.Sprintf(branch, "2026-01-02T03:04:05.123456-07:00"), http.StatusOK, ""},
		{"listBranches", fmt.Sprintf(branch, "2026-01-02T03:04:05.123456789Z"), http.StatusOK, "cannot read"},
		{"listBranches", fmt.Sprintf(branch, "2026-01-02T03:04:05.1Z"), http.StatusOK, "cannot read"},
		{"listBranches", `{"branches":null,"has_more":false}`, http.StatusOK, "not a list"},
		{"listFilesMetadata", `{"ref":"r","files":[],"commits":{"1":{"author":"a","date":7,"message":"m"}},"has_more":false}`, http.StatusOK, "another type"},
		{"pullUpstream", `{}`, http.StatusOK, "202 alone"},
		{"writeNote", `{"error":"e","result":{"status":"conflict","message":"m","success":false}}`, http.StatusConflict, "error"},
		{"writeNote", `{"result":{"status":"conflict","message":"m","success":false}}`, http.StatusConflict, ""},
		{"createCommit", `{"error":"e"}`, http.StatusConflict, "no result"},
		{"restoreCommit", `oops`, http.StatusBadGateway, "JSON"},
		{"merge", `{"detail":"e"}`, http.StatusConflict, "no text"},
	} {
		requireError(t, sdkReads(tt.op, tt.status, []byte(tt.body)), tt.want)
	}
}

// ours are nouns and verbs of operations that have a route of the older form and that
// the clients do not know.
var ours = regexp.MustCompile(`Webhook|Deliver|Rewrite|Audit|Setting|Sync|Token|Revocation|Key|Orphans|LFS|^(ensure|attachUpstream|repointUpstream|(pause|resume|rebuild)Repository|listEvents|getOrganisation)$|^redeliver`)

// requireKnown checks that every operation of the clients is one of the document, and
// that every one with a route of the older form, which the clients were published with,
// is held to how they read it.
func requireKnown(t *testing.T, spec *apispec.Spec) {
	t.Helper()
	for op := range sdkCalls {
		_, path := spec.Route(op)
		require.NotEmpty(t, path, op)
	}
	for _, id := range spec.Operations() {
		op, legacy := strings.CutSuffix(id, "Legacy")
		_, known := sdkCalls[op]
		require.False(t, legacy && !known && !ours.MatchString(op), "no client is known to read %s", op)
		require.False(t, known && ours.MatchString(op), op)
	}
}

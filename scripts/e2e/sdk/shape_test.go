//go:build npm

package sdk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shapes are the answers that published clients accept, in the notation
//
//	{name:TYPE,name?:TYPE,*:TYPE}   an object; ? may be absent; * is every name
//	[TYPE]                          a list
//	TYPE|null                       may be null; without that, it must not
//	s n b                           string, number, boolean
//	id                              a full object id
//	time                            a time that JavaScript parses
//	a/b/c                           one of these words
//
// Fields that are not named do not matter, as for those clients. Both
// vocabularies are in them: the SDK of today reads the older names, the next one
// prefers the newer ones.
func shapes() map[string]string {
	const (
		page      = "next_cursor?:s|null,has_more:b"
		entryType = "blob/tree/symlink/submodule"
		commit    = "{sha:id,parent_shas:[id],message:s,author_name:s,author_email:s,committer_name:s,committer_email:s,date:time,signature?:s,payload?:s}"
		stats     = "stats:{files:n,additions:n,deletions:n,changes:n}"
		diffFile  = "path:s,state:s,old_path?:s|null,bytes:n,is_eof:b"
		diffs     = stats + ",files:[{" + diffFile + ",raw:s,additions?:n,deletions?:n}],filtered_files:[{" + diffFile + "}]"
		repo      = "{repo_id:s,url:s,repo_name:s,default_branch:s,created_at:time,base_repo?:{provider:s,owner:s,name:s}|null}"
		result    = "result:{branch:s,target_branch:s,old_sha:id,new_sha:id,success:b,status:ok,message?:s}"
		made      = "commit_sha:id,tree_sha:id,target_branch:s,pack_bytes:n"
		problem   = "error:s,status:n,title:s,type:s,detail:s"
		blob      = "{oid?:s,content?:s,truncated:b,binary:b}"
	)
	return map[string]string{
		"error":         "{" + problem + "}",
		"failed commit": "{" + problem + ",commit:{}|null,result:{branch:s,target_branch:s,old_sha:s,new_sha:s,success:b,status:precondition_failed/conflict/not_found/invalid/timeout/unauthorized/forbidden/unavailable/internal/failed,message:s}}",
		"failed merge":  "{" + problem + ",conflict_type:merge_conflict/target_moved/repo_changed,conflict_paths:[s],merge_base_sha?:id}",
		"failed note":   "{" + strings.TrimPrefix(problem, "error:s,") + ",sha:s,target_ref:s,notes_ref:s,new_ref_sha:s,result:{success:b,status:s,message:s}}",
		"message":       "{message:s}",
		"created repo":  "{repo_id:s,repo_name:s,url:s,http_url:s,message:s}",
		"repo":          repo,
		"repos":         "{repos:[" + repo + "]," + page + "}",
		"files":         "{paths:[s],ref:s,entries:[{path:s,type:" + entryType + ",mode:s}]," + page + "}",
		"metadata":      "{files:[{path:s,mode:s,size:n,last_commit_sha:id,type?:" + entryType + "}],commits:{*:{author:s,date:time,message:s}},ref:s," + page + "}",
		"branches":      "{branches:[{cursor:s,name:s,head_sha:id,created_at:time}]," + page + "}",
		"branch":        "{branch:{name:s,head_sha:id,created_at:time}}",
		"new branch":    "{message:s,target_branch:s,target_is_ephemeral:b,commit_sha?:id|null}",
		"no branch":     "{name:s,target_branch:s,message:s,ephemeral?:b}",
		"tags":          "{tags:[{cursor:s,name:s,sha:id}]," + page + "}",
		"tag":           "{tag:{name:s,sha:id}}",
		"new tag":       "{name:s,sha:id,message:s}",
		"no tag":        "{name:s,message:s}",
		"commits":       "{commits:[" + commit + "]," + page + "}",
		"commit":        "{commit:" + commit + "}",
		"commit diff":   "{sha:id,base_sha:s,merge_base_sha?:s," + diffs + "}",
		"branch diff":   "{branch:s,base:s,merge_base_sha?:s," + diffs + "}",
		"blame": "{ref:s,path:s,commit_sha:id,lines:[{line_number:n,commit_sha:id,original_line_number:n,original_path:s,previous_commit_sha?:id,author_name:s,author_email:s," +
			"author_time:time,committer_name:s,committer_email:s,committer_time:time,summary:s}]}",
		"grep":       "{query:{pattern:s,case_sensitive:b},repo:{ref:s,commit:id},matches:[{path:s,lines:[{line_number:n,text:s,type:match/context}]}]," + page + "}",
		"made":       "{commit:{" + made + ",blob_count:n}," + result + "}",
		"restored":   "{commit:{" + made + "}," + result + "}",
		"note":       "{sha:id,note:s,ref_sha:id}",
		"new note":   "{sha:id,target_ref:s,notes_ref:s,base_commit?:id,new_ref_sha:id,result:{success:b,status:ok,message?:s}}",
		"notes refs": "{refs:[{cursor:s,ref:s,sha:id}]," + page + ",prefix:s}",
		"merge": "{result:merge_commit/fast_forward/no_op/squash,commit_sha:id,tree_sha:id,source:{branch:s,ref:s,ephemeral:b,sha:id}," +
			"target:{branch:s,ephemeral:b,old_sha:id,new_sha:id},merge_base_sha?:id,promoted_commits:n}",
		"preview": "{status:clean/conflicted,result:merge_commit/fast_forward/no_op,source_branch:s,target_branch:s,source_tip_sha:id,target_tip_sha:id,merge_base_sha?:id," +
			"conflict_paths:[s],conflicts:[{path:s,result:" + blob + ",base:" + blob + ",ours:" + blob + ",theirs:" + blob + "}],filtered_conflicts:[{path:s,reason:s}]}",
		"credential": "{id:s,created_at:time}",
	}
}

var objectID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// shape reads the notation from its beginning and compares it with a value.
type shape struct{ rest string }

func (s *shape) take(token string) bool {
	rest, ok := strings.CutPrefix(s.rest, token)
	if ok {
		s.rest = rest
	}
	return ok
}

// word takes everything before one of the signs.
func (s *shape) word() string {
	end := strings.IndexAny(s.rest, "{}[],:?|")
	if end < 0 {
		end = len(s.rest)
	}
	word := s.rest[:end]
	s.rest = s.rest[end:]
	return word
}

// matches compares a value with the type that comes next, and takes the type.
// With skip there is no value, and the type is only taken. It panics on a shape
// that is written wrong.
func (s *shape) matches(at string, value any, skip bool) error {
	var err error
	switch {
	case s.take("["):
		element := s.rest
		list, ok := value.([]any)
		if !skip && !ok && value != nil {
			err = fmt.Errorf("%s is no list: %v", at, value)
		}
		for i, item := range list {
			s.rest = element
			if err = s.matches(fmt.Sprintf("%s[%d]", at, i), item, false); err != nil {
				break
			}
		}
		s.rest = element
		_ = s.matches(at, nil, true) // nothing is compared
		s.need("]")
	case s.take("{"):
		err = s.object(at, value, skip)
	default:
		err = scalar(at, s.word(), value, skip)
	}
	if s.take("|null") && value == nil {
		return nil
	}
	if err == nil && !skip && value == nil {
		return fmt.Errorf("%s is null", at)
	}
	return err
}

func (s *shape) object(at string, value any, skip bool) error {
	object, ok := value.(map[string]any)
	var err error
	if !skip && !ok {
		skip, err = true, fmt.Errorf("%s is no object: %v", at, value)
	}
	for !s.take("}") {
		s.take(",")
		name := s.word()
		optional := s.take("?")
		s.need(":")
		fields := map[string]any{}
		if field, there := object[name]; there {
			fields[name] = field
		} else if name == "*" {
			fields, optional = object, true
		}
		if len(fields) == 0 && !optional && !skip && err == nil {
			err = fmt.Errorf("%s has no field %q", at, name)
		}
		of := s.rest
		for name, field := range fields {
			s.rest = of
			if found := s.matches(at+"."+name, field, skip); found != nil && err == nil {
				err = found
			}
		}
		s.rest = of
		_ = s.matches(at, nil, true)
	}
	return err
}

func (s *shape) need(token string) {
	if !s.take(token) {
		panic(fmt.Sprintf("a shape is written wrong: %q is missing before %q", token, s.rest))
	}
}

func scalar(at, kind string, value any, skip bool) error {
	if skip || value == nil {
		return nil
	}
	text, isText := value.(string)
	var ok bool
	switch kind {
	case "s":
		ok = isText
	case "n":
		_, ok = value.(float64)
	case "b":
		_, ok = value.(bool)
	case "id":
		ok = isText && objectID.MatchString(text)
	case "time":
		_, err := time.Parse(time.RFC3339, text)
		ok = isText && err == nil
	default:
		ok = isText && slices.Contains(strings.Split(kind, "/"), text)
	}
	if !ok {
		return fmt.Errorf("%s is not of type %s: %v", at, kind, value)
	}
	return nil
}

// requireShape compares an answer with one of the shapes.
func requireShape(t *testing.T, name string, body any) {
	t.Helper()
	text, ok := shapes()[name]
	require.True(t, ok, "no shape %q", name)
	s := &shape{text}
	require.NoError(t, s.matches(name, body, false), "%v", body)
	require.Empty(t, s.rest)
}

func TestShape_matches_findsWhatClientsRefuse(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	good := func() m {
		return m{"branches": []any{m{"cursor": "a", "name": "main", "head_sha": strings.Repeat("a", 40), "created_at": "2026-01-02T03:04:05Z"}}, "next_cursor": nil, "has_more": false}
	}
	requireShape(t, "branches", good())
	for name, spoil := range map[string]func(m){
		"a list that is null":    func(v m) { v["branches"] = nil },
		"a field that is gone":   func(v m) { delete(v, "has_more") },
		"a field that is null":   func(v m) { v["has_more"] = nil },
		"a word for a boolean":   func(v m) { v["has_more"] = "false" },
		"a number for a cursor":  func(v m) { v["next_cursor"] = 1.0 },
		"a short id":             func(v m) { v["branches"].([]any)[0].(m)["head_sha"] = "abc" },
		"a time of another kind": func(v m) { v["branches"].([]any)[0].(m)["created_at"] = "yesterday" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := good()
			spoil(v)
			require.Error(t, (&shape{shapes()["branches"]}).matches("branches", v, false))
		})
	}
}

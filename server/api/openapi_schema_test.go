package api

import (
	"cmp"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/providers"
)

// schemaSet makes component schemas of Go types, by their json tags: what a
// handler encodes is what the document says.
type schemaSet struct {
	components openapi3.Schemas
	types      map[string]reflect.Type // by component
	noted      map[string]bool         // fields that were found, of fieldNotes and required
	problems   []string                // contradictions in the tables
}

func newSchemaSet() *schemaSet {
	return &schemaSet{components: openapi3.Schemas{}, types: map[string]reflect.Type{}, noted: map[string]bool{}}
}

// direction says whether a type is decoded or encoded: a decoder demands
// nothing, while an encoder leaves out no field but those with omitempty.
type direction bool

const (
	decoded direction = false
	encoded direction = true
)

// request returns the schema of a body that is decoded into the type of value.
func (s *schemaSet) request(value any) *openapi3.SchemaRef {
	return s.of(reflect.TypeOf(value), decoded, "")
}

// answer returns the schema of a value that is encoded.
func (s *schemaSet) answer(value any) *openapi3.SchemaRef {
	return s.of(reflect.TypeOf(value), encoded, "")
}

// componentNames are the names of types that have a better one than their own.
var componentNames = map[reflect.Type]string{
	reflect.TypeFor[core.ObjectID]():        "ObjectID",
	reflect.TypeFor[core.Kind]():            "ErrorCode",
	reflect.TypeFor[core.ErrorClass]():      "SyncErrorClass",
	reflect.TypeFor[syncStateWord]():        "SyncState",
	reflect.TypeFor[commit.Strategy]():      "MergeStrategy",
	reflect.TypeFor[commit.Outcome]():       "MergeOutcome",
	reflect.TypeFor[commit.Conflict]():      "MergeConflictType",
	reflect.TypeFor[core.Progress]():        "SyncProgress",
	reflect.TypeFor[runView]():              "SyncRun",
	reflect.TypeFor[auditView]():            "AuditEntry",
	reflect.TypeFor[actorView]():            "AuditActor",
	reflect.TypeFor[refMovedView]():         "AuditUpdate",
	reflect.TypeFor[core.Outcome]():         "AuditOutcome",
	reflect.TypeFor[errorBody]():            "Problem",
	reflect.TypeFor[notHereBody]():          "EnsureProblem",
	reflect.TypeFor[baseRepo]():             "BaseRepoRequest",
	reflect.TypeFor[linkBody]():             "LinkRepositoryRequest",
	reflect.TypeFor[linkedAnswer]():         "LinkedRepository",
	reflect.TypeFor[createBody]():           "CreateRepositoryRequest",
	reflect.TypeFor[personBody]():           "Person",
	reflect.TypeFor[fileBody]():             "FileChange",
	reflect.TypeFor[chunkBody]():            "BlobChunk",
	reflect.TypeFor[content.MergeResult]():  "MergePreviewResult",
	reflect.TypeFor[madeView]():             "MadeCommit",
	reflect.TypeFor[statsView]():            "DiffStats",
	reflect.TypeFor[filteredFileView]():     "FilteredDiffFile",
	reflect.TypeFor[entryView]():            "TreeEntry",
	reflect.TypeFor[grepFileView]():         "GrepMatch",
	reflect.TypeFor[grepBody]():             "GrepRequest",
	reflect.TypeFor[conflictView]():         "MergeConflict",
	reflect.TypeFor[content.EntryType]():    "EntryType",
	reflect.TypeFor[core.FreshnessPolicy](): "FreshnessPolicy",
	reflect.TypeFor[core.LFSMode]():         "LFSMode",
	reflect.TypeFor[core.LFSPolicy]():       "LFSPolicy",
	reflect.TypeFor[core.RefAction]():       "RefAction",
	reflect.TypeFor[upstreamWord]():         "UpstreamState",
	reflect.TypeFor[identityView]():         "UpstreamIdentity",
	reflect.TypeFor[identityWord]():         "UpstreamIdentityState",
	reflect.TypeFor[core.DeliveryState]():   "DeliveryState",
	reflect.TypeFor[webhookState]():         "WebhookState",
	reflect.TypeFor[damageView]():           "Damage",
	reflect.TypeFor[core.DamageState]():     "DamageState",
}

// enums are the types that have a few words only.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[core.Kind](): wordsOf(core.Kinds()...),
	reflect.TypeFor[core.ErrorClass](): wordsOf(core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRateLimited,
		core.ClassNetwork, core.ClassTimeout, core.ClassTooLarge, core.ClassRefused, core.ClassDiverged, core.ClassCorrupt, core.ClassUnavailable, core.ClassResource, core.ClassInternal),
	reflect.TypeFor[core.FreshnessPolicy](): wordsOf(core.FreshUnset, core.FreshServe, core.FreshRevalidate, core.FreshFail),
	reflect.TypeFor[core.LFSPolicy]():       wordsOf(core.LFSPolicyUnset, core.LFSFollow, core.LFSHold),
	reflect.TypeFor[core.LFSMode]():         wordsOf(core.LFSUnset, core.LFSOff, core.LFSOnDemand, core.LFSMirror),
	reflect.TypeFor[core.RefAction]():       wordsOf(core.RefFollow, core.RefFollowRetain, core.RefHold, core.RefFreeze),
	reflect.TypeFor[upstreamWord]():         wordsOf(upstreamActive, upstreamArchived, upstreamPrivate, upstreamRevoked, upstreamSuspended, upstreamDeleted, upstreamReplaced),
	reflect.TypeFor[identityWord]():         wordsOf(identityConfirmed, identityUnchecked, identityUnconfirmed, identityUnavailable),
	reflect.TypeFor[core.DeliveryState]():   wordsOf(core.DeliveryPending, core.DeliveryDelivered, core.DeliveryFailed, core.DeliveryCancelled),
	reflect.TypeFor[webhookState]():         wordsOf(webhookActive, webhookFailing, webhookInactive),
	reflect.TypeFor[core.InboundState]():    wordsOf(core.InboundNone, core.InboundActive, core.InboundFailing),
	reflect.TypeFor[core.Outcome]():         wordsOf(core.OutcomeOK, core.OutcomePartial, core.OutcomeRefused, core.OutcomeFailed),
	reflect.TypeFor[syncStateWord]():        wordsOf(syncPending, syncSyncing, syncReady, syncFailing, syncPaused, syncHeld, syncUnconfirmed, syncRebuilding, syncWaiting),
	reflect.TypeFor[core.DamageState]():     wordsOf(core.DamageRebuilding, core.DamageWaiting, core.DamageLost, core.DamagePartial, core.DamageRebuilt, core.DamageGone),
	reflect.TypeFor[content.EntryType]():    wordsOf(content.TypeBlob, content.TypeTree, content.TypeSymlink, content.TypeSubmodule),
	reflect.TypeFor[content.MergeResult]():  wordsOf(content.MergeCommit, content.FastForward, content.NoOp),
	reflect.TypeFor[commit.Strategy]():      wordsOf(commit.StrategyMerge, commit.StrategyFastForwardOnly, commit.StrategyPreferFastForward),
	reflect.TypeFor[commit.Outcome]():       wordsOf(commit.OutcomeMergeCommit, commit.OutcomeFastForward, commit.OutcomeNothing, commit.OutcomeSquash),
	reflect.TypeFor[commit.Conflict]():      wordsOf(commit.ConflictContent, commit.ConflictMoved),
}

func wordsOf[T ~string](list ...T) []string {
	out := make([]string, len(list))
	for i, word := range list {
		out[i] = string(word)
	}
	return out
}

// of returns the schema of a type. Where names an inline schema, for notes.
func (s *schemaSet) of(t reflect.Type, d direction, where string) *openapi3.SchemaRef {
	switch t {
	case reflect.TypeFor[time.Time]():
		s.problems = append(s.problems, "a bare time.Time at "+where+": clients cannot read its nine digits, use core.Timestamp")
		return openapi3.NewSchema().NewRef()
	case reflect.TypeFor[core.Timestamp]():
		return openapi3.NewDateTimeSchema().NewRef()
	case reflect.TypeFor[duration]():
		schema := openapi3.NewStringSchema()
		schema.Description = "A duration with its unit, like `5s`, `720h` or `30d`; empty is the default."
		return schema.NewRef()
	case reflect.TypeFor[json.RawMessage]():
		return openapi3.NewObjectSchema().NewRef()
	case reflect.TypeFor[providers.Secret]():
		return openapi3.NewStringSchema().WithFormat("password").NewRef()
	case reflect.TypeFor[core.ObjectID]():
		return s.component(t, func() *openapi3.SchemaRef {
			schema := openapi3.NewStringSchema().WithPattern("^([0-9a-f]{40}|[0-9a-f]{64})?$")
			schema.Description = "The id of a Git object in full; zeros or \"\" where there is none."
			return schema.NewRef()
		})
	}
	if list, ok := enums[t]; ok {
		return s.component(t, func() *openapi3.SchemaRef { return openapi3.NewStringSchema().WithEnum(enumOf(list)...).NewRef() })
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), d, where)
	case reflect.Interface:
		return openapi3.NewSchema().NewRef()
	case reflect.String:
		return openapi3.NewStringSchema().NewRef()
	case reflect.Bool:
		return openapi3.NewBoolSchema().NewRef()
	case reflect.Int64:
		return openapi3.NewInt64Schema().NewRef()
	case reflect.Int, reflect.Int32:
		return openapi3.NewIntegerSchema().NewRef()
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			schema := openapi3.NewStringSchema()
			schema.ContentEncoding = "base64"
			return schema.NewRef()
		}
		schema := openapi3.NewArraySchema()
		schema.Items = s.of(t.Elem(), d, where)
		return schema.NewRef()
	case reflect.Map:
		schema := openapi3.NewObjectSchema()
		schema.AdditionalProperties = openapi3.AdditionalProperties{Schema: s.of(t.Elem(), d, where)}
		return schema.NewRef()
	case reflect.Struct:
		if t.Name() == "" {
			return s.structure(t, d, where)
		}
		return s.component(t, func() *openapi3.SchemaRef { return s.structure(t, d, nameOf(t)) })
	}
	s.problems = append(s.problems, "no schema for the type "+t.String())
	return openapi3.NewSchema().NewRef()
}

// schemasPrefix is what references to schemas begin with.
const schemasPrefix = "#/components/schemas/"

// componentOf returns the name of the component that a reference is to; "" if
// the schema stands where it is used.
func componentOf(schema *openapi3.SchemaRef) string {
	return strings.TrimPrefix(schema.Ref, schemasPrefix)
}

// component returns a reference to the schema of a named type.
func (s *schemaSet) component(t reflect.Type, build func() *openapi3.SchemaRef) *openapi3.SchemaRef {
	name := nameOf(t)
	if other, ok := s.types[name]; !ok {
		s.types[name] = t
		s.components[name] = build()
	} else if other != t {
		s.problems = append(s.problems, "two types have the name "+name)
	}
	return &openapi3.SchemaRef{Ref: schemasPrefix + name}
}

// nameOf returns the name of the component of a type.
func nameOf(t reflect.Type) string {
	if name, ok := componentNames[t]; ok {
		return name
	}
	name := strings.TrimSuffix(t.Name(), "View")
	if bare, ok := strings.CutSuffix(name, "Body"); ok {
		name = bare + "Request"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// structure is the schema of a struct; embedded structs are part of it. Notes
// on a field are found under the name of the struct that declares it.
func (s *schemaSet) structure(t reflect.Type, d direction, where string) *openapi3.SchemaRef {
	o := openapi3.NewObjectSchema()
	o.Properties = openapi3.Schemas{}
	var walk func(t reflect.Type, declared string)
	walk = func(t reflect.Type, declared string) {
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Anonymous && name == "" {
				walk(field.Type, nameOf(field.Type))
				continue
			}
			schema := s.of(field.Type, d, declared+"."+name)
			absent := strings.Contains(options, "omitempty")
			if d == encoded && field.Type.Kind() == reflect.Pointer && !absent {
				// The only such fields are always null.
				schema = (&openapi3.Schema{Type: &openapi3.Types{openapi3.TypeNull}}).NewRef()
			}
			o.Properties[name] = s.note(declared+"."+name, schema)
			if d == encoded && !absent {
				o.Required = append(o.Required, name)
			}
		}
	}
	walk(t, where)
	for _, name := range requiredFields[where] {
		s.noted[where] = true
		if o.Properties[name] == nil {
			s.problems = append(s.problems, "required field "+where+"."+name+" does not exist")
		}
		o.Required = append(o.Required, name)
	}
	return o.NewRef()
}

// note adds what the tables say about a field.
func (s *schemaSet) note(field string, schema *openapi3.SchemaRef) *openapi3.SchemaRef {
	var text string
	var words []string
	if newer, ok := olderNames[field]; ok {
		s.noted[field] = true
		text = "Older name of `" + newer + "`, which wins."
	}
	if n, ok := fieldNotes[field]; ok {
		s.noted[field] = true
		text, words = cmp.Or(n.text, text), n.words
	}
	switch {
	case text == "" && words == nil:
	case schema.Ref == "":
		schema.Value.Description = cmp.Or(text, schema.Value.Description)
		if words != nil {
			schema.Value.WithEnum(enumOf(words)...)
		}
	case words != nil:
		s.problems = append(s.problems, "the words of "+field+" are those of its type")
	default:
		// What stands beside a reference can only be read, not set.
		text, err := json.Marshal(map[string]string{"$ref": schema.Ref, "description": text})
		if err == nil {
			schema = &openapi3.SchemaRef{}
			err = schema.UnmarshalJSON(text)
		}
		if err != nil {
			s.problems = append(s.problems, err.Error())
		}
	}
	return schema
}

// enumOf returns words as values of an enum.
func enumOf(words []string) []any {
	out := make([]any, len(words))
	for i, word := range words {
		out[i] = word
	}
	return out
}

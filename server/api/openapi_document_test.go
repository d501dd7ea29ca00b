package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// document is an OpenAPI 3.1 document in the making. What operations share is
// a component, so that the two routes of an operation differ in nothing but
// their path, their name and their tag.
type document struct {
	root    *openapi3.T
	schemas *schemaSet
}

// newDocument builds the document from the operations.
func newDocument(t *testing.T) *document {
	t.Helper()
	d := &document{schemas: newSchemaSet()}
	d.root = &openapi3.T{
		OpenAPI: "3.1.0",
		Info: &openapi3.Info{
			Title: "Headwater", Version: documentVersion, Description: overview,
			License: &openapi3.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers:  openapi3.Servers{{URL: "/", Description: "The server that this document comes from"}},
		Security: openapi3.SecurityRequirements{{"bearer": {}}},
		Tags:     tags,
		Paths:    openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: d.schemas.components, Parameters: openapi3.ParametersMap{}, Responses: openapi3.ResponseBodies{},
			SecuritySchemes: openapi3.SecuritySchemes{"bearer": {Value: &openapi3.SecurityScheme{
				Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: bearerText,
			}}},
		},
	}
	for _, op := range slices.Concat(operations, openOperations) {
		d.add(op)
	}
	require.Empty(t, d.schemas.problems)
	return d
}

// encode returns the document as JSON, and as it is read again: with its
// references resolved. It fails the test if the document is not valid.
func (d *document) encode(t *testing.T) ([]byte, *openapi3.T) {
	t.Helper()
	text, err := json.Marshal(d.root)
	require.NoError(t, err)
	loader := openapi3.NewLoader()
	read, err := loader.LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, read.Validate(loader.Context))
	return text, read
}

// add adds the routes of one operation.
func (d *document) add(op operation) {
	shared := openapi3.Operation{
		Summary: op.doc.summary, Description: op.describe(), Parameters: d.parameters(op.parameters()),
		RequestBody: d.body(op.in), Responses: d.answers(op), Security: &openapi3.SecurityRequirements{},
	}
	if !op.open() {
		shared.Security.With(openapi3.SecurityRequirement{"bearer": scopes(op)})
	}
	head := shared
	head.Summary = op.doc.summary + ": headers only"
	head.Description = "As GET, without a body."
	if op.preferred != "" {
		d.route(op.method, op.preferred, op.id, op.doc.tag, shared)
		if op.head != "" {
			d.route(http.MethodHead, op.preferred, op.head, op.doc.tag, head)
		}
	}
	if op.legacy != "" {
		d.route(op.method, op.legacy, op.id+"Legacy", legacyTag, shared)
		if op.head != "" {
			d.route(http.MethodHead, op.legacy, op.head+"Legacy", legacyTag, head)
		}
	}
}

// scopes are what the token must have for an operation.
func scopes(op operation) []string {
	if op.scope == anyScope {
		return []string{}
	}
	return []string{string(op.scope)}
}

// route adds one operation under its path.
func (d *document) route(method, path, id, tag string, op openapi3.Operation) {
	item := d.root.Paths.Value(path)
	if item == nil {
		item = &openapi3.PathItem{}
		for _, name := range variablesOf(path) {
			key := "path." + name
			d.root.Components.Parameters[key] = &openapi3.ParameterRef{
				Value: openapi3.NewPathParameter(name).WithDescription(pathVariables[name]).WithSchema(openapi3.NewStringSchema()),
			}
			item.Parameters = append(item.Parameters, &openapi3.ParameterRef{Ref: "#/components/parameters/" + key})
		}
		d.root.Paths.Set(path, item)
	}
	op.OperationID, op.Tags = id, []string{tag}
	item.SetOperation(method, &op)
}

// variablesOf returns the variables of a path in order.
func variablesOf(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// parameters returns the parameters of an operation, each under its newer name
// alone: two names of one parameter are two arguments to a generated client.
func (d *document) parameters(list []parameter) openapi3.Parameters {
	var refs openapi3.Parameters
	for _, p := range list {
		key := p.component()
		d.root.Components.Parameters[key] = &openapi3.ParameterRef{Value: p.document()}
		refs = append(refs, &openapi3.ParameterRef{Ref: "#/components/parameters/" + key})
	}
	return refs
}

// component returns the name of the parameter among the components.
func (p parameter) component() string {
	return cmp.Or(p.in, "query") + "." + cmp.Or(p.key, p.name)
}

// olderNamesKey is the extension that lists the older names of a parameter.
const olderNamesKey = "x-older-names"

// document returns the parameter as the document has it.
func (p parameter) document() *openapi3.Parameter {
	schema := openapi3.NewSchema()
	schema.Type = &openapi3.Types{cmp.Or(p.kind, openapi3.TypeString)}
	if p.top > 0 {
		schema.WithMin(1).WithMax(float64(p.top))
	}
	schema.Default = p.absent
	if p.repeated {
		schema = openapi3.NewArraySchema().WithItems(schema)
	}
	out := openapi3.NewQueryParameter(p.name)
	out.In = cmp.Or(p.in, out.In)
	out.Description, out.Required = p.text, p.required
	out.Schema = schema.NewRef()
	if p.older != nil {
		out.Extensions = map[string]any{olderNamesKey: p.older}
	}
	return out
}

// body is what an operation is sent, nil for nothing.
func (d *document) body(in input) *openapi3.RequestBodyRef {
	if in.body == nil {
		return nil
	}
	media := cmp.Or(in.media, "application/json")
	content := &openapi3.MediaType{Schema: d.schemas.request(in.body)}
	if in.media == "" {
		// TestOpenAPI_examples decodes the examples more strictly.
		_ = json.Unmarshal([]byte(in.example), &content.Example)
	}
	return &openapi3.RequestBodyRef{Value: &openapi3.RequestBody{Required: in.required, Content: openapi3.Content{media: content}}}
}

// answers are the answers to an operation: its successes, and the errors of
// its class.
func (d *document) answers(op operation) *openapi3.Responses {
	all := &openapi3.Responses{}
	for _, a := range op.answers() {
		ref := &openapi3.ResponseRef{Value: d.success(a)}
		if a.status == http.StatusNotModified && op.conditional() {
			ref = d.response("NotModified", ref.Value)
		}
		openapi3.WithStatus(a.status, ref)(all)
	}
	for _, status := range op.errorStatuses() {
		ref := d.problem(status)
		if op.out.failure.body != nil {
			ref = d.failure(op.out.failure.body)
		}
		openapi3.WithStatus(status, ref)(all)
	}
	return all
}

func (d *document) success(a success) *openapi3.Response {
	out := openapi3.NewResponse().WithDescription(a.text)
	if a.body != nil {
		out.WithJSONSchemaRef(d.schemas.answer(a.body))
	}
	for _, media := range a.media {
		if out.Content == nil {
			out.Content = openapi3.Content{}
		}
		out.Content[media] = &openapi3.MediaType{}
	}
	out.Headers = headers(a.headers...)
	return out
}

// headers describes headers of answers; those with "?" may be absent.
func headers(names ...string) openapi3.Headers {
	all := openapi3.Headers{}
	for _, name := range names {
		bare, optional := strings.CutSuffix(name, "?")
		all[bare] = &openapi3.HeaderRef{Value: &openapi3.Header{Parameter: openapi3.Parameter{
			Description: answerHeaders[bare], Required: !optional, Schema: openapi3.NewStringSchema().NewRef(),
		}}}
	}
	return all
}

// problem is the answer to an error of no shape of its own.
func (d *document) problem(status int) *openapi3.ResponseRef {
	out := openapi3.NewResponse().WithDescription(http.StatusText(status) + ". " + codesText(status)).
		WithJSONSchemaRef(d.schemas.answer(errorBody{}))
	switch status {
	case http.StatusUnauthorized:
		out.Headers = headers("WWW-Authenticate")
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusBadGateway:
		out.Headers = headers("Retry-After?")
	}
	return d.response(strings.ReplaceAll(http.StatusText(status), " ", ""), out)
}

// failure is the answer to an error that has a shape of its own.
func (d *document) failure(body any) *openapi3.ResponseRef {
	schema := d.schemas.answer(body)
	out := openapi3.NewResponse().WithJSONSchemaRef(schema).
		WithDescription("The call failed and nothing was changed, unless `code` is `upstream_timeout`. The status says why, as everywhere.")
	out.Headers = headers("Retry-After?", "WWW-Authenticate?")
	return d.response(strings.TrimSuffix(componentOf(schema), "Problem")+"Failure", out)
}

// response makes an answer a component.
func (d *document) response(name string, value *openapi3.Response) *openapi3.ResponseRef {
	d.root.Components.Responses[name] = &openapi3.ResponseRef{Value: value}
	return &openapi3.ResponseRef{Ref: "#/components/responses/" + name}
}

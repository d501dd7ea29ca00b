package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/middleware"
)

// maxBody is the size limit of a request body, in bytes.
const maxBody = 1 << 20

// readBody decodes the JSON object in the body into dest, a pointer to a
// struct. No body and null leave dest as it is; unknown keys are ignored,
// because SDKs pass on what their callers add. The Content-Type does not
// matter. Errors: KindInvalid, with the field that is wrong; KindTooLarge;
// KindTimeout.
func readBody(w http.ResponseWriter, r *http.Request, grace time.Duration, dest any) error {
	raw, err := rawBody(w, r, grace)
	if err != nil || len(raw) == 0 {
		return err
	}
	return decodeJSON(raw, dest)
}

// readChange is readBody for what changes something: a body that names none of the
// fields of dest changes nothing, and who sent it thinks it did. Errors: those of
// readBody, and KindInvalid with the names of the fields.
func readChange(w http.ResponseWriter, r *http.Request, grace time.Duration, dest any) error {
	raw, err := rawBody(w, r, grace)
	if err != nil {
		return err
	}
	if len(raw) > 0 {
		if err := decodeJSON(raw, dest); err != nil {
			return err
		}
	}
	var sent map[string]json.RawMessage
	_ = json.Unmarshal(raw, &sent) // nothing at all was sent
	fields := fieldNames(reflect.TypeOf(dest).Elem())
	for name, value := range sent {
		// Decoding takes names in any case, too.
		named := slices.ContainsFunc(fields, func(field string) bool { return strings.EqualFold(field, name) })
		if named && string(value) != "null" {
			return nil
		}
	}
	return core.Errorf(core.KindInvalid, "nothing to change: name a field that can be changed, which is one of %s", strings.Join(fields, ", "))
}

// fieldNames returns the names in JSON of the fields of a struct, in its order.
func fieldNames(t reflect.Type) []string {
	var names []string
	for _, field := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// errBodyCoding refuses a body with a content coding. Its answer is 415.
var errBodyCoding = core.Errorf(core.KindInvalid, "send the request body without content encoding")

// rawBody reads the body, nothing if it has only blanks; see [middleware.Paced]
// for the grace. Errors: KindInvalid, KindTooLarge, KindTimeout.
func rawBody(w http.ResponseWriter, r *http.Request, grace time.Duration) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, middleware.NewPaced(w, r, grace), maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, core.Errorf(core.KindTooLarge, "the request body is larger than %d bytes", maxBody)
		}
		return nil, middleware.BodyError(err)
	}
	return bytes.TrimSpace(raw), nil
}

// decodeJSON decodes a JSON object into dest, a pointer to a struct. Errors:
// KindInvalid, with the field that is wrong.
func decodeJSON(raw []byte, dest any) error {
	if err := middleware.CheckText(raw); err != nil {
		return err
	}
	err := json.Unmarshal(raw, dest)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return core.Errorf(core.KindInvalid, "the request body must be a JSON object")
		}
		return core.Errorf(core.KindInvalid, "the field %q must be %s, not %s", fieldOf(wrong), wordOf(wrong.Type), wrong.Value)
	}
	// A field that reads itself says what it takes, like a duration.
	if own, ok := errors.AsType[*core.Error](err); ok {
		return own
	}
	// The cause is left out of the message: it may quote a piece of a secret.
	return core.Errorf(core.KindInvalid, "the request body is not valid JSON")
}

// fieldOf is the path of a field in the body. encoding/json puts the names of embedded Go
// types into it, of which, other than of fields of ours, none is in lower case.
func fieldOf(wrong *json.UnmarshalTypeError) string {
	path := slices.DeleteFunc(strings.Split(wrong.Field, "."), func(name string) bool { return name != strings.ToLower(name) })
	return strings.Join(path, ".")
}

// wordOf names the JSON type that a Go type is decoded from.
func wordOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return "an object"
	default:
		return "a " + t.Kind().String()
	}
}

// writeJSON answers with body as JSON, or with no body at all if it is nil.
func writeJSON(w http.ResponseWriter, status int, body any) {
	header := w.Header()
	// Answers depend on the token, and caches do not look at tokens alike.
	header.Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text := encodeJSON(body)
	jsonHeader(header)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	// A failed write means that the client is gone; nobody is left to tell.
	_, _ = w.Write(text)
}

// encodeJSON writes body as JSON and a line end.
func encodeJSON(body any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		// Only a programming error gets here; the panic handler answers it.
		panic(err)
	}
	return text.Bytes()
}

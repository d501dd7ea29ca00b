package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the document
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// openAPIPath is where the document is served.
const openAPIPath = "/api/openapi.json"

// openAPIDocument is the OpenAPI document of the operations. It is generated
// and committed: a test builds it from the same records that the router reads
// and compares, so the programs need nothing that makes documents.
//
//go:embed openapi.json
var openAPIDocument []byte

// documentVersion is the version in the committed document.
const documentVersion = "0.0.0-generated"

// Document returns the OpenAPI document of a server of this version, as it is served.
func Document(version string) []byte {
	var compact bytes.Buffer
	quoted, err := json.Marshal(version)
	if err == nil {
		err = json.Compact(&compact, openAPIDocument)
	}
	if err != nil {
		panic(err) // only a programming error gets here
	}
	return bytes.Replace(compact.Bytes(), []byte(`"`+documentVersion+`"`), quoted, 1)
}

// openAPI serves the document to everyone: it says nothing that the published
// contract does not. It is put into shape when it is first asked for.
func openAPI(version string) http.Handler {
	type file struct {
		text []byte
		etag string
	}
	build := sync.OnceValue(func() file {
		text := Document(version)
		sum := sha256.Sum256(text)
		return file{text, `"` + hex.EncodeToString(sum[:16]) + `"`}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnly(w, r) {
			return
		}
		f := build()
		header := w.Header()
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", f.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
	})
}

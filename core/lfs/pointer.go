package lfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxPointer is the size that a pointer is below, in bytes, with its extensions.
const MaxPointer = 1024

// versions are what the first line of a pointer may say. The second is of before Git LFS
// had its name.
var versions = []string{"https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"}

// ErrNoPointer says that a blob is no pointer, but what the file holds.
var ErrNoPointer = errors.New("not an LFS pointer")

// Encode returns the one spelling of the pointer, without extensions. An empty object is
// an empty file.
func (p Pointer) Encode() []byte {
	if p.Size == 0 {
		return nil
	}
	return fmt.Appendf(nil, "version %s\noid sha256:%s\nsize %d\n", versions[0], p.OID, p.Size)
}

// ParsePointer reads a pointer as docs/spec.md of Git LFS wants it: there is one spelling
// of each. Lines that the specification does not know are let through, as it says.
// Everything else, an empty file among it, is [ErrNoPointer].
func ParsePointer(blob []byte) (Pointer, error) {
	// What most blobs are is decided by their first bytes.
	if len(blob) >= MaxPointer || !bytes.HasPrefix(blob, []byte("version ")) || blob[len(blob)-1] != '\n' || !utf8.Valid(blob) {
		return Pointer{}, ErrNoPointer
	}
	p := Pointer{Size: -1}
	last := ""
	for i, line := range strings.Split(string(blob[:len(blob)-1]), "\n") {
		key, value, ok := strings.Cut(line, " ")
		if !ok || key == "" || value == "" || value[0] == ' ' || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || strings.ContainsRune(value, '\r') {
			return Pointer{}, ErrNoPointer
		}
		switch {
		case i == 0:
			if key != "version" || value != versions[0] && value != versions[1] {
				return Pointer{}, ErrNoPointer
			}
			continue
		case key <= last || key == "version":
			return Pointer{}, ErrNoPointer
		}
		last = key
		switch key {
		case "oid":
			id, found := strings.CutPrefix(value, "sha256:")
			oid, err := ParseOID(id)
			if !found || err != nil {
				return Pointer{}, ErrNoPointer
			}
			p.OID = oid
		case "size":
			size, err := strconv.ParseInt(value, 10, 64)
			if err != nil || size < 0 || strconv.FormatInt(size, 10) != value {
				return Pointer{}, ErrNoPointer
			}
			p.Size = size
		}
	}
	if p.OID == "" || p.Size < 0 {
		return Pointer{}, ErrNoPointer
	}
	return p, nil
}

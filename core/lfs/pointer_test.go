package lfs_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/lfs"
)

const exampleOID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"

// The example of docs/spec.md of Git LFS, and what is next to it.
const example = "version https://git-lfs.github.com/spec/v1\noid sha256:" + exampleOID + "\nsize 12345\n"

func TestParsePointer(t *testing.T) {
	t.Parallel()
	want := lfs.Pointer{OID: exampleOID, Size: 12345}
	for name, blob := range map[string]string{
		"the example":     example,
		"before its name": strings.Replace(example, "git-lfs", "hawser", 1),
		"an extension":    strings.Replace(example, "oid ", "ext-0-foo sha256:"+exampleOID+"\noid ", 1),
		"unknown keys":    strings.Replace(example, "oid ", "a.b-9 anything at all\noid ", 1) + "z last\n",
		"longest":         example + "x " + strings.Repeat("y", lfs.MaxPointer-1-len(example)-3) + "\n",
	} {
		got, err := lfs.ParsePointer([]byte(blob))
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	require.Equal(t, example, string(want.Encode()))
	require.Empty(t, lfs.Pointer{OID: exampleOID}.Encode())

	for name, blob := range map[string]string{
		"nothing":           "",
		"a text":            "version 2 is out\n",
		"another version":   strings.Replace(example, "v1", "v2", 1),
		"no newline":        strings.TrimSuffix(example, "\n"),
		"an empty line":     example + "\n",
		"lines of Windows":  strings.ReplaceAll(example, "\n", "\r\n"),
		"two spaces":        strings.Replace(example, "oid ", "oid  ", 1),
		"no size":           strings.Split(example, "size")[0],
		"no object":         "version https://git-lfs.github.com/spec/v1\nsize 12345\n",
		"out of order":      "version https://git-lfs.github.com/spec/v1\nsize 12345\noid sha256:" + exampleOID + "\n",
		"twice":             example + "size 12345\n",
		"version not first": "oid sha256:" + exampleOID + "\nsize 1\nversion https://git-lfs.github.com/spec/v1\n",
		"a long hash":       strings.Replace(example, "\nsize", "0\nsize", 1),
		"upper case":        strings.Replace(example, exampleOID, strings.ToUpper(exampleOID), 1),
		"another hash":      strings.Replace(example, "sha256:", "sha1:", 1),
		"negative":          strings.Replace(example, "12345", "-1", 1),
		"another spelling":  strings.Replace(example, "12345", "012345", 1),
		"a sign":            strings.Replace(example, "12345", "+12345", 1),
		"too large a size":  strings.Replace(example, "12345", "99999999999999999999", 1),
		"a bad key":         strings.Replace(example, "oid ", "Ext sha\noid ", 1),
		"not UTF-8":         example + "x \xff\n",
		"too long":          example + "x " + strings.Repeat("y", lfs.MaxPointer-len(example)-3) + "\n",
	} {
		_, err := lfs.ParsePointer([]byte(blob))
		require.ErrorIs(t, err, lfs.ErrNoPointer, name)
	}
}

// What is read as a pointer has one spelling: written again, it is the same but for what
// the specification lets others add.
func FuzzParsePointer(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(strings.Replace(example, "oid ", "ext-0-foo sha256:"+exampleOID+"\noid ", 1)))
	f.Add([]byte(strings.ReplaceAll(example, "\n", "\r\n")))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, blob []byte) {
		p, err := lfs.ParsePointer(blob)
		if err != nil {
			require.ErrorIs(t, err, lfs.ErrNoPointer)
			return
		}
		require.Less(t, len(blob), lfs.MaxPointer)
		require.GreaterOrEqual(t, p.Size, int64(0))
		_, err = lfs.ParseOID(string(p.OID))
		require.NoError(t, err)
		for _, line := range []string{"oid sha256:" + string(p.OID), fmt.Sprintf("size %d", p.Size)} {
			require.Equal(t, 1, bytes.Count(blob, []byte("\n"+line+"\n")), "%q in %q", line, blob)
		}
		if p.Size > 0 {
			again, err := lfs.ParsePointer(p.Encode())
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
	})
}

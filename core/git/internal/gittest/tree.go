package gittest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's object ids
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// WriteTree is [Mktree] without a process, for tests that need hundreds of trees and are
// not about how they came to be.
func WriteTree(t *testing.T, dir string, lines ...string) string {
	t.Helper()
	lines = slices.Clone(lines)
	name := func(line string) string {
		head, path, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(head, "040000") {
			return path + "/" // git sorts folders so (tree.c: base_name_compare)
		}
		return path
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	var tree bytes.Buffer
	for _, line := range lines {
		head, path, _ := strings.Cut(line, "\t")
		words := strings.Fields(head)
		require.Len(t, words, 3, line)
		id, err := hex.DecodeString(words[2])
		require.NoError(t, err)
		fmt.Fprintf(&tree, "%s %s\x00%s", strings.TrimLeft(words[0], "0"), path, id)
	}
	config, err := os.ReadFile(filepath.Join(dir, "config"))
	require.NoError(t, err)
	sum := sha1.New() //nolint:gosec // git's object ids
	if bytes.Contains(config, []byte("sha256")) {
		sum = sha256.New()
	}
	object := append([]byte(fmt.Sprintf("tree %d\x00", tree.Len())), tree.Bytes()...)
	_, _ = sum.Write(object)
	id := hex.EncodeToString(sum.Sum(nil))
	folder := filepath.Join(dir, "objects", id[:2])
	require.NoError(t, os.MkdirAll(folder, 0o755))
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err = z.Write(object)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(filepath.Join(folder, id[2:]), packed.Bytes(), 0o600))
	return id
}

//go:build peers

package lfs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/lfstest"
)

// What git-lfs says is a pointer in its one spelling is one here, and the other way round.
func TestParsePointer_asGitLFS(t *testing.T) {
	t.Parallel()
	program := lfstest.Tool(t, "git-lfs")
	dir := t.TempDir()
	for name, blob := range map[string]string{
		"the example":      example,
		"ours":             string(lfs.Pointer{OID: exampleOID, Size: 1 << 40}.Encode()),
		"an extension":     strings.Replace(example, "oid ", "ext-0-foo sha256:"+exampleOID+"\noid ", 1),
		"a text":           "version 2 is out\n",
		"another version":  strings.Replace(example, "v1", "v2", 1),
		"no newline":       strings.TrimSuffix(example, "\n"),
		"lines of Windows": strings.ReplaceAll(example, "\n", "\r\n"),
		"two spaces":       strings.Replace(example, "oid ", "oid  ", 1),
		"no size":          strings.Split(example, "size")[0],
		"out of order":     "version https://git-lfs.github.com/spec/v1\nsize 12345\noid sha256:" + exampleOID + "\n",
		"negative":         strings.Replace(example, "12345", "-1", 1),
		"another spelling": strings.Replace(example, "12345", "012345", 1),
		"upper case":       strings.Replace(example, exampleOID, strings.ToUpper(exampleOID), 1),
		"too long":         example + strings.Repeat("y", lfs.MaxPointer),
	} {
		file := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(file, []byte(blob), 0o600))
		check := exec.CommandContext(t.Context(), program, "pointer", "--check", "--strict", "--file="+file)
		check.Dir, check.Env = dir, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		said, err := check.CombinedOutput()
		_, ours := lfs.ParsePointer([]byte(blob))
		require.Equal(t, err == nil, ours == nil, "%s: %s", name, said)
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// TestGoInstall makes a module of the checkout, offers it as a file GOPROXY, and wants
// the go command to install it from there. The gate makes the module and looks at what
// "go install" refuses; the long tier installs it, which compiles everything.
func TestGoInstall(t *testing.T) {
	const path, version = "github.com/headwater-git/headwater", "v0.1.0"
	proxy := t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	parsed, err := modfile.Parse("go.mod", mod, nil)
	require.NoError(t, err)
	require.Empty(t, parsed.Replace, "go install refuses a module that replaces another")
	require.Empty(t, parsed.Exclude, "or excludes one")

	// What git knows of, as a tag would have it; modules below are left out.
	tree := t.TempDir()
	list := strings.Split(strings.TrimSuffix(command(t, nil, "git", "-C", "../..", "ls-files", "-z"), "\x00"), "\x00")
	for _, name := range list {
		if strings.HasPrefix(name, "scripts/release/") || strings.HasPrefix(name, "scripts/lint/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		to := filepath.Join(tree, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, content, 0o644))
	}
	var archive bytes.Buffer
	require.NoError(t, zip.CreateFromDir(&archive, module.Version{Path: path, Version: version}, tree), "a file of the repository cannot be part of a module")
	for name, content := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".info": []byte(`{"Version":"` + version + `"}`), version + ".mod": mod, version + ".zip": archive.Bytes(),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
	if os.Getenv("HEADWATER_TEST_LONG") == "" {
		return
	}
	cache := strings.TrimSpace(command(t, nil, "go", "env", "GOMODCACHE"))
	modules, bin := t.TempDir(), t.TempDir()
	env := []string{
		"GOPROXY=file://" + proxy + ",file://" + filepath.Join(cache, "cache", "download"), "GOSUMDB=off", "GOFLAGS=-modcacherw", "GOMODCACHE=" + modules, "GOBIN=" + bin,
	}
	install := exec.CommandContext(t.Context(), "go", "install", path+"/server/cmd/headwater@"+version)
	install.Dir, install.Env = t.TempDir(), append(os.Environ(), env...)
	out, err := install.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, command(t, nil, filepath.Join(bin, "headwater"), "--version"), "headwater "+version+" ")
}

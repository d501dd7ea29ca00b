package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// snapshot makes the files of this machine's target, as scripts/release/build does, or
// takes those that it made into $HEADWATER_RELEASE.
func snapshot(t *testing.T) (dir, name string) {
	t.Helper()
	dir = os.Getenv("HEADWATER_RELEASE")
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "dist")
		require.NoError(t, run(t.Context(), []string{"--root", "../..", "--out", dir, "--target", runtime.GOOS + "/" + runtime.GOARCH}))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*-"+runtime.GOOS+"-"+runtime.GOARCH+".tar.gz"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return dir, strings.TrimSuffix(filepath.Base(found[0]), ".tar.gz")
}

// command runs a program and returns what it prints.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "%s %s\n%s%s", name, strings.Join(args, " "), out.String(), errs.String())
	return out.String()
}

// TestRelease goes the way of a snapshot: built, checked, unpacked, verified, started
// with the command line of its unit, and mirroring.
func TestRelease(t *testing.T) {
	dir, name := snapshot(t)

	t.Run("checksums cover every file", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(dir, sums))
		require.NoError(t, err)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Equal(t, len(entries)-1, strings.Count(string(text), "\n"))
		for line := range strings.Lines(string(text)) {
			sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
			content, err := os.ReadFile(filepath.Join(dir, file))
			require.NoError(t, err)
			actual := sha256.Sum256(content)
			require.Equal(t, hex.EncodeToString(actual[:]), sum, file)
		}
	})
	t.Run("the SBOM names what the binary is made of", func(t *testing.T) {
		var sbom struct {
			Format     string `json:"bomFormat"`
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name, Version string }
		}
		raw, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &sbom))
		require.Equal(t, "CycloneDX", sbom.Format)
		require.Contains(t, name, sbom.Metadata.Component.Version)
		var names []string
		for _, c := range sbom.Components {
			names = append(names, c.Name)
		}
		require.Contains(t, names, "modernc.org/sqlite")
		require.Contains(t, names, "std", "the standard library, of the version of Go")
	})
	t.Run("the rpm holds the same files", func(t *testing.T) {
		list := command(t, nil, "rpm", "-qpl", filepath.Join(dir, name+".rpm"))
		for _, want := range []string{"/usr/bin/headwater", "/etc/headwater/providers.hcl", "/usr/lib/systemd/system/headwater.service", "/usr/share/man/man1/headwater-serve.1.gz"} {
			require.Contains(t, list, want+"\n")
		}
		require.Contains(t, command(t, nil, "rpm", "-qp", "--requires", filepath.Join(dir, name+".rpm")), "git-core >= 2.39")
	})
	t.Run("the archive runs from where it is unpacked", func(t *testing.T) {
		to := t.TempDir()
		command(t, nil, "tar", "-xzf", filepath.Join(dir, name+".tar.gz"), "-C", to)
		version := command(t, nil, filepath.Join(to, name, "bin", "headwater"), "--version")
		require.Equal(t, "headwater "+versionOf(name)+" "+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n", version)
	})

	root := filepath.Join(t.TempDir(), "root")
	t.Run("the deb unpacks", func(t *testing.T) {
		deb := filepath.Join(dir, name+".deb")
		require.Contains(t, command(t, nil, "dpkg-deb", "--field", deb, "Depends"), "git (>= 1:2.39)")
		require.Contains(t, command(t, nil, "dpkg-deb", "--ctrl-tarfile", deb), "/etc/headwater/headwater.env", "its settings are kept at an upgrade")
		command(t, nil, "dpkg-deb", "-x", deb, root)
		info, err := os.Stat(filepath.Join(root, "etc/headwater/headwater.env"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it may hold secrets")
		for _, shell := range []string{"usr/share/bash-completion/completions/headwater", "usr/share/zsh/vendor-completions/_headwater", "usr/share/fish/vendor_completions.d/headwater.fish", "usr/share/man/man1/headwater.1.gz"} {
			require.FileExists(t, filepath.Join(root, shell))
		}
	})
	t.Run("systemd accepts the units", func(t *testing.T) { verifyUnits(t, root) })
	t.Run("systemd accepts user and folder", func(t *testing.T) {
		command(t, nil, "systemd-sysusers", "--dry-run", filepath.Join(root, "usr/lib/sysusers.d/headwater.conf"))
	})
	t.Run("the unit's command line serves and mirrors", func(t *testing.T) { mirrorAsUnit(t, root) })
}

// versionOf cuts the version out of the name of a file.
func versionOf(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "headwater-"), "-"+runtime.GOOS+"-"+runtime.GOARCH)
}

// verifyUnits wants no word of systemd-analyze about the units. Those that they refer to
// are the machine's, and its programs are looked for below root.
func verifyUnits(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "bin/kill"), nil, 0o755)) // of the package procps
	units := filepath.Join(root, "usr/lib/systemd/system")
	system, err := filepath.Glob("/usr/lib/systemd/system/*.target")
	require.NoError(t, err)
	if len(system) == 0 {
		system, err = filepath.Glob("/lib/systemd/system/*.target")
		require.NoError(t, err)
	}
	require.NotEmpty(t, system, "the package systemd has no units")
	for _, name := range append(system, filepath.Join(filepath.Dir(system[0]), "system.slice"), filepath.Join(filepath.Dir(system[0]), "-.slice")) {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // slices of systemd itself
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(units, filepath.Base(name)), content, 0o644))
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+root, "headwater.service", "headwater.socket")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}

// TestRelease_deployments decodes what runs a release in containers, strictly: a
// misspelt field fails. Nothing here runs it.
func TestRelease_deployments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := release{root: "../..", version: "v1.2.3"}
	require.NoError(t, r.deployments(dir))
	text, err := os.ReadFile(filepath.Join(dir, "kubernetes.yaml"))
	require.NoError(t, err)
	var set appsv1.StatefulSet
	var service corev1.Service
	var settings corev1.ConfigMap
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var kind struct {
			Kind string `json:"kind"`
		}
		require.NoError(t, yaml.Unmarshal(doc, &kind))
		into, ok := map[string]any{"StatefulSet": &set, "Service": &service, "ConfigMap": &settings}[kind.Kind]
		require.True(t, ok, "an object of kind %q", kind.Kind)
		require.NoError(t, yaml.UnmarshalStrict(doc, into), kind.Kind)
	}
	pod := set.Spec.Template
	require.EqualValues(t, 1, *set.Spec.Replicas, "one server per data directory")
	require.Equal(t, "headwater:v1.2.3", pod.Spec.Containers[0].Image)
	require.Equal(t, service.Spec.Selector, pod.Labels)
	require.Equal(t, set.Spec.Selector.MatchLabels, pod.Labels)
	require.Equal(t, settings.Name, pod.Spec.Volumes[0].ConfigMap.Name)

	compose, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	require.NoError(t, err)
	var project map[string]any
	require.NoError(t, yaml.UnmarshalStrict(compose, &project))
	container, err := os.ReadFile(filepath.Join(dir, "Containerfile"))
	require.NoError(t, err)
	for _, text := range []string{string(compose), string(container)} {
		require.Contains(t, text, "v1.2.3")
		require.NotContains(t, text, "@VERSION@")
	}
	require.Contains(t, string(container), "USER 65321")
	require.EqualValues(t, 65321, *pod.Spec.SecurityContext.RunAsUser)
}

// TestRelease_sameTwice builds all targets from two checkouts in different places: the
// checksums are the same.
func TestRelease_sameTwice(t *testing.T) {
	if os.Getenv("HEADWATER_TEST_LONG") == "" {
		t.Log("one build is enough for the gate")
		return
	}
	targets := []string{}
	if only := os.Getenv("HEADWATER_RELEASE_TARGET"); only != "" {
		targets = append(targets, "--target", only)
	}
	var former string
	for range 2 {
		tree, dir := filepath.Join(t.TempDir(), "checkout"), filepath.Join(t.TempDir(), "dist")
		command(t, nil, "git", "-C", "../..", "worktree", "add", "--detach", tree, "HEAD")
		t.Cleanup(func() {
			require.NoError(t, exec.CommandContext(context.WithoutCancel(t.Context()), "git", "-C", "../..", "worktree", "remove", "--force", tree).Run())
		})
		require.NoError(t, run(t.Context(), append([]string{"--root", tree, "--out", dir}, targets...)))
		text, err := os.ReadFile(filepath.Join(dir, sums))
		require.NoError(t, err)
		if former != "" {
			require.Equal(t, former, string(text))
		}
		former = string(text)
	}
	t.Log("\n" + former)
}

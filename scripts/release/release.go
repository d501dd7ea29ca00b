package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// release is one run.
type release struct {
	root    string // of the repository
	version string // "v1.2.3"; "" is made from the commit
	targets []target
	log     io.Writer

	at time.Time // of the commit: every file is as old
}

// make writes all files into dir.
func (r *release) make(ctx context.Context, dir string) error {
	if err := r.date(ctx); err != nil {
		return err
	}
	if err := prepare(dir); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "headwater-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	// Manual pages and completions are written by a binary that runs here.
	here := filepath.Join(work, "headwater")
	host := target{runtime.GOOS, runtime.GOARCH}
	if err := r.compile(ctx, host, here); err != nil {
		return err
	}
	generated := filepath.Join(work, "generated")
	if err := r.generate(ctx, here, generated); err != nil {
		return err
	}
	for _, t := range r.targets {
		binary := here
		if t != host {
			binary = filepath.Join(work, t.os+"-"+t.arch)
			if err := r.compile(ctx, t, binary); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
		if err := r.makeTarget(ctx, t, binary, generated, dir); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	if err := r.deployments(dir); err != nil {
		return err
	}
	return checksums(dir)
}

// makeTarget writes the files of one target.
func (r *release) makeTarget(ctx context.Context, t target, binary, generated, dir string) error {
	fmt.Fprintln(r.log, "packing", r.name(t))
	files, err := r.files(t, binary, generated)
	if err != nil {
		return err
	}
	if err := archive(filepath.Join(dir, r.name(t)+".tar.gz"), r.name(t), files, r.at); err != nil {
		return err
	}
	if err := r.sbom(ctx, binary, filepath.Join(dir, r.name(t)+".cdx.json")); err != nil {
		return err
	}
	if t.os != "linux" {
		return nil
	}
	return r.packages(t, files, dir)
}

// name begins the names of a target's files.
func (r *release) name(t target) string {
	return fmt.Sprintf("headwater-%s-%s-%s", r.version, t.os, t.arch)
}

// date finds out how old the source is, and names a snapshot as the go command would.
func (r *release) date(ctx context.Context) error {
	head, err := r.output(ctx, "git", "log", "-1", "--format=%ct %H")
	if err != nil {
		return err
	}
	text, commit, _ := strings.Cut(strings.TrimSpace(head), " ")
	if epoch, ok := os.LookupEnv("SOURCE_DATE_EPOCH"); ok {
		text = epoch
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("the time of the source is no number: %q", text)
	}
	r.at = time.Unix(seconds, 0).UTC()
	if r.version == "" {
		// A pseudo-version, see https://go.dev/ref/mod#pseudo-versions.
		r.version = "v0.0.0-" + r.at.Format("20060102150405") + "-" + commit[:12]
	}
	return nil
}

// compile builds the binary of a target. What tells one checkout or machine from
// another is left out: paths, the stamps of version control, the build id.
func (r *release) compile(ctx context.Context, t target, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.stamped="+r.version, "-o", to, "./server/cmd/headwater")
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, stderr.Bytes())
	}
	return nil
}

// generate lets the binary write its manual pages and completions.
func (r *release) generate(ctx context.Context, binary, dir string) error {
	man := exec.CommandContext(ctx, binary, "man", filepath.Join(dir, "man"))
	man.Env = []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.at.Unix(), 10)}
	if out, err := man.CombinedOutput(); err != nil {
		return fmt.Errorf("manual pages: %w\n%s", err, out)
	}
	for _, shell := range shells() {
		completion := exec.CommandContext(ctx, binary, "completion", shell)
		completion.Env = []string{}
		out, err := completion.Output()
		if err != nil {
			return fmt.Errorf("completion of %s: %w", shell, err)
		}
		if err := os.WriteFile(filepath.Join(dir, shell), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shells are those that completions are made for.
func shells() []string { return []string{"bash", "fish", "zsh"} }

// sbom lists what a binary is made of, in CycloneDX. What is random or of the moment is
// left out, so that it is the same each time.
func (r *release) sbom(ctx context.Context, binary, to string) error {
	cmd := exec.CommandContext(ctx, "go", "tool", "cyclonedx-gomod", "bin", "-json", "-std", "-noserial", "-version", r.version, "-output", to, binary)
	cmd.Dir = filepath.Join(r.root, "scripts", "release")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.at.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("SBOM: %w\n%s", err, out)
	}
	return settle(to, r.at)
}

// output runs a command in the repository.
func (r *release) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}

// deployments copies what runs a release in containers, with its version.
func (r *release) deployments(dir string) error {
	for from, to := range map[string]string{"Containerfile": "Containerfile", "compose.yaml": "compose.yaml", "kubernetes/headwater.yaml": "kubernetes.yaml"} {
		text, err := os.ReadFile(r.packaging(from))
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("@VERSION@"), []byte(r.version))
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packaging is the path of a file that goes into packages.
func (r *release) packaging(name string) string {
	return filepath.Join(r.root, "scripts", "release", "packaging", name)
}

// sums is the name of the file of checksums, in the form of sha256sum.
const sums = "SHA256SUMS"

// prepare makes an empty folder. It empties one that a former run filled, and no other.
func prepare(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, sums)); err != nil {
			return fmt.Errorf("%s holds something else than a release; name another folder with --out", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// checksums writes the checksums of all files of dir.
func checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+e.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(dir, sums), []byte(strings.Join(lines, "")), 0o644)
}

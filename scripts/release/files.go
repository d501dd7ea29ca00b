package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2/files"
)

// file is one file of a package and of an archive.
type file struct {
	path    string // where a package installs it
	archive string // in the archive; "" is left out of it
	content []byte
	mode    os.FileMode
	kind    string // of nfpm; "" is a plain file
	only    string // the kind of package that has it; "" is every one
}

// files returns what a target is made of, in the order of their paths.
func (r *release) files(t target, binary, generated string) ([]file, error) {
	var all []file
	add := func(source string, f file) error {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		f.content = content
		if f.mode == 0 {
			f.mode = 0o644
		}
		if strings.HasSuffix(f.path, ".gz") {
			if f.content, err = compress(content); err != nil {
				return err
			}
		}
		all = append(all, f)
		return nil
	}
	pages, err := filepath.Glob(filepath.Join(generated, "man", "*.1"))
	if err != nil {
		return nil, err
	}
	list := []struct {
		source string
		file   file
	}{
		{binary, file{path: "/usr/bin/headwater", archive: "bin/headwater", mode: 0o755}},
		{filepath.Join(generated, "bash"), file{path: "/usr/share/bash-completion/completions/headwater", archive: "share/bash-completion/completions/headwater"}},
		{filepath.Join(generated, "fish"), file{path: "/usr/share/fish/vendor_completions.d/headwater.fish", archive: "share/fish/vendor_completions.d/headwater.fish"}},
		{filepath.Join(generated, "zsh"), file{path: "/usr/share/zsh/vendor-completions/_headwater", only: "deb"}},
		{filepath.Join(generated, "zsh"), file{path: "/usr/share/zsh/site-functions/_headwater", archive: "share/zsh/site-functions/_headwater", only: "rpm"}},
		{filepath.Join(r.root, "LICENSE"), file{path: "/usr/share/doc/headwater/copyright", archive: "LICENSE"}},
		{filepath.Join(r.root, "README.md"), file{path: "/usr/share/doc/headwater/README.md", archive: "README.md"}},
		{filepath.Join(r.root, "docs", "CHANGELOG.md"), file{path: "/usr/share/doc/headwater/CHANGELOG.md", archive: "CHANGELOG.md"}},
		{filepath.Join(r.root, "providers.hcl"), file{path: "/etc/headwater/providers.hcl", archive: "etc/headwater/providers.hcl", kind: files.TypeConfigNoReplace}},
		{r.packaging("headwater.hcl"), file{path: "/etc/headwater/headwater.hcl", archive: "etc/headwater/headwater.hcl", kind: files.TypeConfigNoReplace}},
		{r.packaging("headwater.env"), file{path: "/etc/headwater/headwater.env", archive: "etc/headwater/headwater.env", kind: files.TypeConfigNoReplace, mode: 0o600}},
		{r.packaging("headwater.service"), file{path: "/usr/lib/systemd/system/headwater.service", archive: "lib/systemd/system/headwater.service"}},
		{r.packaging("headwater.socket"), file{path: "/usr/lib/systemd/system/headwater.socket", archive: "lib/systemd/system/headwater.socket"}},
		{r.packaging("sysusers.conf"), file{path: "/usr/lib/sysusers.d/headwater.conf", archive: "lib/sysusers.d/headwater.conf"}},
		{r.packaging("tmpfiles.conf"), file{path: "/usr/lib/tmpfiles.d/headwater.conf", archive: "lib/tmpfiles.d/headwater.conf"}},
	}
	for _, page := range pages {
		list = append(list, struct {
			source string
			file   file
		}{page, file{path: "/usr/share/man/man1/" + filepath.Base(page) + ".gz", archive: "share/man/man1/" + filepath.Base(page) + ".gz"}})
	}
	for _, one := range list {
		// Units and the like are of no use elsewhere.
		if t.os != "linux" && (strings.Contains(one.file.archive, "lib/") || strings.HasSuffix(one.file.archive, ".env")) {
			continue
		}
		if err := add(one.source, one.file); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// compress is gzip without a name and a time.
func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(content); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// archive writes a tar.gz with everything below one folder, sorted, owned by root and
// as old as the source.
func archive(to, folder string, all []file, at time.Time) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	seen := map[string]bool{}
	header := func(name string, typ byte, mode os.FileMode, size int) error {
		return w.WriteHeader(&tar.Header{
			Name: name, Typeflag: typ, Mode: int64(mode), Size: int64(size), ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		})
	}
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b file) int { return strings.Compare(a.archive, b.archive) })
	for _, f := range sorted {
		if f.archive == "" {
			continue
		}
		name := path.Join(folder, f.archive)
		for _, parent := range parents(name) {
			if seen[parent] {
				continue
			}
			seen[parent] = true
			if err := header(parent+"/", tar.TypeDir, 0o755, 0); err != nil {
				return err
			}
		}
		if err := header(name, tar.TypeReg, f.mode, len(f.content)); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	z, err := compress(b.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(to, z, 0o644)
}

// parents are the folders above a path, the outermost first.
func parents(name string) []string {
	var out []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		out = append([]string{dir}, out...)
	}
	return out
}

// settle takes the time and the path of the moment out of an SBOM.
func settle(name string, at time.Time) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	if m, ok := doc["metadata"].(map[string]any); ok {
		m["timestamp"] = at.Format(time.RFC3339)
		// The tool hashes itself, which differs from machine to machine.
		delete(m, "tools")
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(out, '\n'), 0o644)
}

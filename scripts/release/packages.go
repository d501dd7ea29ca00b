package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

// packages writes a deb and an rpm. They have no scripts: systemd makes the user and the
// data directory from sysusers.d and tmpfiles.d.
func (r *release) packages(t target, all []file, dir string) error {
	work, err := os.MkdirTemp("", "headwater-packages-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for kind, packager := range map[string]nfpm.Packager{"deb": deb.Default, "rpm": rpm.DefaultRPM} {
		if err := r.pack(t, kind, packager, all, filepath.Join(work, kind), dir); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// pack writes one package. nfpm takes files, not contents, so that they go to work.
func (r *release) pack(t target, kind string, packager nfpm.Packager, all []file, work, dir string) error {
	var contents files.Contents
	for n, f := range all {
		if f.only != "" && f.only != kind {
			continue
		}
		source := filepath.Join(work, fmt.Sprintf("%03d", n))
		if err := os.MkdirAll(work, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(source, f.content, 0o600); err != nil {
			return err
		}
		contents = append(contents, &files.Content{
			Source: source, Destination: f.path, Type: f.kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: r.at},
		})
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name:        "headwater",
		Arch:        t.arch,
		Platform:    t.os,
		Version:     strings.TrimPrefix(r.version, "v"),
		Release:     "1",
		Section:     "vcs",
		Priority:    "optional",
		Maintainer:  "The Headwater authors <headwater@localhost>",
		Homepage:    "https://github.com/headwater-git/headwater",
		License:     "Apache-2.0",
		Description: "Git storage server that mirrors, serves and writes through\nA fast local copy of repositories that live at a Git host. It serves them to\nGit clients and over an API, and sends every push to the host before it says yes.",
		MTime:       r.at,
		Overridables: nfpm.Overridables{
			Depends:  map[string][]string{"deb": {"git (>= 1:2.39)", "ca-certificates"}, "rpm": {"git-core >= 2.39", "ca-certificates"}}[kind],
			Contents: contents,
			RPM:      nfpm.RPM{BuildHost: "localhost", Summary: "Git storage server that mirrors, serves and writes through"},
		},
	})
	if err := nfpm.PrepareForPackager(info, kind); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, r.name(t)+"."+kind))
	if err != nil {
		return err
	}
	if err := packager.Package(info, out); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/database"
)

// defaultDataDir is where the server keeps everything by default.
const defaultDataDir = "headwater-data"

// localOrg is the organisation that the first start makes.
const localOrg = server.FirstOrg

// dataDir is the server's data directory. The server lays it out; the command
// line knows the few names below.
type dataDir string

// bindDataDir adds --data to flags.
func bindDataDir(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "data", defaultDataDir, "data directory of the server")
}

func (d dataDir) database() string { return filepath.Join(string(d), database.File) }
func (d dataDir) keyFile() string  { return filepath.Join(string(d), "keys", localOrg+".pem") }
func (d dataDir) sealFile() string { return filepath.Join(string(d), "keys", "seal.json") }
func (d dataDir) lockFile() string { return filepath.Join(string(d), "run", "lock") }
func (d dataDir) tls() string      { return filepath.Join(string(d), "tls") }
func (d dataDir) caFile() string   { return filepath.Join(d.tls(), "ca.pem") }

// addressFile holds the base URL of the running server.
func (d dataDir) addressFile() string { return filepath.Join(string(d), "run", "address") }

// adminAddressFile holds the base URL of the operator's own address.
func (d dataDir) adminAddressFile() string { return filepath.Join(string(d), "run", "admin-address") }

// exists says whether a server has ever been started on the directory.
func (d dataDir) exists() bool {
	return database.Exists(string(d))
}

// address returns the base URL of the server that runs on the directory.
func (d dataDir) address() (string, error) {
	b, err := os.ReadFile(d.addressFile())
	if errors.Is(err, fs.ErrNotExist) {
		if running, err := server.Runs(string(d)); err == nil && running {
			return "", failf("name it with --server URL, which its log has; if the disk is full, make room",
				"a server runs on the data directory %q, but has not written its address there: it is starting, or its disk is full", string(d))
		}
		return "", failf("start one: headwater serve --data "+core.ShellWord(string(d))+", or name a running one with --server URL",
			"no server is running on the data directory %q", string(d))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// writeAddress publishes the base URL of the running server and returns a
// function that takes it back. The file appears whole or not at all: a client
// may look at any moment.
func (d dataDir) writeAddress(url string) (remove func(), err error) {
	return writeAddressFile(d.addressFile(), url)
}

func writeAddressFile(path, url string) (remove func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := durable.ReplaceFile(path, []byte(url+"\n"), 0o644); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil
}

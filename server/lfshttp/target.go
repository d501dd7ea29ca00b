package lfshttp

import (
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// endpoint is what a path is for.
type endpoint int

const (
	unknown endpoint = iota
	batch
	object
	verify
	locks
	verifyLocks
	unlock
)

// target is what a request is about.
type target struct {
	remote    string // path of the remote, with its ending but without ".git"
	name      string // of the repository
	ephemeral bool
	imports   bool
	endpoint  endpoint
	id        string // of an object or a lock
}

// parse takes a path apart. No repository has a part that ends with ".git", so where
// the rest begins is certain.
func parse(r *http.Request) (target, bool) {
	name, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/info/lfs/")
	if first, _, _ := strings.Cut(name, "/"); !ok || name == "" || core.ReservedPath(first) {
		return target{}, false
	}
	t := target{remote: name, name: name}
	if base, ok := strings.CutSuffix(name, "+ephemeral"); ok {
		t.name, t.ephemeral = base, true
	} else if base, ok := strings.CutSuffix(name, "+import"); ok {
		t.name, t.imports = base, true
	}
	parts := strings.Split(rest, "/")
	switch {
	case rest == "objects/batch":
		t.endpoint = batch
	case len(parts) == 2 && parts[0] == "objects":
		t.endpoint, t.id = object, parts[1]
	case len(parts) == 3 && parts[0] == "objects" && parts[2] == "verify":
		t.endpoint, t.id = verify, parts[1]
	case rest == "locks":
		t.endpoint = locks
	case rest == "locks/verify":
		t.endpoint = verifyLocks
	case len(parts) == 3 && parts[0] == "locks" && parts[2] == "unlock":
		t.endpoint, t.id = unlock, parts[1]
	}
	return t, true
}

// Match reports whether the request is for Git LFS.
func Match(r *http.Request) bool {
	_, ok := parse(r)
	return ok
}

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	// minSecret keeps words that stand everywhere from being taken for secrets.
	minSecret = 16
	// needle is how much of a secret is looked for, at its end: the beginning
	// of a token is the same in all of them. Longer ones are much slower to find.
	needle = 32
)

// vault remembers secrets and finds them in texts. It is safe for concurrent
// use.
type vault struct {
	mu      sync.Mutex
	needles map[string]string // end of a form that it may appear in -> name
}

func newVault() *vault { return &vault{needles: map[string]string{}} }

// minted finds secrets that the programs under test make for themselves:
// tokens of GitHub App installations, and JSON Web Tokens.
var minted = regexp.MustCompile(`^(?:ghs_[0-9a-f]{40}|eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})`)

// add remembers a secret in the forms that it could come out in. Users are
// names it is used with in HTTP Basic.
func (v *vault) add(name, secret string, users ...string) {
	secret = strings.TrimSpace(secret)
	if len(secret) < minSecret {
		panic(fmt.Sprintf("the secret %q is too short to be searched for", name))
	}
	forms := map[string]string{
		secret:                  name,
		url.QueryEscape(secret): name + " (in a URL)",
		base64.StdEncoding.EncodeToString([]byte(secret)): name + " (base64)",
	}
	for _, user := range users {
		forms[base64.StdEncoding.EncodeToString([]byte(user+":"+secret))] = name + " (HTTP Basic)"
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for form, name := range forms {
		v.needles[form[max(0, len(form)-needle):]] = name
	}
}

// addPEM remembers the body of a private key, line by line.
func (v *vault) addPEM(name, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) >= minSecret && !strings.HasPrefix(line, "-----") {
			v.needles[line[max(0, len(line)-needle):]] = name
		}
	}
}

// names returns the names of what is remembered.
func (v *vault) names() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for _, name := range v.needles {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// search returns what it finds in a text, without quoting it.
func (v *vault) search(where string, text []byte) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var hits []string
	for end, name := range v.needles {
		if i := bytes.Index(text, []byte(end)); i >= 0 {
			hits = append(hits, fmt.Sprintf("%s: the secret %q before byte %d", where, name, i+len(end)))
		}
	}
	for _, prefix := range []string{"ghs_", "eyJ"} {
		for from := 0; ; from++ {
			i := bytes.Index(text[from:], []byte(prefix))
			if i < 0 {
				break
			}
			from += i
			if minted.Match(text[from:min(len(text), from+4096)]) {
				hits = append(hits, fmt.Sprintf("%s: a token (%s...) at byte %d", where, prefix, from))
				break
			}
		}
	}
	return hits
}

// searchTree searches every file below a folder. It leaves out what holds
// secrets by its purpose (the scripts' own secrets, key files of a server) and
// packs, whose bytes are compressed.
func (v *vault) searchTree(root string) []string {
	var hits []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // removed while we looked
		}
		switch {
		case entry.IsDir() && (entry.Name() == secretsDir || entry.Name() == "objects"):
			return filepath.SkipDir
		case entry.Type().IsRegular() && !holdsKeys(path):
			text, err := os.ReadFile(path)
			if err == nil {
				hits = append(hits, v.search(path, text)...)
			}
		}
		return nil
	})
	if err != nil {
		hits = append(hits, err.Error())
	}
	return hits
}

// holdsKeys tells the files that a server keeps keys in.
func holdsKeys(path string) bool {
	folder := filepath.Base(filepath.Dir(path))
	return folder == "keys" || folder == "tls"
}

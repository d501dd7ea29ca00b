package forgetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AppID is the id of the GitHub App that a forge knows.
const AppID = 4242

// githubApp is the one GitHub App of a forge, and where it is installed.
type githubApp struct {
	key *rsa.PrivateKey

	mu            sync.Mutex
	installations map[string]*installation // by lower-case owner
	lastID        int64
}

// installation is a grant that an owner has given to the App.
type installation struct {
	id        int64
	owner     string
	suspended time.Time // zero: it is not
	readOnly  bool
	selected  map[int64]bool // by id of the repository; nil: all of the owner
}

// covers reports whether the installation includes a repository.
func (i installation) covers(repo *forgeRepo) bool {
	return repo != nil && strings.EqualFold(i.owner, repo.owner()) && (i.selected == nil || i.selected[repo.id])
}

func newGitHubApp(key *rsa.PrivateKey) (*githubApp, error) {
	if key == nil {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("make the App's key: %w", err)
		}
		key = made
	}
	return &githubApp{key: key, installations: map[string]*installation{}, lastID: 7000}, nil
}

// AppKey returns the private key of the GitHub App as GitHub hands it out
// (PKCS#1 PEM), nil if the host has no Apps.
func (f *Forge) AppKey() []byte {
	if f.app == nil {
		return nil
	}
	der := x509.MarshalPKCS1PrivateKey(f.app.key)
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})
}

// Installation returns the id of the App's installation at an owner, 0 if
// there is none.
func (f *Forge) Installation(owner string) int64 {
	if f.app == nil {
		return 0
	}
	f.app.mu.Lock()
	defer f.app.mu.Unlock()
	if i := f.app.installations[strings.ToLower(owner)]; i != nil {
		return i.id
	}
	return 0
}

// SuspendInstallation suspends the App at an owner, or ends that. Tokens of
// a suspended installation do not work.
func (f *Forge) SuspendInstallation(owner string, suspended bool) {
	f.app.edit(owner, func(i *installation) {
		i.suspended = time.Time{}
		if suspended {
			i.suspended = time.Now()
		}
	})
	action := "unsuspend"
	if suspended {
		action = "suspend"
	}
	f.announceInstallation(Event{Kind: EventInstallation, Action: action, Account: owner})
}

// announceInstallation tells the App of one of its grants.
func (f *Forge) announceInstallation(e Event) { f.announce(&forgeRepo{path: e.Account + "/"}, e) }

// RestrictInstallation takes the right to write contents from the App at an
// owner, or gives it back.
func (f *Forge) RestrictInstallation(owner string, readOnly bool) {
	f.app.edit(owner, func(i *installation) { i.readOnly = readOnly })
}

// Uninstall removes the App from an owner. Its tokens stop to work.
func (f *Forge) Uninstall(owner string) {
	if f.app == nil {
		return
	}
	f.app.mu.Lock()
	delete(f.app.installations, strings.ToLower(owner))
	f.app.mu.Unlock()
	f.announceInstallation(Event{Kind: EventInstallation, Action: "deleted", Account: owner})
}

// Install installs the App at an owner, again after [Forge.Uninstall], with a
// new id.
func (f *Forge) Install(owner string) {
	if f.app == nil {
		return
	}
	f.app.install(owner)
	// It names what it opens, by id too.
	var paths []string
	f.mu.Lock()
	for _, repo := range f.repos {
		if strings.EqualFold(repo.owner(), owner) {
			paths = append(paths, repo.path)
		}
	}
	f.mu.Unlock()
	slices.Sort(paths)
	f.announceInstallation(Event{Kind: EventInstallation, Action: "created", Account: owner, Repos: paths})
}

// SelectRepositories makes the App's installation at an owner include exactly
// the repositories at the paths, or without any, all of the owner again. Its
// tokens lose what is no longer included.
func (f *Forge) SelectRepositories(owner string, paths ...string) {
	var selected map[int64]bool
	if len(paths) > 0 {
		selected = map[int64]bool{}
	}
	for _, path := range paths {
		if repo := f.find(path); repo != nil {
			selected[repo.id] = true
		}
	}
	var before, after installation
	f.app.edit(owner, func(i *installation) {
		before = *i
		i.selected = selected
		after = *i
	})
	var added, removed []string
	f.mu.Lock()
	for _, repo := range f.repos {
		switch was, is := before.covers(repo), after.covers(repo); {
		case is && !was:
			added = append(added, repo.path)
		case was && !is:
			removed = append(removed, repo.path)
		}
	}
	for _, t := range f.tokens {
		if t.installation == after.id {
			t.Repos = slices.DeleteFunc(t.Repos, func(path string) bool { return slices.Contains(removed, path) })
		}
	}
	f.mu.Unlock()
	for action, paths := range map[string][]string{"added": added, "removed": removed} {
		if len(paths) > 0 {
			f.announceInstallation(Event{Kind: EventInstallationRepos, Action: action, Account: owner, Repos: paths})
		}
	}
}

// InstallationTokens returns what the tokens open that the App was given: those
// that were not revoked, in no order.
func (f *Forge) InstallationTokens() []TokenOptions {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []TokenOptions
	for _, t := range f.tokens {
		if t.installation != 0 {
			o := t.TokenOptions
			o.Repos = slices.Clone(o.Repos)
			out = append(out, o)
		}
	}
	return out
}

func (a *githubApp) install(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installations[strings.ToLower(owner)] == nil {
		a.lastID++
		a.installations[strings.ToLower(owner)] = &installation{id: a.lastID, owner: owner}
	}
}

func (a *githubApp) edit(owner string, change func(*installation)) {
	if a == nil {
		return // a host without Apps
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.installations[strings.ToLower(owner)]; i != nil {
		change(i)
	}
}

// at returns a copy of the installation at an owner.
func (a *githubApp) at(owner string) (installation, bool) {
	return a.find(func(i *installation) bool { return strings.EqualFold(i.owner, owner) })
}

// find returns a copy of the installation that match accepts.
func (a *githubApp) find(match func(*installation) bool) (installation, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.installations {
		if match(i) {
			return *i, true
		}
	}
	return installation{}, false
}

// alive reports whether an installation exists and is not suspended.
func (a *githubApp) alive(id int64) bool {
	i, ok := a.find(func(i *installation) bool { return i.id == id })
	return ok && i.suspended.IsZero()
}

// verify checks the App's JWT of a request the way GitHub does at a time of its
// clock. It returns what GitHub has to say against it, "" if nothing.
func (a *githubApp) verify(r *http.Request, now time.Time) (fault string) {
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "A JSON web token could not be decoded"
	}
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "A JSON web token could not be decoded"
	}
	var claims struct {
		Issuer   any              `json:"iss"` // a number or a string: GitHub takes both
		IssuedAt *jwt.NumericDate `json:"iat"`
		Expiry   *jwt.NumericDate `json:"exp"`
	}
	if err := parsed.Claims(&a.key.PublicKey, &claims); err != nil {
		return "A JSON web token could not be decoded"
	}
	issuer := fmt.Sprint(claims.Issuer)
	if number, ok := claims.Issuer.(float64); ok {
		issuer = strconv.FormatFloat(number, 'f', -1, 64)
	}
	switch {
	case issuer != strconv.Itoa(AppID):
		return "'Issuer' claim ('iss') must be an Integer"
	case claims.IssuedAt == nil:
		return "Missing 'issued at' claim ('iat') in assertion"
	case claims.IssuedAt.Time().After(now.Add(5 * time.Second)):
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Expiry == nil:
		return "Missing 'expiration time' claim ('exp') in assertion"
	case claims.Expiry.Time().Before(now):
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case claims.Expiry.Time().After(now.Add(10*time.Minute + 5*time.Second)):
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

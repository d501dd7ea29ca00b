package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/providers"
)

// ledger is repositories, credentials and syncs in memory, without any git: what
// the REST layer does with answers and failures is the subject here, not what the
// engine does.
type ledger struct {
	mu          sync.Mutex
	repos       []core.Repository // oldest first
	statuses    map[string]engine.SyncStatus
	credentials map[string]core.Credential // by repository id
	pulls       []string                   // refs asked for
	fail        error                      // if set, what CreateRepository answers
	panics      bool                       // CreateRepository panics
	notReady    error
	readOnly    error
}

var (
	_ Repositories = (*ledger)(nil)
	_ Credentials  = (*ledger)(nil)
	_ Records      = (*ledger)(nil)
	_ Syncs        = (*ledger)(nil)
	_ Schedule     = (*ledger)(nil)
)

func newLedger() *ledger {
	return &ledger{statuses: map[string]engine.SyncStatus{}, credentials: map[string]core.Credential{}}
}

func (l *ledger) Now() time.Time { return time.Now().UTC() }

func (l *ledger) Ready(context.Context) error { return l.notReady }

func (l *ledger) Writable() error { return l.readOnly }

func (l *ledger) CheckReady(context.Context, core.Repository) error { return nil }

func (l *ledger) CreateRepository(_ context.Context, r engine.CreateRequest) (core.Repository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics {
		panic("the roof is on fire")
	}
	if l.fail != nil {
		return core.Repository{}, l.fail
	}
	if err := core.ValidateRepositoryName(r.Name); err != nil {
		return core.Repository{}, err
	}
	if _, err := l.find(r.Org, r.Name); err == nil {
		return core.Repository{}, core.Errorf(core.KindConflict, "repository %q exists already", r.Name)
	}
	repo := core.Repository{
		ID: core.NewID("repo", l.Now()), Org: r.Org, Name: r.Name, DefaultBranch: r.DefaultBranch, ObjectFormat: "sha1", CreatedAt: l.Now(),
	}
	if repo.DefaultBranch == "" {
		repo.DefaultBranch = "main"
	}
	if u := r.Upstream; u != nil {
		hosts := map[string]string{"github": "github.com", "gitlab": "gitlab.com"}
		host := u.Host
		if host == "" {
			host = hosts[u.Provider]
		}
		if host == "" {
			return core.Repository{}, core.Errorf(core.KindInvalid, "provider %q needs upstream_host", u.Provider)
		}
		mode := providers.ModeGeneric
		switch {
		case u.Public:
			mode = providers.ModePublic
		case u.Provider == "github":
			return core.Repository{}, core.Errorf(core.KindPrecondition, "the GitHub App is not configured")
		}
		repo.Upstream = &core.Upstream{Provider: u.Provider, Mode: mode, Host: host, Owner: u.Owner, Name: u.Name, DefaultBranch: u.DefaultBranch}
		l.statuses[repo.ID] = engine.SyncStatus{}
	}
	l.repos = append(l.repos, repo)
	return repo, nil
}

// find returns the index of a repository; the caller holds the lock.
func (l *ledger) find(org, nameOrID string) (int, error) {
	i := slices.IndexFunc(l.repos, func(r core.Repository) bool { return r.Org == org && (r.Name == nameOrID || r.ID == nameOrID) })
	if i < 0 {
		return 0, core.Errorf(core.KindNotFound, "repository %q does not exist", nameOrID)
	}
	return i, nil
}

func (l *ledger) Repository(_ context.Context, org, nameOrID string) (core.Repository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.find(org, nameOrID)
	if err != nil {
		return core.Repository{}, err
	}
	return l.repos[i], nil
}

func (l *ledger) Repositories(_ context.Context, f core.RepositoryFilter) ([]core.ListedRepository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []core.ListedRepository
	for _, r := range slices.Backward(l.repos) {
		if r.Org == f.Org && (f.Before == "" || r.ID < f.Before) && len(found) < f.Limit &&
			strings.Contains(strings.ToLower(r.Name), strings.ToLower(f.Query)) {
			found = append(found, core.ListedRepository{Repository: r})
		}
	}
	return found, nil
}

func (l *ledger) Pause(_ context.Context, repo core.Repository) (core.Repository, error) {
	return repo, nil
}

func (l *ledger) Resume(_ context.Context, repo core.Repository) (core.Repository, error) {
	return repo, nil
}

func (l *ledger) SetDefaultBranch(_ context.Context, repo core.Repository, branch string) (core.Repository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if branch == "missing" {
		return core.Repository{}, core.Errorf(core.KindNotFound, "branch %q does not exist", branch)
	}
	i, err := l.find(repo.Org, repo.ID)
	if err != nil {
		return core.Repository{}, err
	}
	l.repos[i].DefaultBranch = branch
	return l.repos[i], nil
}

func (l *ledger) DeleteRepository(_ context.Context, repo core.Repository, _ bool) (core.Repository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.find(repo.Org, repo.ID)
	if err != nil {
		return repo, err
	}
	l.repos = slices.Delete(l.repos, i, i+1)
	return repo, nil
}

func (l *ledger) DeletedRepository(_ context.Context, org, name string) (core.Repository, error) {
	if name != "app" {
		return core.Repository{}, core.Errorf(core.KindNotFound, "nothing is in the trash")
	}
	return core.Repository{ID: "repo_1", Org: org, Name: name, DeletedAt: time.Unix(1, 0)}, nil
}

func (l *ledger) UndeleteRepository(_ context.Context, repo core.Repository, _ string) (core.Repository, error) {
	return repo, nil
}

func (l *ledger) RenameRepository(_ context.Context, repo core.Repository, _ string) (core.Repository, error) {
	return repo, nil
}

func (l *ledger) PurgeDeleted(context.Context, core.Repository) error { return nil }

func (l *ledger) Detach(_ context.Context, repo core.Repository) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.find(repo.Org, repo.ID)
	if err != nil {
		return err
	}
	l.repos[i].Upstream = nil
	delete(l.statuses, repo.ID)
	delete(l.credentials, repo.ID)
	return nil
}

func (l *ledger) Request(_ context.Context, _, trigger, ref string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pulls = append(l.pulls, trigger+":"+ref)
	return int64(len(l.pulls)), nil
}

func (l *ledger) SyncStatus(_ context.Context, repo core.Repository) (engine.SyncStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	status, ok := l.statuses[repo.ID]
	if !ok {
		return status, core.Errorf(core.KindNotFound, "repository %q is not synced", repo.Name)
	}
	return status, nil
}

func (l *ledger) Runs(context.Context, string, string, int) ([]core.Run, error) {
	return nil, nil
}

func (l *ledger) PendingLFS(context.Context, string, bool, string, int) ([]core.LFSPending, error) {
	return nil, nil
}

func (l *ledger) CreateCredential(_ context.Context, repo core.Repository, q engine.CredentialRequest) (core.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if repo.Upstream != nil && repo.Upstream.Mode != providers.ModeGeneric {
		return core.Credential{}, core.Errorf(core.KindInvalid, "repository %q uses no stored credential", repo.Name)
	}
	if _, ok := l.credentials[repo.ID]; ok {
		return core.Credential{}, core.Errorf(core.KindConflict, "repository %q has a credential already", repo.Name)
	}
	username := ""
	if q.Username != nil {
		username = *q.Username
	}
	l.credentials[repo.ID] = core.Credential{ID: core.NewID("ggc", l.Now()), RepoID: repo.ID, Username: username, Secret: q.Secret, CreatedAt: l.Now(), UpdatedAt: l.Now()}
	return l.credentials[repo.ID], nil
}

// credentialByID returns a credential of the organisation; the caller holds
// the lock.
func (l *ledger) credentialByID(org, id string) (core.Credential, error) {
	for _, c := range l.credentials {
		if c.ID == id {
			if _, err := l.find(org, c.RepoID); err == nil {
				return c, nil
			}
		}
	}
	return core.Credential{}, core.Errorf(core.KindNotFound, "there is no such credential")
}

func (l *ledger) UpdateCredential(_ context.Context, org, id string, q engine.CredentialRequest) (core.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := l.credentialByID(org, id)
	if err != nil {
		return core.Credential{}, err
	}
	if q.Username != nil {
		c.Username = *q.Username
	}
	c.Secret, c.UpdatedAt = q.Secret, l.Now()
	l.credentials[c.RepoID] = c
	return c, nil
}

func (l *ledger) DeleteCredential(_ context.Context, org, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := l.credentialByID(org, id)
	if err != nil {
		return err
	}
	delete(l.credentials, c.RepoID)
	return nil
}

func (l *ledger) Settings(context.Context, string) (core.Settings, error) {
	return core.Settings{}, nil
}

func (l *ledger) LastDamage(context.Context, string) (core.Damage, error) {
	return core.Damage{}, core.Errorf(core.KindNotFound, "nothing was ever damaged")
}

func (l *ledger) CredentialByRepo(_ context.Context, repoID string) (core.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.credentials[repoID]
	if !ok {
		return core.Credential{}, core.Errorf(core.KindNotFound, "no credential is stored")
	}
	return c, nil
}

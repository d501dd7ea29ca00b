package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
)

// repositoryView is a repository in answers.
type repositoryView struct {
	RepoID        string          `json:"repo_id"`
	RepoName      string          `json:"repo_name"`
	URL           string          `json:"url"` // the public name again, under its older key
	HTTPURL       string          `json:"http_url"`
	DefaultBranch string          `json:"default_branch"`
	CreatedAt     core.Timestamp  `json:"created_at"`
	DiskBytes     int64           `json:"disk_bytes"`           // of its folder, as it was last measured
	ChangedAt     *core.Timestamp `json:"changed_at,omitempty"` // refs last moved here
	DeletedAt     *core.Timestamp `json:"deleted_at,omitempty"` // of one in the trash
	KeptUntil     *core.Timestamp `json:"kept_until,omitempty"` // when it is removed from there
	BaseRepo      *baseRepoView   `json:"base_repo,omitempty"`  // of a synced repository
	Sync          *syncView       `json:"sync,omitempty"`       // of a synced repository
	Credential    *credentialView `json:"credential,omitempty"` // if one is stored; not in lists
	Damage        *damageView     `json:"damage,omitempty"`     // of its folder; one that has ended not in lists
}

// baseRepoView is the link of a synced repository.
type baseRepoView struct {
	Provider     string `json:"provider"`
	Owner        string `json:"owner"`
	Name         string `json:"name"`
	UpstreamHost string `json:"upstream_host,omitempty"`
}

// syncView is the state of following an upstream.
type syncView struct {
	State         syncStateWord   `json:"state"`
	LastSuccessAt *core.Timestamp `json:"last_success_at,omitempty"`
	LastError     *syncErrorView  `json:"last_error,omitempty"`
	Runs          int64           `json:"runs"`
	Failures      int             `json:"failures"` // consecutive
	NextAttemptAt *core.Timestamp `json:"next_attempt_at,omitempty"`
	Wanted        int64           `json:"wanted"`                 // the newest request for a sync; they are counted
	Tried         int64           `json:"tried"`                  // the newest request whose run has ended, well or not
	ObservedAt    *core.Timestamp `json:"observed_at,omitempty"`  // the upstream last confirmed the copy
	ChangedAt     *core.Timestamp `json:"changed_at,omitempty"`   // it was last seen to have changed
	NextPollAt    *core.Timestamp `json:"next_poll_at,omitempty"` // it is looked at unasked
	PausedAt      *core.Timestamp `json:"paused_at,omitempty"`    // since when the upstream is left alone
	UpstreamURL   string          `json:"upstream_url,omitempty"` // that git really uses, with its scheme and without a credential
	Upstream      upstreamWord    `json:"upstream_state"`
	UpstreamSince *core.Timestamp `json:"upstream_since,omitempty"`
	SkippedRefs   []skippedView   `json:"skipped_refs,omitempty"` // of the upstream, and not mirrored
	LFS           *lfsSyncView    `json:"lfs,omitempty"`          // what is still to be fetched, with the setting lfs = mirror
	HeldRefs      []heldView      `json:"held_refs,omitempty"`    // not where the upstream has them, by policy
	Progress      *core.Progress  `json:"progress,omitempty"`
	LastRun       *runView        `json:"last_run,omitempty"`
	Webhook       *inboundView    `json:"webhook,omitempty"` // how the host tells of changes
	Identity      identityView    `json:"identity"`
	Unconfirmed   []string        `json:"unconfirmed,omitempty"` // refs whose last push the upstream has not answered for
}

// identityView says whether the upstream is known to be the repository that is
// followed, and not another one that took its name.
type identityView struct {
	State       identityWord    `json:"state"`
	ConfirmedAt *core.Timestamp `json:"confirmed_at,omitempty"`
	Message     string          `json:"message,omitempty"` // why it cannot be asked for
}

// identityWord sums up what is known of an upstream's stable id. Whether a host
// can be asked for it depends on the credential, too.
type identityWord string

const (
	identityConfirmed   identityWord = "confirmed"   // the host reported the linked id
	identityUnchecked   identityWord = "unchecked"   // not asked since the server started
	identityUnconfirmed identityWord = "unconfirmed" // the host reported another id or no repository
	identityUnavailable identityWord = "unavailable" // host or credential tell none
)

// skippedView is a ref of the upstream that cannot be beside one that is mirrored.
type skippedView struct {
	core.SkippedRef
	Reason string `json:"reason"`
}

// heldView is a ref that a policy keeps from where the upstream has it.
type heldView struct {
	Ref       string            `json:"ref"`
	RewriteID string            `json:"rewrite_id"`
	State     core.RewriteState `json:"state"` // held, frozen or dismissed
	Reason    string            `json:"reason"`
}

// syncStateWord sums a sync state up in one word.
type syncStateWord string

const (
	syncPending = syncStateWord(core.RepositoryPending) // the first sync has not begun
	syncSyncing = syncStateWord(core.RepositorySyncing) // a run is under way
	syncReady   = syncStateWord(core.RepositoryReady)   // the last run succeeded
	syncFailing = syncStateWord(core.RepositoryFailing) // the last run failed; it will be tried again
	syncPaused  = syncStateWord(core.RepositoryPaused)  // a person has the upstream left alone
	syncHeld    = syncStateWord(core.RepositoryHeld)    // the upstream lost most of its refs; a person must confirm
	// The upstream has not answered for a push, and is being asked what it has.
	syncUnconfirmed = syncStateWord(core.RepositoryUnconfirmed)
	// The content is not here, or is damaged.
	syncRebuilding = syncStateWord(core.RepositoryRebuilding) // it is fetched again
	syncWaiting    = syncStateWord(core.RepositoryWaiting)    // a person must say go on
)

// syncStateWords returns all of them.
func syncStateWords() []syncStateWord {
	return []syncStateWord{syncPending, syncSyncing, syncReady, syncFailing, syncPaused, syncHeld, syncUnconfirmed, syncRebuilding, syncWaiting}
}

// upstreamWord is a [core.UpstreamState], where "active" has its name.
type upstreamWord string

const (
	upstreamActive    upstreamWord = "active"
	upstreamArchived  upstreamWord = "archived"
	upstreamPrivate   upstreamWord = "private"
	upstreamRevoked   upstreamWord = "revoked"
	upstreamSuspended upstreamWord = "suspended"
	upstreamDeleted   upstreamWord = "deleted"
	upstreamReplaced  upstreamWord = "replaced"
)

func upstreamWordOf(s core.UpstreamState) upstreamWord { return upstreamWord(s.Word()) }

type syncErrorView struct {
	Class   core.ErrorClass `json:"class"`
	Message string          `json:"message"`
	At      core.Timestamp  `json:"at"`
}

type runView struct {
	ID          string          `json:"id"`
	Trigger     string          `json:"trigger"`
	Ref         string          `json:"ref,omitempty"`
	First       bool            `json:"is_first"`
	Outcome     string          `json:"outcome"` // "" while it runs
	StartedAt   core.Timestamp  `json:"started_at"`
	FinishedAt  *core.Timestamp `json:"finished_at,omitempty"`
	RefsCreated int             `json:"refs_created"`
	RefsUpdated int             `json:"refs_updated"`
	RefsDeleted int             `json:"refs_deleted"`
	RefsForced  int             `json:"refs_forced"` // of the updated ones
	RefsHeld    int             `json:"refs_held"`   // left where they are by policy
	Bytes       int64           `json:"bytes"`       // received
	DurationMS  *int64          `json:"duration_ms,omitempty"`
	Phases      []phaseView     `json:"phases,omitempty"`
	Class       core.ErrorClass `json:"class,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// phaseView is one part of a run.
type phaseView struct {
	Name       string `json:"name"` // list, fetch or apply
	DurationMS int64  `json:"duration_ms"`
}

// repositoryView is everything that may be known of a repository.
func (s *server) repositoryView(c *call, repo core.Repository) (repositoryView, error) {
	view, err := s.listItem(c, repo)
	if err != nil {
		return view, err
	}
	credential, err := s.Records.CredentialByRepo(c.ctx(), repo.ID)
	switch {
	case err == nil:
		view.Credential = new(viewCredential(credential))
	case core.KindOf(err) != core.KindNotFound:
		return repositoryView{}, err
	}
	if s.Damages == nil || view.Damage != nil {
		return view, nil
	}
	// What was found wrong last and has ended.
	damage, err := s.Records.LastDamage(c.ctx(), repo.ID)
	switch {
	case err == nil:
		view.Damage = viewDamage(repo, damage)
	case core.KindOf(err) != core.KindNotFound:
		return repositoryView{}, err
	}
	return view, nil
}

// base returns the URL that clients reach the server by: the configured one,
// else what the request came to.
func (s *server) base(r *http.Request) string { return Base(s.PublicURL, r) }

// Base returns the URL that clients reach the server by: the public one if it is not
// "", else what the request came to. It ends without a slash.
func Base(publicURL string, r *http.Request) string {
	if publicURL != "" {
		return strings.TrimSuffix(publicURL, "/")
	}
	return origin(r)
}

// listItem is a repository in a list, and the first part of every other view.
func (s *server) listItem(c *call, repo core.Repository) (repositoryView, error) {
	view := repositoryView{
		RepoID: repo.ID, RepoName: repo.Name, URL: repo.Name, HTTPURL: s.base(c.r) + "/" + core.RemotePath(repo.Name),
		DefaultBranch: repo.DefaultBranch, CreatedAt: core.Timestamp(repo.CreatedAt),
		DiskBytes: repo.DiskBytes, ChangedAt: instant(repo.ChangedAt),
		DeletedAt: instant(repo.DeletedAt), KeptUntil: instant(repo.KeptUntil),
	}
	if s.Damages != nil {
		if damage, ok := s.Damages.Of(repo); ok {
			view.Damage = viewDamage(repo, damage)
		}
	}
	if repo.Upstream == nil {
		return view, nil
	}
	view.BaseRepo = &baseRepoView{
		Provider: repo.Upstream.Provider, Owner: repo.Upstream.Owner, Name: repo.Upstream.Name, UpstreamHost: repo.Upstream.Host,
	}
	if repo.Deleted() {
		return view, nil // it is not followed
	}
	status, err := s.Syncs.SyncStatus(c.ctx(), repo)
	switch {
	case err == nil:
		view.Sync = new(viewSync(status))
		view.Sync.UpstreamURL = repo.Upstream.URL
	case core.KindOf(err) != core.KindNotFound:
		return repositoryView{}, err
	default:
		// Detached or deleted since it was read: it has no state any more.
	}
	return view, nil
}

// origin returns scheme and host under which the client reached the server.
// X-Forwarded-Proto is believed, because the answer goes to nobody but the one
// who sent it.
func origin(r *http.Request) string {
	scheme := "http"
	if forwarded := r.Header.Get("X-Forwarded-Proto"); forwarded == "https" || forwarded == "" && r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func viewSync(status engine.SyncStatus) syncView {
	view := syncView{
		State:         syncState(status),
		LastSuccessAt: instant(status.LastSuccessAt),
		Runs:          status.SyncState.Runs,
		Failures:      status.Failures,
		NextAttemptAt: instant(status.NextAttemptAt),
		Wanted:        status.Wanted,
		Tried:         status.Tried,
		ObservedAt:    instant(status.ObservedAt),
		ChangedAt:     instant(status.ChangedAt),
		NextPollAt:    instant(status.PollAt),
		PausedAt:      instant(status.PausedAt),
		Upstream:      upstreamWordOf(status.UpstreamState),
		UpstreamSince: instant(status.UpstreamSince),
		Progress:      status.Progress,
		Unconfirmed:   status.Unconfirmed,
	}
	if status.LFS != nil {
		view.LFS = new(viewLFSSync(*status.LFS))
	}
	for _, skipped := range status.Skipped {
		view.SkippedRefs = append(view.SkippedRefs, skippedView{skipped, skipped.Reason()})
	}
	for _, held := range status.Held {
		view.HeldRefs = append(view.HeldRefs, heldView{held.Ref, held.ID, held.State, held.HoldReason()})
	}
	if status.LastError != "" {
		view.LastError = &syncErrorView{status.LastClass, status.LastError, core.Timestamp(status.LastErrorAt)}
	}
	if status.LastRun != nil {
		view.LastRun = new(viewRun(*status.LastRun))
	}
	if status.Webhook != nil {
		view.Webhook = new(viewInboundHealth(*status.Webhook))
	}
	view.Identity = identityView{State: identityUnchecked, ConfirmedAt: instant(status.Identity.Confirmed), Message: status.Identity.Reason}
	switch {
	case status.Identity.Reason != "":
		view.Identity.State = identityUnavailable
	case !status.Identity.Confirmed.IsZero() && status.Identity.Settled:
		view.Identity.State = identityConfirmed
	case status.Identity.Asked:
		view.Identity.State = identityUnconfirmed
	}
	return view
}

func viewRun(run core.Run) runView {
	view := runView{
		ID: run.ID, Trigger: run.Trigger, Ref: run.Ref, First: run.First, Outcome: run.Outcome,
		StartedAt: core.Timestamp(run.StartedAt), FinishedAt: instant(run.FinishedAt),
		RefsCreated: run.RefsCreated, RefsUpdated: run.RefsUpdated, RefsDeleted: run.RefsDeleted, RefsForced: run.RefsForced,
		RefsHeld: run.RefsHeld, Bytes: run.Bytes, Class: run.Class, Error: run.Error,
	}
	if !run.FinishedAt.IsZero() {
		view.DurationMS = new(run.FinishedAt.Sub(run.StartedAt).Milliseconds())
	}
	for _, phase := range run.Phases {
		view.Phases = append(view.Phases, phaseView{phase.Name, phase.Duration.Milliseconds()})
	}
	return view
}

func syncState(status engine.SyncStatus) syncStateWord {
	switch {
	case status.Damage != nil && status.Damage.State == core.DamageWaiting:
		return syncWaiting
	case status.Damage != nil:
		return syncRebuilding
	case status.Running:
		return syncSyncing
	case !status.PausedAt.IsZero():
		return syncPaused
	case status.BrakeDigest != "":
		return syncHeld
	case status.LastError != "" && status.LastClass == core.ClassDiverged:
		return syncHeld
	case status.LastError != "":
		return syncFailing
	case len(status.Unconfirmed) > 0:
		return syncUnconfirmed
	case status.Ready():
		return syncReady
	}
	return syncPending
}

// instant returns nil for the zero time, so that it is left out of the JSON.
func instant(t time.Time) *core.Timestamp {
	if t.IsZero() {
		return nil
	}
	return new(core.Timestamp(t))
}

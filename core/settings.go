package core

import (
	"context"
	"strings"
	"time"
)

// Settings is what a person chose for one repository. The zero value is the
// default of everything.
type Settings struct {
	// Poll says when the upstream is looked at unasked: "" is the default of
	// the provider, "off" never, "auto" adaptively between 15 s and 8 h, else a
	// Go duration of at least 5 s.
	Poll string `json:"poll,omitempty"`

	// MaxStaleness is how old the last confirmation of the upstream may be
	// before Freshness applies; 0 is no limit.
	MaxStaleness time.Duration   `json:"max_staleness,omitempty"`
	Freshness    FreshnessPolicy `json:"freshness,omitempty"`

	// RefPolicies say what becomes of refs that the upstream rewrites or
	// deletes: the first whose pattern matches decides; none is
	// [RefFollowRetain].
	RefPolicies []RefPolicy `json:"ref_policies,omitempty"`
	// Retention is how long old tips are kept, 0 is 30 days; RetentionBytes
	// bounds what they alone hold, 0 is no limit.
	Retention      time.Duration `json:"retention,omitempty"`
	RetentionBytes int64         `json:"retention_bytes,omitempty"`

	// Include and Exclude are patterns of full ref names that are mirrored and
	// may be pushed: a ref must match an include (none is all branches and
	// tags) and no exclude.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// PullRequests mirrors the host's pull-request refs into refs/pull/.
	PullRequests bool `json:"pull_requests,omitempty"`

	// Tolerate names checks of git's, as "treeNotSorted", that objects of the
	// repository may fail, beside those that any may; see [fsck.Checks].
	Tolerate []string `json:"tolerate,omitempty"`

	// EphemeralTTL is how long an ephemeral branch lives after its last push, 0
	// for ever; EphemeralQuota is how many there may be, 0 is no limit.
	EphemeralTTL   time.Duration `json:"ephemeral_ttl,omitempty"`
	EphemeralQuota int           `json:"ephemeral_quota,omitempty"`

	// StrictWants serves objects by their ids only if a ref leads to them that is
	// shown to whoever may read the repository; else whoever knows the id of an object
	// that is here may read it.
	StrictWants bool `json:"strict_wants,omitempty"`

	// PublicRead lets whoever knows the name clone and fetch without a token, while the
	// upstream is public too; see core/publicread. What StrictWants says holds meanwhile.
	PublicRead bool `json:"public_read,omitempty"`

	// LFS says what is done with Git LFS; the empty mode is [LFSOnDemand].
	LFS LFSMode `json:"lfs,omitempty"`
	// LFSPolicy says when refs follow the upstream whose LFS objects are not here yet; the
	// empty policy is [LFSFollow].
	LFSPolicy LFSPolicy `json:"lfs_policy,omitempty"`
}

// FreshnessPolicy says what happens to a read of a copy that is too old.
type FreshnessPolicy string

// The freshness policies. The empty one is [FreshServe].
const (
	FreshUnset      FreshnessPolicy = ""
	FreshServe      FreshnessPolicy = "serve"      // answer, and say how old the copy is
	FreshRevalidate FreshnessPolicy = "revalidate" // look at the upstream for a bounded time, then answer and say so
	FreshFail       FreshnessPolicy = "fail"       // look; if the copy stays too old, refuse with Retry-After
)

// RefPolicy says what becomes of refs whose full name matches a pattern.
type RefPolicy struct {
	Pattern string    `json:"pattern"` // like "refs/heads/release/*"; see git's wildmatch: "*" stops at "/", "**" does not
	Action  RefAction `json:"action"`
}

// RefAction is what becomes of a ref that the upstream rewrites or deletes.
type RefAction string

// The actions on a rewrite or deletion.
const (
	RefFollow       RefAction = "follow"        // move along, record it
	RefFollowRetain RefAction = "follow+retain" // move along, keep the old tip
	RefHold         RefAction = "hold"          // stay until a person approves
	RefFreeze       RefAction = "freeze"        // never move by a sync, whatever the upstream does
)

// How often an upstream is looked at unasked is a duration or one of these.
const (
	PollOff  = "off"
	PollAuto = "auto" // adaptive
	// MinPoll is the shortest duration that may be asked for.
	MinPoll = 5 * time.Second
)

// Limits of settings.
const (
	maxPoll         = 24 * time.Hour
	maxRetention    = 10 * 365 * 24 * time.Hour
	maxEphemeralTTL = 90 * 24 * time.Hour // the journal tells of the last push that long
	maxPatterns     = 100
	maxPatternSize  = 256
)

// PollInterval returns the interval of a poll setting: 0 for [PollOff],
// [PollAuto] and "". Errors: KindInvalid.
func PollInterval(poll string) (time.Duration, error) {
	switch poll {
	case "", PollOff, PollAuto:
		return 0, nil
	}
	d, err := ParseDuration(poll)
	if err != nil || d < MinPoll || d > maxPoll {
		return 0, Errorf(KindInvalid, `poll must be "off", "auto", or a duration from %s to %s, like "30s"`, MinPoll, maxPoll)
	}
	return d, nil
}

// Validate returns a KindInvalid error that names the first setting that cannot
// be meant. It does not judge the form of patterns; who matches them does.
func (s Settings) Validate() error {
	if _, err := PollInterval(s.Poll); err != nil {
		return err
	}
	if _, err := ParseDemand("", string(s.Freshness)); err != nil {
		return err
	}
	for _, limit := range []struct {
		name     string
		value    time.Duration
		greatest time.Duration
	}{
		{"max_staleness", s.MaxStaleness, maxRetention},
		{"retention", s.Retention, maxRetention},
		{"ephemeral_ttl", s.EphemeralTTL, maxEphemeralTTL},
	} {
		if limit.value < 0 || limit.value > limit.greatest {
			return Errorf(KindInvalid, "%s must be between 0 and %s", limit.name, limit.greatest)
		}
	}
	switch s.LFS {
	case LFSUnset, LFSOff, LFSOnDemand, LFSMirror:
	default:
		return Errorf(KindInvalid, "lfs: the mode %q is unknown; use %q, %q or %q", s.LFS, LFSOnDemand, LFSMirror, LFSOff)
	}
	switch s.LFSPolicy {
	case LFSPolicyUnset, LFSFollow:
	case LFSHold:
		if s.LFS != LFSMirror {
			return Errorf(KindInvalid, "lfs_policy: %q needs lfs to be %q, else the objects never come by themselves", LFSHold, LFSMirror)
		}
	default:
		return Errorf(KindInvalid, "lfs_policy: the policy %q is unknown; use %q or %q", s.LFSPolicy, LFSFollow, LFSHold)
	}
	if s.RetentionBytes < 0 || s.EphemeralQuota < 0 {
		return Errorf(KindInvalid, "retention_bytes and ephemeral_quota must not be negative")
	}
	patterns := append(append([]string(nil), s.Include...), s.Exclude...)
	for _, p := range s.RefPolicies {
		switch p.Action {
		case RefFollow, RefFollowRetain, RefHold, RefFreeze:
		default:
			return Errorf(KindInvalid, "ref_policies: action %q is unknown; use %q, %q, %q or %q", p.Action, RefFollow, RefFollowRetain, RefHold, RefFreeze)
		}
		patterns = append(patterns, p.Pattern)
	}
	if len(patterns) > maxPatterns {
		return Errorf(KindInvalid, "at most %d patterns can be set", maxPatterns)
	}
	for _, p := range patterns {
		if !strings.HasPrefix(p, "refs/") || len(p) > maxPatternSize {
			return Errorf(KindInvalid, "pattern %q must begin with refs/ and have at most %d characters, like \"refs/heads/release/*\"", p, maxPatternSize)
		}
	}
	return nil
}

// SettingsStore keeps what people chose per repository.
type SettingsStore interface {
	// Settings returns the zero value for a repository that has none.
	Settings(ctx context.Context, repoID string) (Settings, error)
	SaveSettings(ctx context.Context, repoID string, s Settings) error
	// ExpiringRepositories lists repositories whose ephemeral branches have a
	// time to live, ids above after, in order.
	ExpiringRepositories(ctx context.Context, after string, limit int) ([]string, error)
}

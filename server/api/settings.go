package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/repo"
)

// Settings reads and writes what was chosen for repositories.
// [*engine.Engine] implements it; see there for the errors.
type Settings interface {
	SaveSettings(ctx context.Context, repo core.Repository, s core.Settings) error
}

// Plans tells what a sync with other settings would do to the refs of a repository
// that has an upstream.
type Plans interface {
	Plan(ctx context.Context, repo core.Repository, s core.Settings) (mirror.Plan, error)
}

var _ Plans = (*mirror.Service)(nil)

// settingsBody is the settings in a request: what is absent stays as it is.
type settingsBody settingsView

// settingsView is the settings in an answer.
type settingsView struct {
	Poll           string               `json:"poll"`
	MaxStaleness   duration             `json:"max_staleness"`
	Freshness      core.FreshnessPolicy `json:"freshness"`
	RefPolicies    []refPolicyView      `json:"ref_policies"`
	Retention      duration             `json:"retention"`
	RetentionBytes int64                `json:"retention_bytes"`
	Include        []string             `json:"include"`
	Exclude        []string             `json:"exclude"`
	PullRequests   bool                 `json:"pull_requests"`
	Tolerate       []string             `json:"tolerate"`
	EphemeralTTL   duration             `json:"ephemeral_ttl"`
	EphemeralQuota int                  `json:"ephemeral_quota"`
	StrictWants    bool                 `json:"strict_wants"` // objects by id only if a ref leads to them
	PublicRead     bool                 `json:"public_read"`  // fetches need no token while the upstream is public
	LFS            core.LFSMode         `json:"lfs"`          // "off", "on-demand", "mirror", or "", which is on-demand
	LFSPolicy      core.LFSPolicy       `json:"lfs_policy"`   // "follow", "hold", or "", which is follow
}

// refPolicyView says what becomes of refs that the upstream rewrites or deletes.
type refPolicyView struct {
	Pattern string         `json:"pattern"`
	Action  core.RefAction `json:"action"`
}

// duration is a Go duration as text, "" for 0.
type duration time.Duration

// MarshalJSON writes the text of [time.Duration].
func (d duration) MarshalJSON() ([]byte, error) {
	if d == 0 {
		return []byte(`""`), nil
	}
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads it; null leaves it as it is.
func (d *duration) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return err
	}
	if *text == "" {
		*d = 0
		return nil
	}
	parsed, err := core.ParseDuration(*text)
	if err != nil {
		return core.Errorf(core.KindInvalid, "%q is not a duration with its unit, like \"5s\" or \"30d\"", *text)
	}
	*d = duration(parsed)
	return nil
}

func viewSettings(s core.Settings) settingsView {
	policies := []refPolicyView{}
	for _, p := range s.RefPolicies {
		policies = append(policies, refPolicyView(p))
	}
	return settingsView{
		Poll: s.Poll, MaxStaleness: duration(s.MaxStaleness), Freshness: s.Freshness, RefPolicies: policies,
		Retention: duration(s.Retention), RetentionBytes: s.RetentionBytes, Include: orEmpty(s.Include), Exclude: orEmpty(s.Exclude),
		PullRequests: s.PullRequests, Tolerate: orEmpty(s.Tolerate), EphemeralTTL: duration(s.EphemeralTTL), EphemeralQuota: s.EphemeralQuota,
		StrictWants: s.StrictWants, PublicRead: s.PublicRead, LFS: s.LFS, LFSPolicy: s.LFSPolicy,
	}
}

func (v settingsView) settings() core.Settings {
	var policies []core.RefPolicy
	for _, p := range v.RefPolicies {
		policies = append(policies, core.RefPolicy(p))
	}
	return core.Settings{
		Poll: v.Poll, MaxStaleness: time.Duration(v.MaxStaleness), Freshness: v.Freshness, RefPolicies: policies,
		Retention: time.Duration(v.Retention), RetentionBytes: v.RetentionBytes, Include: v.Include, Exclude: v.Exclude,
		PullRequests: v.PullRequests, Tolerate: v.Tolerate, EphemeralTTL: time.Duration(v.EphemeralTTL), EphemeralQuota: v.EphemeralQuota,
		StrictWants: v.StrictWants, PublicRead: v.PublicRead, LFS: v.LFS, LFSPolicy: v.LFSPolicy,
	}
}

// settingsAnswer is the settings, and with dry_run what they would do.
type settingsAnswer struct {
	Settings settingsView `json:"settings"`
	Plan     *planView    `json:"plan,omitempty"`
}

// planView is what a change would do to refs.
type planView struct {
	Created []core.RefUpdate `json:"created"`
	Moved   []core.RefUpdate `json:"moved"`  // fast-forward, or not known before the objects are here
	Forced  []core.RefUpdate `json:"forced"` // known to lose history
	Deleted []core.RefUpdate `json:"deleted"`
	Held    []core.RefUpdate `json:"held"` // left where they are by policy
}

func viewPlan(p mirror.Plan) planView {
	return planView{
		Created: orEmpty(p.Created), Moved: orEmpty(p.Moved), Forced: orEmpty(p.Forced), Deleted: orEmpty(p.Deleted), Held: orEmpty(p.Held),
	}
}

func (s *server) getSettings(c *call) error {
	settings, err := s.Records.Settings(c.ctx(), c.repo.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, settingsAnswer{Settings: viewSettings(settings)})
}

// updateSettings changes what the body names. With ?dry_run=true nothing is
// changed, and the answer tells what would become of the refs.
func (s *server) updateSettings(c *call) error {
	query := params{c.r.URL.Query()}
	dry, err := query.flag("dry_run")
	if err != nil {
		return err
	}
	settings, err := s.Records.Settings(c.ctx(), c.repo.ID)
	if err != nil {
		return err
	}
	body := settingsBody(viewSettings(settings)) // what the request leaves out stays
	read := c.change
	if dry {
		read = c.body // what would become of the refs as the settings are
	}
	if err := read(&body); err != nil {
		return err
	}
	was := settings.PublicRead
	settings = settingsView(body).settings()
	answer := settingsAnswer{Settings: viewSettings(settings)}
	if dry {
		if err := repo.CheckSettings(c.repo, settings); err != nil {
			return err
		}
		var plan mirror.Plan // without an upstream nothing happens to refs
		if c.repo.Upstream != nil {
			if plan, err = s.Plans.Plan(c.ctx(), c.repo, settings); err != nil {
				return err
			}
		}
		answer.Plan = new(viewPlan(plan))
		return c.answer(http.StatusOK, answer)
	}
	if settings.PublicRead != was {
		c.changed = map[bool]string{true: "public_read on", false: "public_read off"}[settings.PublicRead]
	}
	if err := s.Settings.SaveSettings(c.ctx(), c.repo, settings); err != nil {
		return err
	}
	if settings, err = s.Records.Settings(c.ctx(), c.repo.ID); err != nil {
		return err
	}
	return c.answer(http.StatusOK, settingsAnswer{Settings: viewSettings(settings)})
}

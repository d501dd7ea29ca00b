package core

import (
	"fmt"
	"strings"
	"time"
)

// Demand is how fresh a copy a caller demands. The zero value demands nothing
// of its own.
type Demand struct {
	// MaxStaleness is how long ago the upstream may have confirmed the copy;
	// nil says nothing, 0 means now: after the call.
	MaxStaleness *time.Duration
	Policy       FreshnessPolicy // "" with MaxStaleness is [FreshRevalidate]
}

// ParseDemand reads a demand of a token, a request or a setting. Empty texts
// say nothing. Errors: KindInvalid.
func ParseDemand(maxStaleness, policy string) (Demand, error) {
	var d Demand
	if maxStaleness != "" {
		age, err := time.ParseDuration(maxStaleness)
		if err != nil || age < 0 {
			return Demand{}, Errorf(KindInvalid, `max_staleness must be a duration of 0 or more with its unit, like "5s" or "10m"`)
		}
		d.MaxStaleness = &age
	}
	switch p := FreshnessPolicy(policy); p {
	case "", FreshServe, FreshRevalidate, FreshFail:
		d.Policy = p
	default:
		return Demand{}, Errorf(KindInvalid, `freshness must be "serve", "revalidate" or "fail"`)
	}
	return d, nil
}

// Or fills in what d does not say from the other: the request's word goes
// before the token's, and the token's before the repository's.
func (d Demand) Or(other Demand) Demand {
	if d.MaxStaleness == nil {
		d.MaxStaleness = other.MaxStaleness
	}
	if d.Policy == "" {
		d.Policy = other.Policy
	}
	return d
}

// Demand returns what the settings of a repository demand of every read.
func (s Settings) Demand() Demand {
	d := Demand{Policy: s.Freshness}
	if s.MaxStaleness > 0 {
		d.MaxStaleness = &s.MaxStaleness
	}
	return d
}

// Freshness is how fresh the copy of a synced repository is.
type Freshness struct {
	Synced     bool          // false: the repository is no copy of anything
	ObservedAt time.Time     // the upstream last confirmed the copy; zero: never
	Staleness  time.Duration // since then
	Digest     string        // of the upstream's refs as seen then; "" if the copy moved since
	Stale      bool          // older than was demanded
	Looked     bool          // the upstream was looked at for this call
	Failing    bool          // the last contact failed
	Paused     bool          // the upstream is left alone: nobody looks
	State      UpstreamState
	Class      ErrorClass // of the last contact, if it failed
	Reason     string     // why it failed, redacted; "" if it did not
}

// Notice returns one line for a person who reads a copy that may be out of
// date, and "" if there is nothing to say.
func (f Freshness) Notice() string {
	if !f.Synced || !f.Stale && !f.Failing {
		return ""
	}
	line := "this mirror has never been confirmed by its upstream"
	if !f.ObservedAt.IsZero() {
		line = fmt.Sprintf("this mirror was last confirmed by its upstream %s ago", Ago(f.Staleness))
	}
	switch {
	case f.Paused:
		line += "; the mirror is paused"
	case f.State != UpstreamActive:
		line += "; the upstream is " + string(f.State)
	case f.Failing && f.Class.isOutage():
		line += "; the upstream cannot be reached"
	case f.Failing:
		line += "; the last contact with it failed"
	}
	switch {
	case f.Reason == "":
	case f.Failing:
		line += ": " + strings.TrimPrefix(f.Class.Explain(f.Reason), whoUpstream+": ")
	default:
		line += ": " + f.Class.Describe(f.Reason)
	}
	return line
}

// Ago writes how long ago something was, as a person would say it.
func Ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return Count(int(d.Hours()/24), "day")
}

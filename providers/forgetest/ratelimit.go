package forgetest

import (
	"net/http"
	"strconv"
	"time"
)

// RateLimit is how a forge limits requests to its API. The zero value does not.
type RateLimit struct {
	// Requests is how many are left; those after them are refused until Reset.
	Requests int
	// Reset is the end of the window.
	Reset time.Time
	// Secondary refuses in the way GitHub does to clients that are too quick:
	// with Retry-After, and with requests left in the window.
	Secondary bool
	// Status is that of a refusal; 0 is the host's own. GitHub has two.
	Status int
}

// githubRate is the hourly limit of an installation of an App.
const githubRate = 5000

// LimitRate limits the requests to the API from now on.
func (f *Forge) LimitRate(l RateLimit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = l
}

// limited counts a request to the API and tells how many are left, in the
// headers of the host. It reports whether the request was refused.
func (f *Forge) limited(w http.ResponseWriter) bool {
	f.mu.Lock()
	l := f.limit
	on := !l.Reset.IsZero() && f.now().Before(l.Reset)
	if on && f.limit.Requests > 0 {
		f.limit.Requests--
	}
	left := max(0, l.Requests-1)
	wait := max(1, int(l.Reset.Sub(f.now()).Seconds()+0.5))
	if !on {
		left, l.Reset = githubRate-13, f.now().Add(time.Hour)
	}
	f.mu.Unlock()
	refuse := on && l.Requests == 0
	if l.Secondary {
		left = githubRate / 2
	}
	header := w.Header()
	prefix := ""
	switch f.options.HostKind {
	case HostGitHub, HostGitHubPublic:
		prefix = "X-RateLimit-"
	case HostGitLab:
		prefix = "RateLimit-"
	}
	if prefix != "" {
		header.Set(prefix+"Limit", strconv.Itoa(githubRate))
		header.Set(prefix+"Remaining", strconv.Itoa(left))
		header.Set(prefix+"Reset", strconv.FormatInt(l.Reset.Unix(), 10))
	}
	if !refuse {
		return false
	}
	status := l.Status
	switch {
	case prefix == "X-RateLimit-" && l.Secondary:
		header.Set("Retry-After", strconv.Itoa(wait))
		githubError(w, orStatus(status, http.StatusForbidden), "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
	case prefix == "X-RateLimit-":
		githubError(w, orStatus(status, http.StatusForbidden), "API rate limit exceeded for installation.")
	default:
		header.Set("Retry-After", strconv.Itoa(wait))
		f.refuse(w, answer{orStatus(status, http.StatusTooManyRequests), "Retry later\n"})
	}
	return true
}

func orStatus(status, own int) int {
	if status == 0 {
		return own
	}
	return status
}

package githttp

import (
	"io"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// The headers by which a client may demand a fresh copy, for instance with
// git -c http.extraHeader="Headwater-Max-Staleness: 5s" fetch. The token's
// claims and the repository's settings say what the headers do not.
const (
	headerMaxStaleness = "Headwater-Max-Staleness"
	headerFreshness    = "Headwater-Freshness"
)

// noticeSlack is how long a client may take from the refs to the pack before
// the copy counts as older than it demanded.
const noticeSlack = time.Minute

// demand returns how fresh a copy the client wants to read.
func demand(r *http.Request, id access.Identity) (core.Demand, error) {
	if id.Stranger() != "" {
		return core.Demand{}, nil // whoever has no token has the host asked as the settings say, and no more often
	}
	d, err := core.ParseDemand(r.Header.Get(headerMaxStaleness), r.Header.Get(headerFreshness))
	return d.Or(id.Demand), err
}

// confirm makes the copy as fresh as is demanded before its refs are listed.
func (h *Handler) confirm(r *http.Request, repo core.Repository, id access.Identity) error {
	if repo.Upstream == nil {
		return nil
	}
	d, err := demand(r, id)
	if err != nil {
		return err
	}
	_, err = h.o.Fresh.Confirm(r.Context(), repo, d)
	return err
}

// withNotice returns a writer that tells the person who fetches when the copy
// is older than they want, or its upstream cannot be reached. A fetch that is
// up to date has no place for text: git asks for no pack then.
func (h *Handler) withNotice(out io.Writer, r *http.Request, repo core.Repository, id access.Identity) io.Writer {
	if repo.Upstream == nil {
		return out
	}
	d, err := demand(r, id)
	if err != nil {
		return out // the request for the refs was refused for it
	}
	if d.MaxStaleness != nil && *d.MaxStaleness < noticeSlack {
		d.MaxStaleness = new(noticeSlack) // the refs were confirmed before they were listed
	}
	f, err := h.o.Fresh.Freshness(r.Context(), repo, d)
	if err != nil {
		h.log.Error("cannot tell how fresh a copy is", "repo_id", repo.ID, "error", err)
		return out
	}
	if notice := f.Notice(); notice != "" {
		return pktline.NewNoticeWriter(out, notice)
	}
	return out
}

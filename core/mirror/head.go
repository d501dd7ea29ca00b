package mirror

import (
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/discovery"
)

// heads returns the branch that the default branch should change to, "" if it stays, and
// the ref that is not deleted although the upstream lacks it, "" for none; refs is what is
// here. Both are full names.
func heads(r core.Repository, sc scope, adv discovery.Advertisement, refs map[string]core.ObjectID) (head, keep string) {
	if head = headWants(r, adv); head == "" {
		head = firstHead(r, sc, adv, refs)
	}
	return head, keeps(r, sc, adv, refs, head)
}

// headWants returns the branch (full name) that the default branch should
// change to, or "": the upstream's HEAD, unless the repository was asked to
// keep another that still exists.
func headWants(r core.Repository, adv discovery.Advertisement) string {
	have := "refs/heads/" + r.DefaultBranch
	if r.Upstream.DefaultBranch != "" {
		pinned := "refs/heads/" + r.Upstream.DefaultBranch
		if _, ok := adv.Refs[pinned]; ok {
			if have == pinned {
				return ""
			}
			return pinned
		}
	}
	if adv.HeadTarget == "" || adv.HeadTarget == have {
		return ""
	}
	if _, ok := adv.Refs[adv.HeadTarget]; !ok {
		return "" // unborn: keep the old one, and look again next time
	}
	return adv.HeadTarget
}

// firstHead returns the branch (full name) that HEAD moves to with the first
// branches that come here, where the upstream names none of them: its HEAD is
// unborn or detached. "" if HEAD stays.
func firstHead(r core.Repository, sc scope, adv discovery.Advertisement, refs map[string]core.ObjectID) string {
	for name := range refs {
		if strings.HasPrefix(name, "refs/heads/") {
			return ""
		}
	}
	var branches []string
	for name := range adv.Refs {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok && sc.mirrors(name) {
			branches = append(branches, branch)
		}
	}
	if first := core.FirstBranch(r.DefaultBranch, branches); first != "" && first != r.DefaultBranch {
		return "refs/heads/" + first
	}
	return ""
}

// keeps returns the one ref that is not deleted although the upstream has it
// no more: the default branch, when the upstream does not say what took its place.
func keeps(r core.Repository, sc scope, adv discovery.Advertisement, refs map[string]core.ObjectID, head string) string {
	name := "refs/heads/" + r.DefaultBranch
	if _, here := refs[name]; !here || head != "" || len(adv.Refs) == 0 {
		return ""
	}
	if _, tracked := refs[core.TrackingRef(name)]; tracked && sc.mirrors(name) {
		return ""
	}
	return name
}

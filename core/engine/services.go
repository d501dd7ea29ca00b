package engine

import (
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/ephemeral"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/forget"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/prune"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/maintain"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/mirrorset"
	"github.com/headwater-git/headwater/core/publicread"
	"github.com/headwater-git/headwater/core/purge"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/quota"
	"github.com/headwater-git/headwater/core/rebuild"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/rewrite"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/serve"
)

// Services are the parts of the core that can be used one by one; what needs
// several of them is a method of [Engine].
type Services struct {
	Repos     *repo.Repos         // on disk
	Limiter   *limit.Limiter      // what bounds the requests of callers
	Serve     *serve.Service      // fetches
	Push      *push.Service       // write sessions
	Content   *content.Service    // API reads
	Commit    *commit.Service     // API writes
	Rewrites  *rewrite.Service    // what upstreams and pushes rewrote
	Purges    *purge.Service      // what is forgotten on purpose
	Copies    *forget.Registry    // what holds copies of objects; add others before Run
	Ephemeral *ephemeral.Service  // ephemeral branches as a whole
	Events    *events.Service     // webhooks and the event feed
	Inbound   *inbound.Service    // webhooks from hosts
	Sets      *mirrorset.Service  // owners whose repositories are mirrored all together
	Schedule  *schedule.Service   // requests of syncs, and waiting for them
	Mirror    *mirror.Service     // plans of syncs, and looks before pushes
	Rebuild   *rebuild.Service    // missing or damaged folders
	Maintain  *maintain.Service   // repacks
	Quotas    *quota.Service      // what organisations may use
	Public    *publicread.Service // what is read without a token
	LFS       *lfs.Service        // Git LFS
	LFSPrune  *prune.Service      // objects of it that no ref needs
	Readiness *Readiness          // whether requests can be served
}

// Services returns the parts.
func (e *Engine) Services() Services {
	return Services{
		Repos: e.repos, Limiter: e.limiter, Serve: e.serve, Push: e.push, Content: e.content, Commit: e.commit,
		Rewrites: e.rewrite, Purges: e.purge, Copies: e.copies, Ephemeral: e.ephemeral, Events: e.events, Inbound: e.inbound, Sets: e.sets,
		Schedule: e.schedule, Mirror: e.sync, Rebuild: e.rebuild, Maintain: e.maintain, Quotas: e.quota, Public: e.public, LFS: e.lfs, LFSPrune: e.prune, Readiness: e.readiness,
	}
}

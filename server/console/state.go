package console

import (
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// stateOrder is the order in which states are shown. The words are those of the API.
var stateOrder = []core.RepositoryState{
	core.RepositoryReady, core.RepositorySyncing, core.RepositoryFailing, core.RepositoryHeld, core.RepositoryPaused, core.RepositoryPending,
	core.RepositoryUnconfirmed, core.RepositoryRebuilding, core.RepositoryWaiting, core.RepositoryLocal,
}

// rareStates are shown where a repository is in them.
var rareStates = []core.RepositoryState{core.RepositoryUnconfirmed, core.RepositoryRebuilding, core.RepositoryWaiting}

// needWord says what a repository waits for.
func needWord(n core.RepositoryNeed) string {
	return map[core.RepositoryNeed]string{
		core.NeedOperator: "the operator of this machine", core.NeedCredential: "a credential", core.NeedUpstream: "another upstream", core.NeedDecision: "a decision",
		core.NeedWebhook: "a webhook",
	}[n]
}

// healthWord is the state of a repository in one word, as the list has it.
func healthWord(view client.Repository) string {
	if view.Sync == nil {
		return string(core.RepositoryLocal)
	}
	return string(view.Sync.State)
}

// why says why a repository in a list is as it is; "" where that needs no word.
func why(h core.RepositoryHealth) string {
	switch {
	case h.Paused:
		return "a person has its upstream left alone"
	case h.Damage != "":
		return "content is missing or damaged here"
	case h.Braked && h.LastError == "":
		return "the upstream lost most of its refs at once"
	case h.LastError != "":
		return h.Class.Describe(h.LastError)
	case h.Synced && h.Upstream != core.UpstreamActive:
		return "the upstream is " + string(h.Upstream)
	case h.Need() == core.NeedCredential:
		return "the upstream was never asked: store its credential, if it has one, and sync"
	case h.HeldRefs > 0:
		return "waiting for a decision: " + core.Count(h.HeldRefs, "ref")
	case h.KeptRefs > 0:
		return "not as at the upstream, by policy: " + core.Count(h.KeptRefs, "ref")
	case h.Unconfirmed:
		return "the upstream did not answer for a push"
	case h.WebhookError != "":
		return "the host has no webhook: " + h.WebhookError
	}
	return ""
}

// upstreamWords say what the state of an upstream means for those who read and write.
var upstreamWords = map[client.UpstreamState]string{
	client.UpstreamStateArchived:  "the upstream is archived at the host: it can be read, and takes no pushes; next: unarchive it there to push again",
	client.UpstreamStatePrivate:   "the upstream is private, and there is no credential for it; next: store one",
	client.UpstreamStateRevoked:   "the credential opens the upstream no more; next: store one that the host takes",
	client.UpstreamStateSuspended: "the App's installation at the host is suspended; next: have its owner unsuspend it there",
	client.UpstreamStateDeleted:   "the host says that there is no such repository; next: restore it there, follow another upstream, or detach this one and keep the content",
	client.UpstreamStateReplaced:  "another repository has the upstream's name now, and is not followed; next: follow it if that is meant",
}

// Sentence is what stands at the top of a repository's page: that the copy is confirmed,
// or what failed, in whose words, and what to do.
func Sentence(view client.Repository, now time.Time) string {
	if view.Damage != nil && view.Damage.EndedAt == nil {
		return string(view.Damage.State) + ": " + view.Damage.Message
	}
	s := view.Sync
	if s == nil {
		return "local: it follows no upstream"
	}
	confirmed := "never confirmed by the upstream"
	if s.ObservedAt != nil {
		confirmed = "confirmed " + ago(now, s.ObservedAt)
		if s.State != client.SyncStateReady {
			confirmed = "last " + confirmed
		}
	}
	word, also := string(s.State)+": ", ""
	if text := upstreamWords[s.UpstreamState]; text != "" {
		also = "; " + text
	}
	const meant = "; next: look at the host; if the loss is meant, sync, and a listing that agrees is applied; "
	switch {
	case s.PausedAt != nil:
		return word + "since " + instant(s.PausedAt).Format("2006-01-02 15:04 UTC") + " a person has the upstream left alone, and pushes for it are refused; next: resume it; " + confirmed
	case s.State == client.SyncStateSyncing:
		return word + confirmed
	case s.State == client.SyncStateHeld && s.LastError != nil:
		return word + s.LastError.Message + meant + confirmed
	case s.State == client.SyncStateHeld:
		return word + "the upstream lost most of its refs at once, which is not followed yet" + meant + confirmed
	case s.LastError != nil && also != "":
		return word + core.ErrorClass(s.LastError.Class).Describe(s.LastError.Message) + also + "; " + confirmed
	case s.LastError != nil:
		return word + core.ErrorClass(s.LastError.Class).Explain(s.LastError.Message) + "; " + confirmed
	case s.State == client.SyncStateUnconfirmed:
		return word + "the upstream did not answer for a push of " + strings.Join(s.Unconfirmed, ", ") + ", and is asked what it has; " + confirmed
	case s.ObservedAt == nil && s.Wanted == 0:
		return word + "the upstream was never asked; next: store its credential, if it has one, and sync"
	case s.ObservedAt == nil:
		return word + "it waits for its first sync"
	}
	var rest string
	switch held, skipped := len(s.HeldRefs), len(s.SkippedRefs); {
	case held > 0:
		rest = "; " + refs(held) + " not as at the upstream, by policy; next: approve or dismiss the rewrites"
	case skipped > 0:
		rest = "; " + refs(skipped) + " left out; next: see why at the refs"
	}
	return word + confirmed + also + rest
}

func refs(n int) string {
	if n == 1 {
		return "1 ref is"
	}
	return core.Count(n, "ref") + " are"
}

// step is something that may be done next: a page, or with Post a form without fields.
type step struct {
	Text, Path string
	Post       bool
}

// steps are what the console has for the state that a repository is in.
func steps(view client.Repository, repo core.Repository) []step {
	s := view.Sync
	if s == nil {
		return nil
	}
	at := "/repositories/" + repo.ID
	var out []step
	class := core.ErrorClass("")
	if s.LastError != nil {
		class = core.ErrorClass(s.LastError.Class)
	}
	credential := step{"Store a credential", at + "/credential", false}
	switch {
	case s.PausedAt != nil:
		return nil // its button is there
	case s.UpstreamState == client.UpstreamStateDeleted, s.UpstreamState == client.UpstreamStateReplaced, class == core.ClassNotFound, class == core.ClassMoved:
		out = append(out, step{"Follow another upstream, or detach", at + "/upstream", false}, credential)
	case class == core.ClassAuth, class == core.ClassRevoked, s.UpstreamState == client.UpstreamStatePrivate, s.UpstreamState == client.UpstreamStateRevoked,
		s.ObservedAt == nil && s.Wanted == 0:
		out = append(out, credential)
	case class == core.ClassNetwork, class == core.ClassUnavailable, class == core.ClassTimeout:
		out = append(out, step{"See how the host is", "/hosts", false}, step{"Follow another upstream", at + "/upstream", false})
	case class == core.ClassTooLarge:
		out = append(out, step{"See what the organisation may use", "/organisations?org=" + repo.Org + "#limits", false})
	case s.State == client.SyncStateHeld:
		out = append(out, step{"Compare the refs", at + "/compare", false}, step{"Sync, and take the loss over", at + "/sync", true})
	}
	if len(s.HeldRefs) > 0 {
		out = append(out, step{"Decide about the rewrites", at + "#rewrites", false})
	}
	if len(s.SkippedRefs) > 0 {
		out = append(out, step{"See which refs are left out", at + "#refs", false})
	}
	return out
}

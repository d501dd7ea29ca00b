package schedule

import "github.com/headwater-git/headwater/core"

// Triggers of a run, as its row records them.
const (
	TriggerAPI        = core.TriggerAPI
	TriggerCreate     = core.TriggerCreate
	TriggerPush       = "push"       // a push found the local copy behind
	TriggerWebhook    = "webhook"    // the host announced a change
	TriggerCredential = "credential" // what failed may work with a new credential
	TriggerPoll       = "poll"       // a look found a change that nobody announced
	TriggerRecovery   = "recovery"   // the server found unfinished work at its start
)

// UserInitiated reports whether a user made the request, who is notified of the
// run whatever it finds.
func UserInitiated(trigger string) bool { return trigger == TriggerAPI || trigger == TriggerCreate }

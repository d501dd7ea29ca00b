package api

import (
	"net/http"
	"slices"

	"github.com/headwater-git/headwater/core/access"
)

// repositoryOperations are those about repositories and what they follow.
var repositoryOperations = []operation{
	{
		id: "createRepository", method: http.MethodPost, preferred: "/api/repos", legacy: "/api/v1/repos",
		scope: access.RepoWrite, target: newRepository, audit: action{word: "repository.create"},
		doc: doc{tag: "repositories", summary: "Create a repository",
			text: "The claim \"repo\" of the token is its name. Without base_repo it is empty. With one it follows a repository at a Git host " +
				"(the first sync of an App or a public upstream begins at creation, of a generic one with the first pull-upstream, after its credential was stored), or begins as a fork or snapshot of one on this server."},
		in: input{query: []parameter{paramDefaultBranch}, body: createBody{},
			example: `{"default_branch":"main","base_repo":{"provider":"gitea","owner":"team","name":"app","upstream_host":"git.example.com"}}`},
		out:   output{answers: made(createdRepository{}), errors: writeErrors},
		serve: (*server).createRepository,
	},
	{
		id: "listRepositories", method: http.MethodGet, preferred: "/api/repos", legacy: "/api/v1/repos",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "repositories", summary: "List the repositories of the organisation",
			text: "Newest first, or as `sort` says. The token must not name a repository. A value that a filter cannot have is 400. A cursor is for the same filters and order that gave it."},
		in:    input{query: []parameter{paramQ, paramListState, paramListClass, paramListHost, paramListProvider, paramListSort, paramCursor, paramLimit}, sample: "q=app&limit=20"},
		out:   output{answers: done(repositoryList{})},
		serve: (*server).listRepositories,
	},
	// SDKs send git:read; any token for the repository may know that it exists.
	{
		id: "getRepository", method: http.MethodGet, preferred: "/api/repos/{name}", legacy: "/api/v1/repo",
		scope: anyScope, target: oneRepository,
		doc: doc{tag: "repositories", summary: "Show a repository",
			text: "With the state of its sync."},
		out:   output{answers: done(repositoryView{})},
		serve: (*server).getRepository,
	},
	{
		id: "updateRepository", method: http.MethodPatch, preferred: "/api/repos/{name}", legacy: "/api/v1/repo",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.update"},
		doc: doc{tag: "repositories", summary: "Change the default branch"},
		in: input{body: updateRepositoryBody{},
			example: `{"default_branch":"main"}`},
		out:   output{answers: done(repositoryView{}), errors: storeErrors},
		serve: (*server).updateRepository,
	},
	{
		id: "deleteRepository", method: http.MethodDelete, preferred: "/api/repos/{name}", legacy: "/api/v1/repos/delete",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.delete"},
		doc: doc{tag: "repositories", summary: "Delete a repository",
			text: "Here, not at its upstream. The name is free at once. Until `kept_until` undeleteRepository brings it back with all that belonged to it; " +
				"until then its disk counts for the organisation. How long that is the server says (`--keep-deleted`, seven days); `now=true` removes it at once."},
		in:    input{query: []parameter{paramNow}},
		out:   output{answers: done(deletedRepository{}), errors: storeErrors},
		serve: (*server).deleteRepository,
	},
	{
		id: "renameRepository", method: http.MethodPost, preferred: "/api/repos/{name}/rename",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.rename"},
		doc: doc{tag: "repositories", summary: "Give a repository another name",
			text: "Here, not at its upstream. Remotes, calls and tokens with the former name go on working for this repository, until another one is made by that name. " +
				"409 if a repository has the name, or another one had it."},
		in: input{body: renameBody{}, required: true,
			example: `{"name":"team/application"}`},
		out:   output{answers: done(repositoryView{}), errors: storeErrors},
		serve: (*server).renameRepository,
	},
	{
		id: "undeleteRepository", method: http.MethodPost, preferred: "/api/repos/{name}/undelete",
		scope: access.RepoWrite, target: inTheTrash, audit: action{word: "repository.undelete"},
		doc: doc{tag: "repositories", summary: "Bring a deleted repository back",
			text: "With content, settings, credential, ephemeral branches, notes and history of syncs. The name in the path is the one that it had (the one deleted last, of several) or its id, and so is the claim \"repo\" of the token. " +
				"Its webhook is registered at the host again, with a new secret, and it is synced. 409 if there is another repository of the name now: give it another one with `name`. `state=deleted` of listRepositories lists what can be brought back."},
		in: input{body: undeleteBody{},
			example: `{"name":"team/app-of-before"}`},
		out:   output{answers: done(repositoryView{}), errors: storeErrors},
		serve: (*server).undeleteRepository,
	},
	{
		id: "purgeDeletedRepository", method: http.MethodDelete, preferred: "/api/repos/{name}/undelete",
		scope: access.RepoWrite, target: inTheTrash, audit: action{word: "repository.purge"},
		doc: doc{tag: "repositories", summary: "Remove a deleted repository for good",
			text: "Before its time, to free its disk, or since it holds what is to be forgotten. What it is named by is as for undeleteRepository."},
		out:   output{answers: done(deletedRepository{}), errors: storeErrors},
		serve: (*server).purgeDeletedRepository,
	},
	{
		id: "attachUpstream", method: http.MethodPost, preferred: "/api/repos/{name}/base", legacy: "/api/v1/repos/base",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "upstream.attach"},
		doc: doc{tag: "repositories", summary: "Link a local repository to an upstream",
			text: "The first sync makes its branches and tags equal to the upstream's, by the repository's policies: what the upstream does not have is deleted, and kept as a rewrite. " +
				"`dry_run=true` changes nothing and shows what would become of the refs. The upstream must be readable with the credential of the body, which is stored. " +
				"Reads go on during that sync if there is content."},
		in: input{query: []parameter{paramDryRun}, body: linkBody{}, required: true,
			example: linkExample},
		out:   output{answers: done(linkedAnswer{}), errors: writeErrors},
		serve: (*server).attach,
	},
	{
		id: "repointUpstream", method: http.MethodPut, preferred: "/api/repos/{name}/base", legacy: "/api/v1/repos/base",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "upstream.repoint"},
		doc: doc{tag: "repositories", summary: "Give a synced repository another upstream",
			text: "As attachUpstream. Settings, rewrites, notes and ephemeral branches stay. The stored credential stays if the body has none and the host is the same; else it goes."},
		in: input{query: []parameter{paramDryRun}, body: linkBody{}, required: true,
			example: linkExample},
		out:   output{answers: done(linkedAnswer{}), errors: writeErrors},
		serve: (*server).repoint,
	},
	{
		id: "detachUpstream", method: http.MethodDelete, preferred: "/api/repos/{name}/base", legacy: "/api/v1/repos/base",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "upstream.detach"},
		doc: doc{tag: "repositories", summary: "Stop following the upstream",
			text: "The content stays; the stored credential goes. Doing it again is no error."},
		out:   output{answers: done(messageAnswer{}), errors: writeErrors},
		serve: (*server).detach,
	},
	{
		id: "pullUpstream", method: http.MethodPost, preferred: "/api/repos/{name}/pull-upstream", legacy: "/api/v1/repos/pull-upstream",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "sync.request"},
		doc: doc{tag: "repositories", summary: "Ask for a sync with the upstream",
			text: "Answers at once. How the sync goes is in `sync` of the repository: it has ended, well or not, when `tried` there has reached the `wanted` of this answer."},
		in: input{body: pullUpstreamBody{},
			example: `{"ref":"main"}`},
		out:   output{answers: []success{{status: http.StatusAccepted, text: "A sync will run.", body: pullUpstreamAnswer{}}}, errors: writeErrors},
		serve: (*server).pullUpstream,
	},
	{
		id: "pauseRepository", method: http.MethodPost, preferred: "/api/repos/{name}/pause", legacy: "/api/v1/repos/pause",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.pause"},
		doc: doc{tag: "repositories", summary: "Leave the upstream of a repository alone",
			text: "A sync that runs ends; none begins, the upstream is not polled, and what its webhooks announce waits for resumeRepository. Reads go on with what is here. " +
				"Pushes that would go to the upstream are refused; ephemeral branches and notes that stay here are not. Doing it again is no error."},
		out:   output{answers: done(repositoryView{}), errors: storeErrors},
		serve: (*server).pause,
	},
	{
		id: "resumeRepository", method: http.MethodPost, preferred: "/api/repos/{name}/resume", legacy: "/api/v1/repos/resume",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.resume"},
		doc: doc{tag: "repositories", summary: "Follow the upstream of a paused repository again",
			text: "What was announced or requested meanwhile runs at once. Doing it again is no error."},
		out:   output{answers: done(repositoryView{}), errors: storeErrors},
		serve: (*server).resume,
	},
	{
		id: "rebuildRepository", method: http.MethodPost, preferred: "/api/repos/{name}/rebuild", legacy: "/api/v1/repos/rebuild",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "repository.rebuild"},
		doc: doc{tag: "repositories", summary: "Verify a repository, or say go on",
			text: "One that waits because many were missing at once is fetched from its upstream again, or given up if it has none. " +
				"Any other is verified before the answer, whole, and is fetched again if it is damaged. What is wrong is in `damage`."},
		out:   output{answers: done(repositoryView{}), errors: slices.Concat(storeErrors, []int{http.StatusLocked, http.StatusNotImplemented, http.StatusServiceUnavailable})},
		serve: (*server).rebuildRepository,
	},
	{
		id: "getSettings", method: http.MethodGet, preferred: "/api/repos/{name}/settings", legacy: "/api/v1/repos/settings",
		scope: access.GitRead, target: oneRepository,
		doc:   doc{tag: "repositories", summary: "Show the settings of a repository"},
		out:   output{answers: done(settingsAnswer{})},
		serve: (*server).getSettings,
	},
	{
		id: "updateSettings", method: http.MethodPatch, preferred: "/api/repos/{name}/settings", legacy: "/api/v1/repos/settings",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "settings.update"},
		doc: doc{tag: "repositories", summary: "Change the settings of a repository",
			text: "What the body does not name stays. Filters and policies take effect by a sync that begins at once; `dry_run=true` changes nothing and shows what would become of the refs."},
		in: input{query: []parameter{paramDryRun}, body: settingsBody{}, required: true,
			example: `{"poll":"1m","ref_policies":[{"pattern":"refs/heads/main","action":"hold"}]}`},
		out:   output{answers: done(settingsAnswer{}), errors: writeErrors},
		serve: (*server).updateSettings,
	},
	{
		id: "getSync", method: http.MethodGet, preferred: "/api/repos/{name}/sync", legacy: "/api/v1/repos/sync",
		scope: access.GitRead, target: oneRepository,
		doc:   doc{tag: "repositories", summary: "Show how the sync with the upstream is going"},
		out:   output{answers: []success{{status: http.StatusOK, text: "Done.", body: syncAnswer{}, headers: []string{"Headwater-Observed-At?", "Headwater-Staleness?"}}}},
		serve: (*server).getSync,
	},
	{
		id: "listSyncRuns", method: http.MethodGet, preferred: "/api/repos/{name}/sync/runs", legacy: "/api/v1/repos/sync/runs",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "repositories", summary: "List the runs of the sync",
			text: "Newest first. Looks that found nothing new are not among them."},
		in:    input{query: []parameter{paramCursor, paramLimit}},
		out:   output{answers: done(runList{})},
		serve: (*server).listRuns,
	},
	{
		id: "listPendingLFS", method: http.MethodGet, preferred: "/api/repos/{name}/lfs/pending", legacy: "/api/v1/repos/lfs/pending",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "repositories", summary: "List the LFS objects that a mirror has still to fetch",
			text: "By id, with a path of each. With the setting `lfs = mirror`, objects are fetched once a sync has brought their pointers; " +
				"what fails, or what the host says it does not have, stays here and is tried again."},
		in:    input{query: []parameter{paramFailedOnly, paramCursor, paramLimit}},
		out:   output{answers: done(pendingLFSList{})},
		serve: (*server).listPendingLFS,
	},
	{
		id: "pruneLFS", method: http.MethodPost, preferred: "/api/repos/{name}/lfs/prune", legacy: "/api/v1/repos/lfs/prune",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "lfs.prune"},
		doc: doc{tag: "repositories", summary: "Take away the LFS objects that no ref needs",
			text: "Neither the refs that are shown, with their history, nor kept tips and ephemeral branches need them, and they were neither sent nor offered within the last hour. " +
				"`dry_run=true` takes none away and shows which would go. Bytes that no other repository has go after seven days."},
		in:    input{query: []parameter{paramDryRun}},
		out:   output{answers: done(prunedLFSView{}), errors: storeErrors},
		serve: (*server).pruneLFS,
	},
	{
		id: "ensure", method: http.MethodPost, preferred: "/api/repos/{name}/ensure", legacy: "/api/v1/repos/ensure",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "repositories", summary: "Wait until refs and objects are here",
			text: "Of a synced repository. What is here already is not asked about; all else is looked up at the upstream by looks that begin after the call, " +
				"until everything is here or the time is up. An id that is on no ref any more is fetched by itself if the host serves that; it then stays for two weeks at least."},
		in: input{body: ensureBody{}, required: true,
			example: `{"refs":[{"name":"main","id":"4b825dc642cb6eb9a060e54bf8d69288fbee4904"}],"timeout":"30s"}`},
		out:   output{answers: []success{{status: http.StatusOK, text: "Everything is here.", body: ensuredView{}, headers: []string{"Headwater-Observed-At?", "Headwater-Staleness?"}}}, failure: failure{body: notHereBody{}}, errors: []int{http.StatusRequestEntityTooLarge, http.StatusNotImplemented, http.StatusGatewayTimeout}},
		serve: (*server).ensure,
	},
	{
		id: "getInboundWebhook", method: http.MethodGet, preferred: "/api/repos/{name}/inbound-webhook", legacy: "/api/v1/repos/inbound-webhook",
		scope: access.RepoWrite, target: oneRepository,
		doc: doc{tag: "repositories", summary: "Show where the host may deliver webhooks",
			text: "Whether the host's webhook works. Where it cannot be registered by the server, add this address at the host by hand."},
		out:   output{answers: done(inboundWebhookView{}), errors: storeErrors},
		serve: (*server).getInboundWebhook,
	},
	{
		id: "rotateInboundWebhook", method: http.MethodPost, preferred: "/api/repos/{name}/inbound-webhook", legacy: "/api/v1/repos/inbound-webhook",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "inbound_webhook.rotate"},
		doc: doc{tag: "repositories", summary: "Make a new secret for the inbound webhook",
			text: "The secret is shown this once. The old one is accepted for a day more; where the server registers the webhook, it does so again."},
		out:   output{answers: done(rotatedInboundWebhook{}), errors: storeErrors},
		serve: (*server).rotateInboundWebhook,
	},
	{
		id: "listRepositoryAudit", method: http.MethodGet, preferred: "/api/repos/{name}/audit", legacy: "/api/v1/repos/audit",
		scope: access.RepoWrite, target: oneRepository,
		doc: doc{tag: "repositories", summary: "List who wrote what in a repository",
			text: "Newest first. It needs `repo:write`, since it tells where people are."},
		in:    input{query: []parameter{paramActor, paramAction, paramCursor, paramLimit}},
		out:   output{answers: done(auditList{}), errors: []int{http.StatusNotImplemented}},
		serve: (*server).listRepositoryAudit,
	},
}

// credentialOperations are those about the credential for an upstream.
var credentialOperations = []operation{
	{
		id: "createCredential", method: http.MethodPost, preferred: "/api/repos/{name}/git-credentials", legacy: "/api/v1/repos/git-credentials",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "credential.create"},
		doc: doc{tag: "credentials", summary: "Store the credential for the upstream",
			text: "One for each repository."},
		in: input{body: createCredentialBody{}, required: true,
			example: `{"username":"robot","password":"TOKEN"}`},
		out:   output{answers: made(credentialView{}), errors: storeErrors},
		serve: (*server).createCredential,
	},
	{
		id: "updateCredential", method: http.MethodPut, legacy: "/api/v1/repos/git-credentials",
		scope: access.RepoWrite, target: credentialID, audit: action{word: "credential.update"},
		doc: doc{tag: "credentials", summary: "Replace the credential for the upstream",
			text: "The token may name the organisation or the repository."},
		in: input{body: legacyUpdateCredentialBody{}, required: true,
			example: `{"id":"ggc_01","password":"TOKEN"}`},
		out:   output{answers: done(credentialView{}), errors: storeErrors},
		serve: (*server).updateCredential,
	},
	{
		id: "updateCredential", method: http.MethodPut, preferred: "/api/repos/{name}/git-credentials/{id}",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "credential.update"},
		doc: doc{tag: "credentials", summary: "Replace the credential for the upstream"},
		in: input{body: updateCredentialBody{}, required: true,
			example: `{"password":"TOKEN"}`},
		out:   output{answers: done(credentialView{}), errors: storeErrors},
		serve: (*server).updateCredential,
	},
	{
		id: "deleteCredential", method: http.MethodDelete, legacy: "/api/v1/repos/git-credentials",
		scope: access.RepoWrite, target: credentialID, audit: action{word: "credential.delete"},
		doc: doc{tag: "credentials", summary: "Delete the credential for the upstream",
			text: "The token may name the organisation or the repository."},
		in: input{body: legacyDeleteCredentialBody{}, required: true,
			example: `{"id":"ggc_01"}`},
		out:   output{answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: storeErrors},
		serve: (*server).deleteCredential,
	},
	{
		id: "deleteCredential", method: http.MethodDelete, preferred: "/api/repos/{name}/git-credentials/{id}",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "credential.delete"},
		doc:   doc{tag: "credentials", summary: "Delete the credential for the upstream"},
		out:   output{answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: storeErrors},
		serve: (*server).deleteCredential,
	},
}

// linkExample is the body of an example that links a repository.
const linkExample = `{"base_repo":{"provider":"gitea","owner":"team","name":"app","upstream_host":"git.example.com"},"username":"robot","password":"TOKEN"}`

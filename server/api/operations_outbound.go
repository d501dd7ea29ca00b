package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
)

// rewriteOperations are those about forced moves and deletions of refs.
var rewriteOperations = []operation{
	{
		id: "listRewrites", method: http.MethodGet, preferred: "/api/repos/{name}/rewrites", legacy: "/api/v1/repos/rewrites",
		scope: access.GitRead, target: oneRepository,
		doc: doc{tag: "rewrites", summary: "List forced moves and deletions of refs",
			text: "Newest first: what was rewritten, and what a policy holds back."},
		in:    input{query: []parameter{paramRefRewritten, paramStateRewrite, paramCursor, paramLimit}, sample: "state=held,frozen"},
		out:   output{answers: done(rewriteList{})},
		serve: (*server).listRewrites,
	},
	{
		id: "getRewrite", method: http.MethodGet, preferred: "/api/repos/{name}/rewrites/{id}", legacy: "/api/v1/repos/rewrites/{id}",
		scope: access.GitRead, target: oneRepository,
		doc:   doc{tag: "rewrites", summary: "Show a rewrite"},
		out:   output{answers: done(rewriteView{})},
		serve: (*server).getRewrite,
	},
	{
		id: "restoreRewrite", method: http.MethodPost, preferred: "/api/repos/{name}/rewrites/{id}/restore", legacy: "/api/v1/repos/rewrites/{id}/restore",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "rewrite.restore", session: true},
		doc: doc{tag: "rewrites", summary: "Make the old tip a branch again",
			text: "Of a rewrite that is `retained`. In a synced repository the branch goes to the upstream first."},
		in: input{body: restoreRewriteBody{}, required: true,
			example: `{"branch":"main-before-the-rewrite"}`},
		out:   output{answers: done(rewriteView{}), errors: writeErrors},
		serve: (*server).restoreRewrite,
	},
	{
		id: "approveRewrite", method: http.MethodPost, preferred: "/api/repos/{name}/rewrites/{id}/approve", legacy: "/api/v1/repos/rewrites/{id}/approve",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "rewrite.approve"},
		doc: doc{tag: "rewrites", summary: "Let a held ref move",
			text: "The ref follows the upstream if that still has it where it was when it was held; else 409, and a newer rewrite will tell of the newer move. The old tip is retained."},
		out:   output{answers: done(rewriteView{}), errors: writeErrors},
		serve: decide(Rewrites.Approve),
	},
	{
		id: "dismissRewrite", method: http.MethodPost, preferred: "/api/repos/{name}/rewrites/{id}/dismiss", legacy: "/api/v1/repos/rewrites/{id}/dismiss",
		scope: access.GitWrite, target: oneRepository, audit: action{word: "rewrite.dismiss"},
		doc: doc{tag: "rewrites", summary: "Want no more of a rewrite",
			text: "A held ref stays where it is, and the same move is not asked about again. The old tip of a retained one is let go now."},
		out:   output{answers: done(rewriteView{}), errors: storeErrors},
		serve: decide(Rewrites.Dismiss),
	},
	{
		id: "purgeRewrites", method: http.MethodPost, preferred: "/api/repos/{name}/purge", legacy: "/api/v1/repos/purge",
		scope: access.RepoWrite, target: oneRepository, audit: action{word: "rewrite.purge"},
		doc: doc{tag: "rewrites", summary: "Forget old tips on purpose",
			text: "Drops the kept old tip of one rewrite, or with `all` of every one, and removes at once whatever no ref leads to. What the call names is forgotten: from then on it is served and fetched by its id only while a ref leads to it. Waits up to a minute for pushes and syncs of the repository to end, else 409, and nothing was changed."},
		in: input{body: purgeBody{}, required: true,
			example: `{"id":"rw_01h455vb4pex5vsknk084sn02q"}`},
		out:   output{answers: done(purgeAnswer{}), errors: storeErrors},
		serve: (*server).purgeRewrites,
	},
}

// webhookOperations are those about webhooks.
var webhookOperations = []operation{
	{
		id: "createWebhook", method: http.MethodPost, preferred: "/api/webhooks", legacy: "/api/v1/webhooks",
		scope: access.RepoWrite, target: organisation, audit: action{word: "webhook.create"},
		doc: doc{tag: "webhooks", summary: "Subscribe to events",
			text: "Of the whole organisation, or of one repository. The answer is the only one that shows the secret. Events from before are not sent."},
		in: input{body: createWebhookBody{}, required: true,
			example: `{"url":"https://example.com/hooks/headwater","events":["push","repo.sync.failed"]}`},
		out:   output{answers: made(createdWebhook{}), errors: webhookChangeErrors},
		serve: webhooks((*server).createWebhook),
	},
	{
		id: "listWebhooks", method: http.MethodGet, preferred: "/api/webhooks", legacy: "/api/v1/webhooks",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "webhooks", summary: "List the webhooks of the organisation",
			text: "Newest first."},
		out:   output{answers: done(webhookList{}), errors: []int{http.StatusNotImplemented}},
		serve: webhooks((*server).listWebhooks),
	},
	{
		id: "getWebhook", method: http.MethodGet, preferred: "/api/webhooks/{webhook}", legacy: "/api/v1/webhooks/{webhook}",
		scope: access.OrgRead, target: organisation,
		doc:   doc{tag: "webhooks", summary: "Show a webhook"},
		out:   output{answers: done(webhookView{}), errors: webhookErrors},
		serve: webhooks((*server).getWebhook),
	},
	{
		id: "updateWebhook", method: http.MethodPatch, preferred: "/api/webhooks/{webhook}", legacy: "/api/v1/webhooks/{webhook}",
		scope: access.RepoWrite, target: organisation, audit: action{word: "webhook.update"},
		doc: doc{tag: "webhooks", summary: "Change a webhook",
			text: "What is left out stays. Switching it off cancels what waits to be sent. Another secret counts from the next attempt on, and is shown in this answer only."},
		in: input{body: updateWebhookBody{}, required: true,
			example: `{"events":["push"],"active":true}`},
		out:   output{answers: done(changedWebhook{}), errors: webhookChangeErrors},
		serve: webhooks((*server).updateWebhook),
	},
	{
		id: "deleteWebhook", method: http.MethodDelete, preferred: "/api/webhooks/{webhook}", legacy: "/api/v1/webhooks/{webhook}",
		scope: access.RepoWrite, target: organisation, audit: action{word: "webhook.delete"},
		doc: doc{tag: "webhooks", summary: "Delete a webhook",
			text: "With its log. What waits to be sent is not sent."},
		out:   output{answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: webhookErrors},
		serve: webhooks((*server).deleteWebhook),
	},
	{
		id: "pingWebhook", method: http.MethodPost, preferred: "/api/webhooks/{webhook}/ping", legacy: "/api/v1/webhooks/{webhook}/ping",
		scope: access.RepoWrite, target: organisation, audit: action{word: "webhook.ping"},
		doc: doc{tag: "webhooks", summary: "Send a test delivery",
			text: "Of the type `ping`, tried once. What came of it is in the log of deliveries."},
		out:   output{answers: willBeSent("It will be sent at once."), errors: webhookChangeErrors},
		serve: webhooks((*server).pingWebhook),
	},
	{
		id: "listDeliveries", method: http.MethodGet, preferred: "/api/webhooks/{webhook}/deliveries", legacy: "/api/v1/webhooks/{webhook}/deliveries",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "webhooks", summary: "List what was sent",
			text: "Newest first, with the body of each request and the beginning of each answer."},
		in:    input{query: []parameter{paramCursor, paramLimit}, sample: "limit=20"},
		out:   output{answers: done(deliveryList{}), errors: webhookErrors},
		serve: webhooks((*server).listDeliveries),
	},
	{
		id: "getDelivery", method: http.MethodGet, preferred: "/api/webhooks/{webhook}/deliveries/{delivery}", legacy: "/api/v1/webhooks/{webhook}/deliveries/{delivery}",
		scope: access.OrgRead, target: organisation,
		doc:   doc{tag: "webhooks", summary: "Show a delivery"},
		out:   output{answers: done(deliveryView{}), errors: webhookErrors},
		serve: webhooks((*server).getDelivery),
	},
	{
		id: "redeliver", method: http.MethodPost, preferred: "/api/webhooks/{webhook}/deliveries/{delivery}/redeliver", legacy: "/api/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver",
		scope: access.RepoWrite, target: organisation, audit: action{word: "webhook.redeliver"},
		doc: doc{tag: "webhooks", summary: "Send a delivery again",
			text: "The same body, as a new delivery behind those of its repository that wait. One that is still pending is tried at once."},
		out:   output{answers: willBeSent("It will be sent."), errors: webhookChangeErrors},
		serve: webhooks((*server).redeliver),
	},
}

// eventOperations read events.
var eventOperations = []operation{
	{
		id: "listEvents", method: http.MethodGet, preferred: "/api/events", legacy: "/api/v1/events",
		scope: access.GitRead, target: organisationOrRepository,
		doc: doc{tag: "events", summary: "Read or follow events",
			text: "Oldest first. With `Accept: text/event-stream` the answer is a stream of server-sent events that goes on until the reader leaves; `id` is the position, " +
				"`event` the type, `data` the same object as in a page. It begins after `Last-Event-ID` or `after`, else with what comes next. While syncs run it tells of them once a " +
				"second, as the type `sync.progress` without an id. Any other Accept gets a page; it begins after `after`, else with the oldest event that is kept."},
		in: input{query: []parameter{paramRepoEvents, paramType, paramAfter, paramCursorEvents, paramLimit, paramHeaderLastEventID}, sample: "repo=team%2Fapp&after=41&limit=20"},
		out: output{answers: []success{{status: http.StatusOK, text: "A page. `next_cursor` is there also on the last page: ask with it again later.", body: eventList{},
			media: []string{eventStreamType}}}, errors: []int{http.StatusTooManyRequests, http.StatusNotImplemented}},
		serve: (*server).listEvents,
	},
}

// serverOperations are those about the server itself.
var serverOperations = []operation{
	{
		id: "listAudit", method: http.MethodGet, preferred: "/api/audit", legacy: "/api/v1/audit",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "server", summary: "List who wrote what in the organisation",
			text: "Every write and every attempt with a valid token, newest first: pushes, commits, and changes of repositories, credentials, webhooks and keys. Entries are never changed or deleted, and outlive their repository."},
		in:    input{query: []parameter{paramRepoID, paramActor, paramAction, paramCursor, paramLimit}, sample: "action=push&limit=20"},
		out:   output{answers: done(auditList{}), errors: []int{http.StatusNotImplemented}},
		serve: (*server).listAudit,
	},
	{
		id: "exportAudit", method: http.MethodGet, preferred: "/api/audit/export", legacy: "/api/v1/audit/export",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "server", summary: "Export the audit of the organisation",
			text: "One JSON object on each line, newest first, in the form of an entry of listAudit: all of it, or what was written at or after `since` and before `until`. An answer that ends without its last line end is not whole."},
		in: input{query: []parameter{paramSince, paramUntil}, sample: "since=2026-01-01T00:00:00Z"},
		out: output{answers: []success{{status: http.StatusOK, text: "The entries.", media: []string{"application/x-ndjson"}}},
			errors: []int{http.StatusNotImplemented}},
		serve: (*server).exportAudit,
	},
	{
		id: "getOrganisation", method: http.MethodGet, preferred: "/api/organisation", legacy: "/api/v1/organisation",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "server", summary: "Show the organisation, what it uses, and what it may use",
			text: "The limits are the operator's to set. A limit of 0 is none."},
		out:   output{answers: done(organisationView{}), errors: []int{http.StatusNotImplemented}},
		serve: (*server).getOrganisation,
	},
	{
		id: "deleteOrganisation", method: http.MethodDelete, preferred: "/api/organisation",
		scope: access.RepoWrite, target: organisation, audit: action{word: "org.delete"},
		doc: doc{tag: "server", summary: "Delete the organisation with everything it has",
			text: "Repositories and what is in the trash (nothing can be brought back), keys, shared credentials, mirror sets, webhooks, limits, sessions and events; the audit stays. " +
				"Upstreams are not touched, but for the webhooks that the server registered there. Its tokens open nothing from the answer on; the rest is done after it, also if the server is started again meanwhile. `name` must be that of the organisation."},
		in: input{body: deleteOrganisationBody{}, required: true,
			example: `{"name":"acme"}`},
		out:   output{answers: []success{{status: http.StatusAccepted, text: "It is being deleted.", body: deletedOrganisation{}}}, errors: []int{http.StatusConflict, http.StatusNotImplemented, http.StatusRequestEntityTooLarge}},
		serve: (*server).deleteOrganisation,
	},
	{
		id: "listProviders", method: http.MethodGet, preferred: "/providers",
		scope: access.OrgRead, target: anything,
		doc:   doc{tag: "server", summary: "Show the provider plugins"},
		out:   output{answers: done(providerList{})},
		serve: (*server).listProviders,
	},
	{
		id: "replayDeliveries", method: http.MethodPost, preferred: "/providers/{name}/replay",
		scope: access.RepoWrite, target: organisation, audit: action{word: "deliveries.replay", providers: true},
		doc: doc{tag: "server", summary: "Have a host send lost webhooks again",
			text: "Of a provider whose host keeps what could not be delivered, such as a GitHub App. The server does it by itself at its start and every hour."},
		out:   output{answers: done(ReplayStatus{}), errors: []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusTooManyRequests, http.StatusNotImplemented, http.StatusBadGateway}},
		serve: (*server).replayDeliveries,
	},
}

// openOperations are those that answer without a token; the router has their handlers.
var openOperations = []operation{
	{
		id: "getOpenAPI", method: http.MethodGet, preferred: openAPIPath,
		doc: doc{tag: "server", summary: "Read this document"},
		out: output{answers: []success{{status: http.StatusOK, text: "The document.", body: apiDocument{}, headers: []string{"ETag"}},
			{status: http.StatusNotModified, text: "The client has this document already.", headers: []string{"ETag"}}}},
	},
	{
		id: "getHealth", method: http.MethodGet, preferred: "/healthz",
		doc: doc{tag: "server", summary: "Tell whether the process lives"},
		out: output{answers: done(healthAnswer{})},
	},
	{
		id: "getReadiness", method: http.MethodGet, preferred: "/readyz",
		doc: doc{tag: "server", summary: "Tell whether requests can be taken",
			text: "503 says why not: the database does not answer, or many repositories are missing at once, as if a disk were not mounted. " +
				"`status` is `ready`, or `read-only` while nothing can be written to the data directory, so that no push and no sync can be recorded, or an operator has the server take no writes; what is here is served all the same. " +
				"`problems` is what an operator has to look at although requests are taken."},
		in:  input{query: []parameter{paramWrites}},
		out: output{answers: done(readinessAnswer{}), errors: []int{http.StatusServiceUnavailable}},
	},
}

// webhookErrors and webhookChangeErrors are the errors of calls about one webhook.
var (
	webhookErrors       = []int{http.StatusNotFound, http.StatusNotImplemented}
	webhookChangeErrors = append([]int{http.StatusConflict, http.StatusRequestEntityTooLarge}, webhookErrors...)
)

// willBeSent answers with a delivery that has yet to be sent.
func willBeSent(text string) []success {
	return []success{{status: http.StatusAccepted, text: text, body: deliveryView{}}}
}

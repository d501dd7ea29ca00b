package api

import "net/http"

// createWebhookBody and updateWebhookBody are [webhookBody] as the two calls
// take it.
type createWebhookBody struct {
	webhookBody
}

type updateWebhookBody struct {
	webhookBody
}

// outboundDescriptions returns what the document says of webhooks and of the
// event feed, by operation.
func outboundDescriptions() map[string]description {
	one := "/api/webhooks/{webhook}"
	accepted := func(text string) []success {
		return []success{{status: http.StatusAccepted, text: text, body: deliveryView{}}}
	}
	missing := []int{http.StatusNotFound, http.StatusNotImplemented}
	changes := append([]int{http.StatusConflict, http.StatusRequestEntityTooLarge}, missing...)
	return map[string]description{
		"POST /api/webhooks": {id: "createWebhook", tag: "webhooks", summary: "Subscribe to events",
			text: "Of the whole organisation, or of one repository. The answer is the only one that shows the secret. Events from before are not sent.",
			body: createWebhookBody{}, bodyRequired: true, example: `{"url":"https://example.com/hooks/headwater","events":["push","repo.sync.failed"]}`,
			answers: made(createdWebhook{}), errors: changes},
		"GET /api/webhooks": {id: "listWebhooks", tag: "webhooks", summary: "List the webhooks of the organisation",
			text: "Newest first.", answers: done(webhookList{}), errors: []int{http.StatusNotImplemented}},
		"GET " + one: {id: "getWebhook", tag: "webhooks", summary: "Show a webhook", answers: done(webhookView{}), errors: missing},
		"PATCH " + one: {id: "updateWebhook", tag: "webhooks", summary: "Change a webhook",
			text: "What is left out stays. Switching it off cancels what waits to be sent. Another secret counts from the next attempt on, and is shown in this answer only.",
			body: updateWebhookBody{}, bodyRequired: true, example: `{"events":["push"],"active":true}`, answers: done(changedWebhook{}), errors: changes},
		"DELETE " + one: {id: "deleteWebhook", tag: "webhooks", summary: "Delete a webhook", text: "With its log. What waits to be sent is not sent.",
			answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: missing},
		"POST " + one + "/ping": {id: "pingWebhook", tag: "webhooks", summary: "Send a test delivery",
			text:    "Of the type `ping`, tried once. What came of it is in the log of deliveries.",
			answers: accepted("It will be sent at once."), errors: changes},
		"GET " + one + "/deliveries": {id: "listDeliveries", tag: "webhooks", summary: "List what was sent",
			text: "Newest first, with the body of each request and the beginning of each answer.", query: "cursor limit", sample: "limit=20",
			answers: done(deliveryList{}), errors: missing},
		"GET " + one + "/deliveries/{delivery}": {id: "getDelivery", tag: "webhooks", summary: "Show a delivery", answers: done(deliveryView{}), errors: missing},
		"POST " + one + "/deliveries/{delivery}/redeliver": {id: "redeliver", tag: "webhooks", summary: "Send a delivery again",
			text:    "The same body, as a new delivery behind those of its repository that wait. One that is still pending is tried at once.",
			answers: accepted("It will be sent."), errors: changes},
		"GET /api/events": {id: "listEvents", tag: "events", summary: "Read or follow events",
			text: "Oldest first. With `Accept: text/event-stream` the answer is a stream of server-sent events that goes on until the reader leaves; `id` is the position, " +
				"`event` the type, `data` the same object as in a page. It begins after `Last-Event-ID` or `after`, else with what comes next. While syncs run it tells of them once a " +
				"second, as the type `sync.progress` without an id. Any other Accept gets a page; it begins after `after`, else with the oldest event that is kept.",
			query: "repo.events type after cursor.events limit header.Last-Event-ID", sample: "repo=team%2Fapp&after=41&limit=20",
			answers: []success{{status: http.StatusOK, text: "A page. `next_cursor` is there also on the last page: ask with it again later.", body: eventList{},
				media: []string{eventStreamType}}},
			errors: []int{http.StatusTooManyRequests, http.StatusNotImplemented}},
	}
}

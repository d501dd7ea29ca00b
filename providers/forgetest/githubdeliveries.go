package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	deliveriesPage    = 30
	maxDeliveriesPage = 100
)

// githubDeliveries serves the log of the App's webhook: the newest first, by
// cursor; one of them with its request and answer; and its redelivery.
func (f *Forge) githubDeliveries(w http.ResponseWriter, r *http.Request, rest []string) bool {
	if !f.appOnly(w, r) {
		return true
	}
	switch {
	case len(rest) == 0 && r.Method == http.MethodGet:
		f.listDeliveries(w, r)
	case len(rest) == 1 && r.Method == http.MethodGet:
		d, ok := f.delivery(rest[0])
		if !ok {
			githubError(w, http.StatusNotFound, "Not Found")
			return true
		}
		full := githubDelivery(d)
		full["url"] = d.URL
		full["request"] = object{"headers": d.Header, "payload": json.RawMessage(d.Body)}
		full["response"] = object{"headers": object{}, "payload": ""}
		writeJSON(w, http.StatusOK, full)
	case len(rest) == 2 && rest[1] == "attempts" && r.Method == http.MethodPost:
		f.redeliver(w, rest[0])
	default:
		return false
	}
	return true
}

// instanceLog returns the deliveries of the App's webhook, newest first.
func (f *Forge) instanceLog() []Delivery {
	all := slices.DeleteFunc(f.Deliveries(), func(d Delivery) bool { return !d.instance })
	slices.Reverse(all)
	return all
}

func (f *Forge) delivery(number string) (Delivery, bool) {
	for _, d := range f.instanceLog() {
		if strconv.FormatInt(d.Number, 10) == number {
			return d, true
		}
	}
	return Delivery{}, false
}

func (f *Forge) listDeliveries(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size := deliveriesPage
	if n, err := strconv.Atoi(query.Get("per_page")); err == nil && n > 0 {
		size = min(n, maxDeliveriesPage)
	}
	log := f.instanceLog()
	if status := query.Get("status"); status != "" {
		log = slices.DeleteFunc(log, func(d Delivery) bool { return d.Delivered() != (status == "success") })
	}
	if cursor := query.Get("cursor"); cursor != "" {
		last, err := strconv.ParseInt(strings.TrimPrefix(cursor, "v1_"), 10, 64)
		if err != nil {
			githubError(w, http.StatusUnprocessableEntity, "Invalid cursor")
			return
		}
		log = slices.DeleteFunc(log, func(d Delivery) bool { return d.Number >= last })
	}
	if len(log) > size {
		log = log[:size]
		query.Set("cursor", "v1_"+strconv.FormatInt(log[size-1].Number, 10))
		next := f.APIURL() + "/app/hook/deliveries?" + query.Encode()
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", next))
	}
	page := []object{}
	for _, d := range log {
		page = append(page, githubDelivery(d))
	}
	writeJSON(w, http.StatusOK, page)
}

// githubDelivery is one delivery as GitHub's log has it. What got no answer has
// the status of a gateway.
func githubDelivery(d Delivery) object {
	body := object{
		"id": d.Number, "guid": d.ID, "delivered_at": d.At.UTC().Format(time.RFC3339), "redelivery": d.Redelivery,
		"duration": d.Took.Seconds(), "status": "OK", "status_code": d.Status, "event": d.Event, "action": nil,
		"installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if d.Action != "" {
		body["action"] = d.Action
	}
	if d.installation != 0 {
		body["installation_id"], body["repository_id"] = d.installation, d.repoID
	}
	switch {
	case d.Err == "timed out":
		body["status"], body["status_code"] = d.Err, http.StatusGatewayTimeout
	case d.Err != "":
		body["status"], body["status_code"] = d.Err, http.StatusBadGateway
	case !d.Delivered():
		body["status"] = "Invalid HTTP Response: " + strconv.Itoa(d.Status)
	}
	return body
}

// redeliver sends a delivery again, with the same guid.
func (f *Forge) redeliver(w http.ResponseWriter, number string) {
	d, ok := f.delivery(number)
	if !ok {
		githubError(w, http.StatusNotFound, "Not Found")
		return
	}
	f.mu.Lock()
	instance := f.webhooks.instance
	f.mu.Unlock()
	if instance == nil {
		githubError(w, http.StatusUnprocessableEntity, "The webhook is not active.")
		return
	}
	d.URL, d.Redelivery, d.Status, d.Err = instance.URL, true, 0, ""
	if d.secret != instance.Secret {
		// It is signed with the secret of now.
		d.secret = instance.Secret
		d.Header = d.Header.Clone()
		signHub(&d, d.secret)
	}
	f.postman.add(d)
	writeJSON(w, http.StatusAccepted, object{})
}

package forgetest

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestForge_githubDeliveries(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	f := StartForge(t, ForgeOptions{HostKind: HostGitHub})
	f.CreateRepo(testRepo, false)
	f.SetInstanceWebhook(r.URL, "s")
	now := time.Now()
	bearer := sign(t, f, map[string]any{"iss": AppID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()})
	type entry struct {
		ID           int64  `json:"id"`
		GUID         string `json:"guid"`
		Status       string `json:"status"`
		Code         int    `json:"status_code"`
		Redelivery   bool   `json:"redelivery"`
		Event        string `json:"event"`
		Installation int64  `json:"installation_id"`
	}
	next := regexp.MustCompile(`<([^>]+)>; rel="next"`)
	get := func(url string) (list []entry, following string) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		q.Header.Set("Authorization", "Bearer "+bearer)
		answer, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s", raw)
		require.NoError(t, json.Unmarshal(raw, &list))
		if m := next.FindStringSubmatch(answer.Header.Get("Link")); m != nil {
			following = m[1]
		}
		return list, following
	}
	f.Deliver(testRepo, pushEvent())
	r.answer(http.StatusBadGateway)
	f.Deliver(testRepo, pushEvent())
	f.SetWebhookFaults(WebhookFaults{Drop: true})
	f.Deliver(testRepo, pushEvent())
	f.SetWebhookFaults(WebhookFaults{})
	r.answer(http.StatusAccepted)

	all, following := get(f.APIURL() + "/app/hook/deliveries")
	require.Empty(t, following)
	require.Len(t, all, 3)
	require.Equal(t, []string{"failed to connect to host", "Invalid HTTP Response: 502", "OK"}, []string{all[0].Status, all[1].Status, all[2].Status})
	require.Equal(t, []int{502, 502, 202}, []int{all[0].Code, all[1].Code, all[2].Code})
	require.Equal(t, f.Installation("acme"), all[0].Installation)

	status, _ := call(t, f, http.MethodPost, "/app/hook/deliveries/"+strconv.FormatInt(all[1].ID, 10)+"/attempts", bearer, nil)
	require.Equal(t, http.StatusAccepted, status)
	f.Settle()
	again, _ := get(f.APIURL() + "/app/hook/deliveries?per_page=1")
	require.Equal(t, all[1].GUID, again[0].GUID)
	require.True(t, again[0].Redelivery)
	require.Equal(t, "OK", again[0].Status)
	require.NotEqual(t, all[1].ID, again[0].ID)
	status, _ = call(t, f, http.MethodPost, "/app/hook/deliveries/999/attempts", bearer, nil)
	require.Equal(t, http.StatusNotFound, status)

	// Page by page, newest first, each once.
	var ids []int64
	for url, pages := f.APIURL()+"/app/hook/deliveries?per_page=1", 0; url != ""; pages++ {
		require.Less(t, pages, 10)
		var page []entry
		page, url = get(url)
		for _, e := range page {
			ids = append(ids, e.ID)
		}
	}
	require.Equal(t, []int64{4, 3, 2, 1}, ids)

	bearer = "nothing"
	status, _ = call(t, f, http.MethodPost, "/app/hook/deliveries/1/attempts", bearer, nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

// pushEvent is a push to the default branch.
func pushEvent() Event {
	return Event{Kind: EventPush, Updates: []RefUpdate{{
		Name: "refs/heads/main", Old: strings.Repeat("1", 40), New: strings.Repeat("2", 40),
	}}}
}

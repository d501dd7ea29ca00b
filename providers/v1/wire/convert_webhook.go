package wire

import (
	"net/http"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

var webhookKinds = map[providers.WebhookKind]providerv1.WebhookKind{
	providers.WebhookPush:          providerv1.WebhookKind_WEBHOOK_KIND_PUSH,
	providers.WebhookRef:           providerv1.WebhookKind_WEBHOOK_KIND_REF,
	providers.WebhookDefaultBranch: providerv1.WebhookKind_WEBHOOK_KIND_DEFAULT_BRANCH,
	providers.WebhookRenamed:       providerv1.WebhookKind_WEBHOOK_KIND_RENAMED,
	providers.WebhookDeleted:       providerv1.WebhookKind_WEBHOOK_KIND_DELETED,
	providers.WebhookInstallation:  providerv1.WebhookKind_WEBHOOK_KIND_INSTALLATION,
	providers.WebhookPing:          providerv1.WebhookKind_WEBHOOK_KIND_PING,
	providers.WebhookIgnored:       providerv1.WebhookKind_WEBHOOK_KIND_IGNORED,
}

func toWebhookRequest(r providers.WebhookRequest) *providerv1.ParseWebhookRequest {
	out := &providerv1.ParseWebhookRequest{
		Method:     text(r.Method),
		Path:       text(r.Path),
		Query:      text(r.Query),
		Body:       r.Body,
		Secrets:    toSecrets(r.Secrets),
		ReceivedAt: toTime(r.ReceivedAt),
	}
	if r.Repository != nil {
		out.Repository = toRemote(*r.Repository)
	}
	for name, values := range r.Header {
		out.Headers = append(out.Headers, &providerv1.Header{Name: text(name), Values: texts(values)})
	}
	slices.SortFunc(out.Headers, func(a, b *providerv1.Header) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

func fromWebhookRequest(r *providerv1.ParseWebhookRequest) providers.WebhookRequest {
	out := providers.WebhookRequest{
		Method:     r.GetMethod(),
		Path:       r.GetPath(),
		Query:      r.GetQuery(),
		Header:     http.Header{},
		Body:       r.GetBody(),
		Secrets:    fromSecrets(r.GetSecrets()),
		ReceivedAt: fromTime(r.GetReceivedAt()),
	}
	if r.GetRepository() != nil {
		out.Repository = new(fromRemote(r.GetRepository()))
	}
	for _, h := range r.GetHeaders() {
		for _, value := range h.GetValues() {
			out.Header.Add(h.GetName(), value)
		}
	}
	return out
}

func toWebhookResult(r providers.WebhookResult) *providerv1.ParseWebhookResponse {
	out := &providerv1.ParseWebhookResponse{
		Verified:       r.Verified,
		DeliveryId:     text(r.DeliveryID),
		Kind:           webhookKinds[r.Kind],
		RepositoryId:   text(r.RepositoryID),
		Host:           text(r.Host),
		RepositoryPath: text(r.RepositoryPath),
		Truncated:      r.Truncated,
		Account:        text(r.Account),
		ReplyStatus:    int32(r.ReplyStatus),
		ReplyBody:      r.ReplyBody,
	}
	for _, h := range r.Refs {
		out.Refs = append(out.Refs, &providerv1.RefHint{Name: text(h.Name), Old: text(h.Old), New: text(h.New)})
	}
	for _, h := range r.Repositories {
		out.Repositories = append(out.Repositories, &providerv1.RepositoryHint{Id: text(h.ID), Path: text(h.Path)})
	}
	return out
}

func fromWebhookResult(r *providerv1.ParseWebhookResponse) providers.WebhookResult {
	out := providers.WebhookResult{
		Verified:       r.GetVerified(),
		DeliveryID:     r.GetDeliveryId(),
		Kind:           reverse(webhookKinds, r.GetKind()),
		RepositoryID:   r.GetRepositoryId(),
		Host:           r.GetHost(),
		RepositoryPath: r.GetRepositoryPath(),
		Truncated:      r.GetTruncated(),
		Account:        r.GetAccount(),
		ReplyStatus:    int(r.GetReplyStatus()),
		ReplyBody:      r.GetReplyBody(),
	}
	for _, h := range r.GetRefs() {
		out.Refs = append(out.Refs, providers.RefHint{Name: h.GetName(), Old: h.GetOld(), New: h.GetNew()})
	}
	for _, h := range r.GetRepositories() {
		out.Repositories = append(out.Repositories, providers.RepositoryHint{ID: h.GetId(), Path: h.GetPath()})
	}
	if out.Kind == "" {
		out.Kind = providers.WebhookIgnored // a kind of a newer contract
	}
	return out
}

func toEnsureWebhookRequest(r providers.EnsureWebhookRequest) *providerv1.EnsureWebhookRequest {
	return &providerv1.EnsureWebhookRequest{
		Remote: toRemote(r.Remote),
		Stored: toStored(r.Stored),
		Url:    r.URL,
		Secret: r.Secret.Reveal(),
		HookId: r.HookID,
	}
}

func fromEnsureWebhookRequest(r *providerv1.EnsureWebhookRequest) providers.EnsureWebhookRequest {
	return providers.EnsureWebhookRequest{
		Remote: fromRemote(r.GetRemote()),
		Stored: fromStored(r.GetStored()),
		URL:    r.GetUrl(),
		Secret: providers.Secret(r.GetSecret()),
		HookID: r.GetHookId(),
	}
}

func toRegisteredWebhook(r providers.RegisteredWebhook) *providerv1.EnsureWebhookResponse {
	return &providerv1.EnsureWebhookResponse{HookId: text(r.HookID), Changed: r.Changed}
}

func fromRegisteredWebhook(r *providerv1.EnsureWebhookResponse) providers.RegisteredWebhook {
	return providers.RegisteredWebhook{HookID: r.GetHookId(), Changed: r.GetChanged()}
}

func toRemoveWebhookRequest(r providers.RemoveWebhookRequest) *providerv1.RemoveWebhookRequest {
	return &providerv1.RemoveWebhookRequest{Remote: toRemote(r.Remote), Stored: toStored(r.Stored), Url: r.URL, HookId: r.HookID}
}

func fromRemoveWebhookRequest(r *providerv1.RemoveWebhookRequest) providers.RemoveWebhookRequest {
	return providers.RemoveWebhookRequest{
		Remote: fromRemote(r.GetRemote()), Stored: fromStored(r.GetStored()), URL: r.GetUrl(), HookID: r.GetHookId(),
	}
}

func toReplayRequest(r providers.ReplayRequest) *providerv1.ReplayDeliveriesRequest {
	return &providerv1.ReplayDeliveriesRequest{Host: r.Host, Since: toTime(r.Since)}
}

func fromReplayRequest(r *providerv1.ReplayDeliveriesRequest) providers.ReplayRequest {
	return providers.ReplayRequest{Host: r.GetHost(), Since: fromTime(r.GetSince())}
}

func toReplayResult(r providers.ReplayResult) *providerv1.ReplayDeliveriesResponse {
	return &providerv1.ReplayDeliveriesResponse{Failed: int32(r.Failed), Replayed: int32(r.Replayed), Incomplete: r.Incomplete}
}

func fromReplayResult(r *providerv1.ReplayDeliveriesResponse) providers.ReplayResult {
	return providers.ReplayResult{Failed: int(r.GetFailed()), Replayed: int(r.GetReplayed()), Incomplete: r.GetIncomplete()}
}

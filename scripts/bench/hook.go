package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// hookSecret signs the webhooks of the measured upstream.
const hookSecret = "bench-webhook-secret"

// benchHook measures from the upstream's webhook to its new commit being
// readable here, against a git fetch that a person would start by hand at the
// same moment.
func benchHook(ctx context.Context, b *bench) error {
	src, err := b.generated(ctx, b.medium())
	if err != nil {
		return err
	}
	n, err := b.startNginx(ctx, "hook-nginx", filepath.Join(b.work, "hook-repos"), false)
	if err != nil {
		return err
	}
	defer n.stop()
	h, err := b.startHeadwaterWith(ctx, "hook", fmt.Sprintf(
		"provider \"gitea\" {\n  host %q {\n    scheme = \"http\"\n    allow_private = true\n    webhook_secret = %q\n  }\n}\n", n.host, hookSecret))
	if err != nil {
		return err
	}
	defer h.stop()
	f, err := b.follow(ctx, h, n, src, "hook-follower")
	if err != nil {
		return err
	}
	s, err := interleave(ctx, b.rounds(60),
		variant{cpu: h.cpu, prepare: func(ctx context.Context, round int) error {
			// Webhooks within a second of each other share a look at its end,
			// because hosts send several per push. This measures the first.
			time.Sleep(1100 * time.Millisecond)
			return f.change(ctx, round)
		}, op: func(ctx context.Context, _ int) error {
			if err := h.announce(ctx, n.host, f.before, f.writer.tip); err != nil {
				return err
			}
			return f.shown(ctx)
		}},
		variant{prepare: f.change, op: f.byHand})
	if err != nil {
		return err
	}
	b.table.compare("hook", "upstream push to readable, p50", s[0].p50(), s[1].p50(), 1.2, 30*time.Millisecond)
	b.table.beside("hook", "upstream push to readable, p99", s[0].quantile(99), s[1].quantile(99))
	return b.hookStorm(ctx, h, n, f.writer.tip)
}

// hookStorm sends one delivery again and again, as hosts do.
func (b *bench) hookStorm(ctx context.Context, h *headwater, n nginx, tip string) error {
	deliveries := 10000
	if b.quick {
		deliveries = 2000
	}
	cpu, start := h.cpu(), time.Now()
	for range deliveries {
		if err := h.announce(ctx, n.host, tip, tip); err != nil {
			return err
		}
	}
	took := time.Since(start)
	b.table.note("hook", fmt.Sprintf("%d duplicate webhooks", deliveries), fmt.Sprintf("%.0f/s", float64(deliveries)/took.Seconds()))
	b.table.note("hook", "CPU of one duplicate", show((h.cpu()-cpu)/time.Duration(deliveries)))
	return nil
}

// announce posts a push webhook as Gitea signs it.
func (h *headwater) announce(ctx context.Context, host, before, after string) error {
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": before, "after": after, "commits": []any{}, "total_commits": 1,
		"repository": map[string]any{
			"id": 1, "name": "upstream", "full_name": "open/upstream", "owner": map[string]any{"login": "open", "username": "open"},
			"html_url": "http://" + host + "/open/upstream", "clone_url": "http://" + host + "/open/upstream.git", "default_branch": "main",
		},
	})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	signature := hex.EncodeToString(mac.Sum(nil))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.base+"/webhooks/gitea", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Gitea-Event": "push", "X-Gitea-Delivery": before[:20] + after[:20],
		"X-Gitea-Signature": signature, "X-Hub-Signature-256": "sha256=" + signature,
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: status %d", resp.StatusCode)
	}
	return nil
}

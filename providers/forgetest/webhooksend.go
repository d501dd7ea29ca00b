package forgetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// deliveryTimeout is how long a host waits for a receiver.
	deliveryTimeout = 10 * time.Second
	// maxAnswer bounds what is read of a receiver's answer.
	maxAnswer = 64 << 10
)

// postman sends the webhooks of a forge one after the other, in the order of
// the events, as hosts do for one receiver.
type postman struct {
	client *http.Client
	done   chan struct{} // closed when the loop has ended
	wake   chan struct{}

	mu         sync.Mutex
	queue      []Delivery
	pending    int           // queued or being sent
	idle       chan struct{} // closed while nothing is pending
	lastNumber int64
	log        []Delivery
}

func newPostman(o ForgeOptions) *postman {
	idle := make(chan struct{})
	close(idle)
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: deliveryTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: o.ReceiverCAs, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 1,
	}
	return &postman{
		client: &http.Client{
			Transport: transport, Timeout: deliveryTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		done: make(chan struct{}), wake: make(chan struct{}, 1), idle: idle,
	}
}

// run sends what is queued until the forge closes.
func (p *postman) run(f *Forge) {
	defer close(p.done)
	defer p.client.CloseIdleConnections()
	for {
		d, ok := p.next()
		if ok {
			p.deliver(f, d)
			continue
		}
		select {
		case <-f.ctx.Done():
			return
		case <-p.wake:
		}
	}
}

func (p *postman) next() (Delivery, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return Delivery{}, false
	}
	d := p.queue[0]
	p.queue = p.queue[1:]
	return d, true
}

func (p *postman) add(list ...Delivery) {
	if len(list) == 0 {
		return
	}
	p.mu.Lock()
	if p.pending == 0 {
		p.idle = make(chan struct{})
	}
	p.pending += len(list)
	p.queue = append(p.queue, list...)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// deliver sends one delivery as the faults have it, and logs it.
func (p *postman) deliver(f *Forge, d Delivery) {
	f.mu.Lock()
	faults := f.webhooks.faults
	f.mu.Unlock()
	if faults.Delay > 0 {
		timer := time.NewTimer(faults.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.ctx.Done():
		}
	}
	for range 1 + faults.Duplicates {
		sent := d
		sent.At = f.clock()
		if faults.Tamper {
			sent.Body = append(slices.Clone(d.Body), ' ') // still JSON, and no longer what was signed
		}
		if faults.Drop {
			sent.Err = "failed to connect to host"
		} else {
			begin := time.Now()
			sent.Status, sent.Err = p.post(f.ctx, sent)
			sent.Took = time.Since(begin)
		}
		p.mu.Lock()
		p.lastNumber++
		sent.Number = p.lastNumber
		p.log = append(p.log, sent)
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending--; p.pending == 0 {
		close(p.idle)
	}
}

// post makes the request. It returns the status of the answer, or why there is
// none.
func (p *postman) post(ctx context.Context, d Delivery) (status int, fault string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, "invalid URL"
	}
	r.Header = d.Header.Clone()
	answer, err := p.client.Do(r)
	if err != nil {
		if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
			return 0, "timed out"
		}
		return 0, "failed to connect to host"
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	return answer.StatusCode, ""
}

// Deliver sends events about a repository to the webhooks that want them. It
// does not wait: see [Forge.Settle].
func (f *Forge) Deliver(repo string, events ...Event) error {
	found, err := f.change(repo, func(*forgeRepo) {})
	if err != nil {
		return err
	}
	f.announce(found, events...)
	return nil
}

// announce queues the deliveries of events.
func (f *Forge) announce(repo *forgeRepo, events ...Event) {
	f.mu.Lock()
	hooks := slices.Clone(f.webhooks.byRepo[repo.id])
	instance := f.webhooks.instance
	f.mu.Unlock()
	var list []Delivery
	for _, e := range events {
		if len(hooks) > 0 {
			for _, p := range f.rules.payloads(f, repo, e, false) {
				for _, w := range hooks {
					if w.Active && !w.Disabled && w.wants(p) {
						list = append(list, f.sealed(repo, p, w, false))
					}
				}
			}
		}
		if instance != nil && f.tells(repo, e) {
			for _, p := range f.rules.payloads(f, repo, e, true) {
				list = append(list, f.sealed(repo, p, *instance, true))
			}
		}
	}
	f.postman.add(list...)
}

// tells reports whether the webhook of the whole host gets an event: a
// GitHub App gets those of repositories that it is installed on, and of its
// installations.
func (f *Forge) tells(repo *forgeRepo, e Event) bool {
	if f.app == nil || e.Kind == EventInstallation || e.Kind == EventInstallationRepos {
		return true
	}
	i, ok := f.app.at(repo.owner())
	return ok && i.suspended.IsZero()
}

// Settle waits until no delivery is under way or ctx ends, whose error it
// returns. Deliveries of a push are under way before its client has the answer.
func (f *Forge) Settle(ctx context.Context) error {
	f.postman.mu.Lock()
	idle := f.postman.idle
	f.postman.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Deliveries returns what was delivered, or tried, in that order.
func (f *Forge) Deliveries() []Delivery {
	f.postman.mu.Lock()
	defer f.postman.mu.Unlock()
	return slices.Clone(f.postman.log)
}

// HoldRefs makes fetches and listings see a repository as it is now, like a
// replica that lags behind, until release is called: pushes and the deliveries
// about them go on, and announce ids that nobody finds yet.
func (f *Forge) HoldRefs(repo string) (release func(), err error) {
	found, err := f.change(repo, func(*forgeRepo) {})
	if err != nil {
		return nil, err
	}
	replica := found.folder + "-replica"
	if err := os.CopyFS(filepath.Join(f.root, replica), os.DirFS(filepath.Join(f.root, found.folder))); err != nil {
		return nil, fmt.Errorf("copy repository %q: %w", repo, err)
	}
	f.mu.Lock()
	f.webhooks.held[found.id] = replica
	f.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		delete(f.webhooks.held, found.id)
		f.mu.Unlock()
		// The folder stays: a fetch may be reading it. It goes with the forge's.
	}), nil
}

// replicaOf returns the folder that fetches of a repository see.
func (f *Forge) replicaOf(repo *forgeRepo) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if held, ok := f.webhooks.held[repo.id]; ok {
		return held
	}
	return repo.folder
}

// announcePush queues the deliveries of a push that was served: of the refs
// that are where it wanted them.
func (f *Forge) announcePush(repo *forgeRepo, updates []RefUpdate) {
	f.mu.Lock()
	silent := f.webhooks.instance == nil && len(f.webhooks.byRepo[repo.id]) == 0
	f.mu.Unlock()
	if silent {
		return // without asking git
	}
	refs, err := f.Refs(repo.path)
	if err != nil {
		return // deleted meanwhile
	}
	var moved []RefUpdate
	for _, u := range updates {
		now := refs[u.Name]
		if u.announced() && u.Old != u.New && (now == u.New || now == "" && u.Deletes()) {
			moved = append(moved, u)
		}
	}
	if len(moved) > 0 {
		f.announce(repo, Event{Kind: EventPush, Updates: moved})
	}
}

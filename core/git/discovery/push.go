package discovery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// postBuffer is how many bytes of a pack go out in one request of a known length,
// as git's http.postBuffer has it in package git: some hosts' proxies refuse
// bodies in chunks.
const postBuffer = 16 << 20

// What a host cannot do; nothing was sent to it then.
var (
	ErrNoAtomic      = errors.New("the host does not take atomic pushes")
	ErrNoPushOptions = errors.New("the host does not take push options")
)

// PushRequest is one push of any number of refs.
type PushRequest struct {
	// Updates are what to ask the host for. An update's old id is a lease: one whose
	// ref is elsewhere at the host is refused here, as git push --force-with-lease does.
	Updates []core.RefUpdate
	Atomic  bool     // all or none
	Options []string // of git push --push-option
	// Start starts the git send-pack of a push of these updates, which are those
	// that have to go to the host.
	Start func(ctx context.Context, updates []core.RefUpdate) (*git.Sender, error)
}

// Push has git send-pack send ref updates to the remote, with one listing and one
// request. It does what git-remote-http does between git and the host, see
// gitprotocol-http(5), but for two things that git does once for each pair of refs
// and this in one pass: leases are compared here, with the same listing that git
// gets, and git's list is cut down to the refs of the push, see [git.Git.SendPack].
// No command line limits their number.
//
// It returns a line for each update that is decided: by the host's report, by its
// lease, or because the ref is there already. An update without a line is unknown if
// sent is true, and untouched if it is false. A host that turned the request away
// before it did any of it (a status as 401, 404 or 413) counts as not sent to.
//
// The host must take or say something every two minutes; the time that git takes
// to pack does not count. Every failure is a [*hosterror.Error], but for
// [ErrNoAtomic], [ErrNoPushOptions], what git returned, and the end of ctx.
func (d *Discoverer) Push(ctx context.Context, r git.Remote, req PushRequest) (lines []git.PushLine, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u, err := address(r)
	if err != nil {
		return nil, false, remoteError(ctx, err, r)
	}
	stalled := func() { cancel(hosterror.ErrStalled) }
	w := d.answers(ctx, d.stall, stalled)
	host := newAdvertParser(receivePack, []string{"refs/"})
	transport, err := d.list(ctx, r, u, host, w)
	w.close()
	if err != nil {
		return nil, false, remoteError(ctx, err, r)
	}
	lines, updates, err := host.plan(req)
	if err != nil || len(updates) == 0 {
		return lines, false, err
	}
	p := &pusher{
		d: d, remote: r, host: host, request: req, updates: updates,
		// Hosts print a byte now and then while their hooks run: any one counts.
		stall: newStallTimer(d.pushStall, 1, stalled),
	}
	defer p.stall.stop()
	reported, sent, err := p.push(ctx, transport, u.JoinPath(receivePack).String())
	return append(lines, reported...), sent, err
}

// plan decides what needs no question, and returns the updates to send.
func (p *advertParser) plan(req PushRequest) (lines []git.PushLine, commands []core.RefUpdate, err error) {
	if req.Atomic && !p.offers["atomic"] {
		return nil, nil, ErrNoAtomic
	}
	if len(req.Options) > 0 && !p.offers["push-options"] {
		return nil, nil, ErrNoPushOptions
	}
	refused := 0
	refuse := func(u core.RefUpdate, reason string) {
		refused++
		lines = append(lines, git.PushLine{Flag: '!', To: u.Name, Summary: git.PushRejected, Reason: reason})
	}
	for _, u := range req.Updates {
		if id := u.New.OrZeros(u.Old); len(id) != p.idLength {
			return nil, nil, &hosterror.Error{
				Class: core.ClassProtocol, HostText: fmt.Sprintf("the upstream's repository is of another object format (%s) than this one", p.ObjectFormat),
			}
		}
		switch at := p.Refs[u.Name]; {
		case !u.IsDelete() && at.Same(u.New):
			lines = append(lines, git.PushLine{Flag: '=', To: u.Name})
		case !at.Same(u.Old):
			refuse(u, git.PushStale)
		case u.IsDelete() && !p.offers["delete-refs"]:
			refuse(u, "remote does not support deleting refs")
		default:
			commands = append(commands, u)
		}
	}
	if req.Atomic && refused > 0 {
		for _, u := range commands {
			refuse(u, "atomic push failed")
		}
		commands = nil
	}
	return lines, commands, nil
}

// pusher is one request of a push.
type pusher struct {
	d       *Discoverer
	remote  git.Remote
	host    *advertParser
	request PushRequest
	updates []core.RefUpdate
	stall   *stallTimer
}

// push runs git and takes its request to the host.
func (p *pusher) push(ctx context.Context, transport *http.Transport, url string) (lines []git.PushLine, sent bool, err error) {
	running, end := context.WithCancel(ctx)
	defer end()
	sender, err := p.request.Start(running, p.updates)
	if err != nil {
		return nil, false, err
	}
	body := &requestBody{packets: pktline.NewReader(sender.Out)}
	lines, sent, err = p.talk(ctx, transport, url, sender, body)
	ended, cut := body.state()
	if !ended {
		end() // it may be packing still, for nobody
	}
	waitErr := sender.Wait()
	switch {
	case len(lines) == len(p.updates):
		// git exits with 1 where the host refused a ref.
		return lines, sent, nil
	case cut != nil && waitErr != nil && ctx.Err() == nil:
		return lines, sent, waitErr // git failed, and so the request
	case err == nil && waitErr != nil:
		err = waitErr
	case err == nil:
		err = remoteError(ctx, malformed("no report of what became of the refs"), p.remote)
	}
	return lines, sent, err
}

// talk carries git's words to the host, and the host's to git.
func (p *pusher) talk(ctx context.Context, transport *http.Transport, url string, sender *git.Sender, body *requestBody) (lines []git.PushLine, sent bool, err error) {
	if _, err := sender.In.Write(p.advertisement()); err != nil {
		return nil, false, err
	}
	request, length, err := p.readRequest(body)
	if err != nil {
		return nil, false, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, request)
	if err != nil {
		return nil, false, remoteError(ctx, err, p.remote)
	}
	post.ContentLength = length
	post.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	post.Header.Set("Accept", "application/x-git-receive-pack-result")
	w := &answerReader{limit: p.d.limit, stall: p.stall}
	p.stall.restart()
	var report sync.WaitGroup
	err = p.d.exchange(transport, post, p.remote, "application/x-git-receive-pack-result", w, func(answer *bufio.Reader) error {
		read := func() { lines, _ = git.ParseHelperStatus(sender.Out) } // what is cut off has no line
		early := true                                                   // a host that refuses a pack need not take all of it
		if ended, _ := body.state(); ended {
			early = false
			report.Go(read)
		}
		_, err := io.Copy(hostsWords{sender.In}, answer)
		_ = sender.In.Close() // the end, as git sees it
		if early {
			_, _ = io.Copy(io.Discard, body)
			read()
		}
		report.Wait()
		return err
	})
	for i := range lines {
		// A host may repeat in a reason what it was sent.
		lines[i].Reason = hosterror.Redact(lines[i].Reason, p.remote.Secrets()...)
	}
	if err == nil {
		return lines, true, nil
	}
	err = remoteError(ctx, err, p.remote)
	host, ok := errors.AsType[*hosterror.Error](err)
	return lines, !isDial(err) && (!ok || !hosterror.IsStatusWithoutEffect(host.Status)), err
}

// hostsWords is git's standard input. A git that has ended takes no more, and why is
// said by how it ended.
type hostsWords struct{ w io.Writer }

// Write never fails.
func (h hostsWords) Write(p []byte) (int, error) {
	_, _ = h.w.Write(p)
	return len(p), nil
}

// advertisement returns the host's list as git is to see it: the refs of the push,
// and the ids of all others as objects that the host has.
func (p *pusher) advertisement() []byte {
	var capabilities []string
	for _, name := range []string{"report-status", "report-status-v2", "delete-refs", "quiet", "atomic", "ofs-delta", "side-band-64k", "push-options", "no-thin"} {
		if p.host.offers[name] {
			capabilities = append(capabilities, name)
		}
	}
	if p.host.offers["object-format"] {
		capabilities = append(capabilities, "object-format="+p.host.ObjectFormat)
	}
	if p.host.offers["agent"] {
		capabilities = append(capabilities, "agent="+p.host.Agent)
	}
	end := "\x00" + strings.Join(capabilities, " ") + "\n"
	var list []byte
	add := func(id core.ObjectID, name string) {
		list = pktline.Appendf(list, "%s %s%s", id, name, end)
		end = "\n"
	}
	named := make(map[core.ObjectID]bool, len(p.host.Refs))
	for _, u := range p.updates {
		if !u.Old.IsZero() {
			add(u.Old, u.Name)
			named[u.Old] = true
		}
	}
	for _, id := range p.host.Refs {
		// The tips of a host that is shallow say nothing of what is below them.
		if !named[id] && !p.host.shallow {
			add(id, ".have")
			named[id] = true
		}
	}
	if len(list) == 0 {
		add(core.ObjectID("").OrZeros(p.updates[0].New), "capabilities^{}")
	}
	return append(list, pktline.FlushPacket...)
}

// readRequest returns the request of git's and its length, -1 if that is not known. It
// fails unless the request asks for the updates and nothing else.
func (p *pusher) readRequest(body *requestBody) (request io.Reader, length int64, err error) {
	head, err := pktline.ParseReceiveCommands(pktline.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("git send-pack: %w", err)
	}
	if !sameUpdates(head.Updates, p.updates) {
		return nil, 0, fmt.Errorf("git send-pack asks for %d ref updates, which are not the %d that it was given", len(head.Updates), len(p.updates))
	}
	buffer := bytes.NewBuffer(head.Raw)
	switch _, err = io.CopyN(buffer, body, postBuffer); {
	case errors.Is(err, io.EOF):
		return &timedBody{p.stall, buffer}, int64(buffer.Len()), nil
	case err != nil:
		return nil, 0, err
	}
	return &timedBody{p.stall, io.MultiReader(buffer, body)}, -1, nil
}

// sameUpdates reports whether both hold the same updates, in any order.
func sameUpdates(asked, given []core.RefUpdate) bool {
	byName := make(map[string]core.RefUpdate, len(given))
	for _, u := range given {
		byName[u.Name] = u
	}
	for _, u := range asked {
		want, ok := byName[u.Name]
		if !ok || !u.Old.Same(want.Old) || !u.New.Same(want.New) {
			return false
		}
		delete(byName, u.Name)
	}
	return len(byName) == 0
}

// requestBody reads what is in git's packets up to the flush packet that ends them.
// It is safe for concurrent use: who sends a request may read on while the answer
// is there.
type requestBody struct {
	mu      sync.Mutex
	packets *pktline.Reader
	rest    []byte // of the last packet
	ended   bool   // the flush packet was read
	err     error  // git ended before it
}

// state reports whether the request was read to its end, and what cut it short.
func (b *requestBody) state() (ended bool, cut error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended, b.err
}

// Read reads the request.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.rest) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if b.err != nil {
			return 0, b.err
		}
		kind, payload, err := b.packets.Next()
		switch {
		case errors.Is(err, io.EOF):
			b.err = io.ErrUnexpectedEOF
		case err != nil:
			b.err = err
		case kind == pktline.Flush:
			b.ended = true
		default:
			b.rest = payload
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

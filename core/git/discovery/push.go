package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	// Pack writes the pack with all that the updates need. It is not called for
	// deletions alone.
	Pack func(ctx context.Context, target PackTarget, w io.Writer) error
	// Messages gets what the host tells the person who pushes, as it comes; not yet
	// redacted.
	Messages io.Writer
}

// PackTarget says what a host can do with a pack.
type PackTarget struct {
	// Has are tips that the host has with their whole history, each once.
	Has []core.ObjectID
	// Thin packs may refer to objects that the host has; OffsetDelta is a shorter form
	// of reference within a pack. See gitprotocol-capabilities(5).
	Thin, OffsetDelta bool
}

// Push sends ref updates to the remote, with one listing and one request, see
// gitprotocol-pack(5), "Pushing Data To a Server".
//
// git push and git send-pack compare every refspec and every lease with every ref
// of the host: 3,000 cost them half a minute of CPU. Here the cost is linear, and no
// command line limits their number.
//
// It returns a line for each update that is decided: by the host's report, by its
// lease, or because the ref is there already. An update without a line is unknown if
// sent is true, and untouched if it is false. A host that turned the request away
// before it did any of it (a status as 401, 404 or 413) counts as not sent to.
//
// The host must take or say something every two minutes; the time that Pack takes
// does not count. Every failure is a [*hosterror.Error], but for [ErrNoAtomic],
// [ErrNoPushOptions], what Pack returned, and the end of ctx.
func (d *Discoverer) Push(ctx context.Context, r git.Remote, req PushRequest) (lines []git.PushLine, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u, err := address(r)
	if err != nil {
		return nil, false, remoteError(ctx, err)
	}
	stalled := func() { cancel(hosterror.ErrStalled) }
	w := &answerReader{limit: maxAdvertisement, stall: newStallTimer(d.stall, stallBytes, stalled)}
	host := newAdvertParser(receivePack, []string{"refs/"})
	transport, err := d.list(ctx, r, u, host, w)
	w.stall.stop()
	if err != nil {
		return nil, false, remoteError(ctx, err)
	}
	lines, commands, err := host.plan(req)
	if err != nil || len(commands) == 0 {
		return lines, false, err
	}
	p := &pusher{
		d: d, remote: r, host: host, request: req, commands: commands,
		// Hosts print a byte now and then while their hooks run: any one counts.
		stall: newStallTimer(d.pushStall, 1, stalled),
	}
	defer p.stall.stop()
	reported, sent, err := p.send(ctx, transport, u.JoinPath(receivePack).String())
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
	d        *Discoverer
	remote   git.Remote
	host     *advertParser
	request  PushRequest
	commands []core.RefUpdate
	stall    *stallTimer
}

// send sends the commands and returns what the host reports.
func (p *pusher) send(ctx context.Context, transport *http.Transport, url string) (lines []git.PushLine, sent bool, err error) {
	body, length, done, err := p.body(ctx)
	if err != nil {
		return nil, false, err
	}
	defer done()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return nil, false, remoteError(ctx, err)
	}
	post.ContentLength = length
	post.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	post.Header.Set("Accept", "application/x-git-receive-pack-result")
	answer := &report{sideband: p.host.offers["side-band-64k"], messages: p.request.Messages, remote: p.remote}
	w := &answerReader{limit: maxAdvertisement, stall: p.stall}
	err = p.d.exchange(transport, post, p.remote, "application/x-git-receive-pack-result", w, answer.read)
	switch {
	case answer.whole:
		// What comes behind is not about the refs any more.
		return answer.lines, true, nil
	case err == nil:
		err = malformed("no report of what became of the refs")
	}
	err = remoteError(ctx, err)
	host, ok := errors.AsType[*hosterror.Error](err)
	return answer.lines, !isDial(err) && (!ok || !hosterror.IsStatusWithoutEffect(host.Status)), err
}

// body returns the request's body and its length, -1 if that is not known, and a
// function that ends what makes it.
func (p *pusher) body(ctx context.Context) (body io.Reader, length int64, done func(), err error) {
	var head bytes.Buffer
	p.writeCommands(&head)
	if !slices.ContainsFunc(p.commands, func(u core.RefUpdate) bool { return !u.IsDelete() }) {
		return &requestBody{p.stall, &head}, int64(head.Len()), func() {}, nil
	}
	packing, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	var ended sync.WaitGroup
	ended.Go(func() { _ = w.CloseWithError(p.request.Pack(packing, p.target(), w)) })
	done = func() {
		cancel()
		_ = r.Close()
		ended.Wait()
	}
	switch _, err = io.CopyN(&head, &requestBody{p.stall, r}, postBuffer); {
	case err == nil:
		return &requestBody{p.stall, io.MultiReader(&head, r)}, -1, done, nil
	case errors.Is(err, io.EOF):
		return &requestBody{p.stall, &head}, int64(head.Len()), done, nil
	}
	done()
	return nil, 0, nil, err
}

// target describes the host for the pack.
func (p *pusher) target() PackTarget {
	t := PackTarget{Thin: !p.host.offers["no-thin"], OffsetDelta: p.host.offers["ofs-delta"]}
	if p.host.shallow {
		t.Thin = false
		return t // its tips say nothing of what is below them
	}
	seen := make(map[core.ObjectID]bool, len(p.host.Refs))
	for _, id := range p.host.Refs {
		if !seen[id] {
			seen[id] = true
			t.Has = append(t.Has, id)
		}
	}
	return t
}

// writeCommands writes all that comes before the pack.
func (p *pusher) writeCommands(out *bytes.Buffer) {
	var capabilities []string
	for _, name := range []string{"report-status-v2", "report-status"} {
		if p.host.offers[name] {
			capabilities = append(capabilities, name)
			break
		}
	}
	if p.host.offers["side-band-64k"] {
		capabilities = append(capabilities, "side-band-64k")
	}
	if p.host.offers["object-format"] {
		capabilities = append(capabilities, "object-format="+p.host.ObjectFormat)
	}
	if p.host.offers["agent"] {
		capabilities = append(capabilities, "agent="+p.d.agent)
	}
	if p.request.Atomic {
		capabilities = append(capabilities, "atomic")
	}
	if len(p.request.Options) > 0 {
		capabilities = append(capabilities, "push-options")
	}
	var line []byte
	for i, u := range p.commands {
		end := ""
		if i == 0 {
			end = "\x00 " + strings.Join(capabilities, " ")
		}
		line = pktline.Appendf(line[:0], "%s %s %s%s", u.Old.OrZeros(u.New), u.New.OrZeros(u.Old), u.Name, end)
		out.Write(line)
	}
	out.WriteString(pktline.FlushPacket)
	if len(p.request.Options) == 0 {
		return
	}
	for _, option := range p.request.Options {
		out.Write(pktline.Appendf(nil, "%s", option))
	}
	out.WriteString(pktline.FlushPacket)
}

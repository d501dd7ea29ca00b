package lfs

import (
	"context"
	"errors"
	"io"

	"github.com/headwater-git/headwater/core"
)

// Uploads says of each object whether it can be uploaded. The upstream is asked about
// all of them in one batch; ref is the full name of the ref that they are for, "" if it
// is not known. KindNotFound: LFS is switched off; KindTooLarge: there is no room.
func (s *Service) Uploads(ctx context.Context, repo core.Repository, ref string, objects []Pointer) ([]Answer, error) {
	if err := s.Check(ctx, repo); err != nil {
		return nil, err
	}
	if err := s.o.Room(ctx, repo); err != nil {
		return nil, err
	}
	have, err := s.has(ctx, repo, objects)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(objects))
	for i, p := range objects {
		size, ok := have[p.OID]
		answers[i] = Answer{Pointer: p, Present: ok}
		if ok && size != p.Size {
			answers[i].Present, answers[i].Err = false, core.Errorf(core.KindInvalid, "the LFS object %s has %d bytes, not %d", p.OID, size, p.Size)
		}
	}
	if err := s.touch(ctx, repo, answers); err != nil {
		return nil, err
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return nil, err
	}
	if up == nil {
		return answers, nil
	}
	transfers, err := up.Batch(ctx, Upload, ref, objects)
	if err != nil {
		return nil, err
	}
	s.remember(repo, Upload, transfers)
	for i, t := range transfers {
		switch {
		case answers[i].Err != nil:
		case t.Err != nil:
			answers[i].Present, answers[i].Err = false, t.Err
		case !t.Present:
			// It may be here, and is not there: the client sends it once more.
			answers[i].Present = false
		}
	}
	return answers, nil
}

// touch has the objects that are here, and need not be sent, count as new: nothing takes
// them away before the ref comes that they are for. One that has been taken away meanwhile
// is not here.
func (s *Service) touch(ctx context.Context, repo core.Repository, answers []Answer) error {
	var present []string
	for _, a := range answers {
		if a.Present {
			present = append(present, string(a.Pointer.OID))
		}
	}
	if len(present) == 0 {
		return nil
	}
	touched, err := s.o.Store.TouchLFSObjects(ctx, repo.ID, present, s.o.Clock.Now())
	if err != nil {
		return err
	}
	here := make(map[OID]bool, len(touched))
	for _, oid := range touched {
		here[OID(oid)] = true
	}
	for i, a := range answers {
		answers[i].Present = a.Present && here[a.Pointer.OID]
	}
	return nil
}

// Put takes an object: its bytes are proven as they come, sent on to the upstream, if
// there is one, and are the repository's when both are done. KindInvalid: the bytes are
// not the object's; what the upstream refuses is refused in its words.
func (s *Service) Put(ctx context.Context, repo core.Repository, p Pointer, body io.Reader) error {
	if err := s.Check(ctx, repo); err != nil {
		return err
	}
	if err := s.o.Room(ctx, repo); err != nil {
		return err
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return err
	}
	var t Transfer
	if up != nil {
		if t, err = s.transferOf(ctx, up, repo, Upload, p); err != nil {
			return err
		}
	}
	d, err := newDraft(s.files.incoming(), p)
	if err != nil {
		return err
	}
	defer d.close()
	if up == nil || t.Present {
		if err := s.receive(d, body); err != nil {
			return err
		}
		d.release()
	} else if err := s.sendOn(ctx, up, t, d, body); err != nil {
		return err
	}
	s.o.Failpoint("lfs-uploaded")
	// From here on the upstream has it: a client that leaves does not undo that.
	return s.keep(context.WithoutCancel(ctx), repo, d)
}

// receive writes a body into a draft and checks it.
func (s *Service) receive(d *draft, body io.Reader) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{d}, body, make([]byte, copyBuffer)); err != nil {
		return err
	}
	return d.check()
}

// sendOn receives an object and sends it to the upstream meanwhile. The upstream gets
// the last bytes when all were proven. What fails there once all bytes are here is tried
// again without the client.
func (s *Service) sendOn(ctx context.Context, up Upstream, t Transfer, d *draft, body io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	put := make(chan error, 1)
	go func() {
		err := s.putOnce(ctx, up, t, d)
		put <- err
		if err != nil && !passing(err) {
			stop() // no need to read on
		}
	}()
	if err := s.receive(d, until{reading, body}); err != nil {
		d.fail(err)
		cancel(err)
		if uperr := <-put; uperr != nil && errors.Is(err, errUpstreamRefused) {
			return uperr
		}
		return err
	}
	d.release()
	err := <-put
	for try := 2; err != nil && passing(err) && try <= putTries && ctx.Err() == nil; try++ {
		select {
		case <-s.o.Clock.After(fetchPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var again Transfer
		if again, err = s.transfer(ctx, up, d.want, Upload); err == nil && !again.Present {
			err = s.putOnce(ctx, up, again, d)
		}
	}
	return err
}

// putTries is how often an object is sent to an upstream that may take it in a moment.
const putTries = 3

// putOnce sends a draft to the upstream, as it comes.
func (s *Service) putOnce(ctx context.Context, up Upstream, t Transfer, d *draft) error {
	along := d.open(ctx, 0)
	err := up.Put(ctx, t, along)
	return errors.Join(err, along.Close())
}

// errUpstreamRefused ends the reading of a body that the upstream does not take.
var errUpstreamRefused = errors.New("the upstream does not take the object")

// until is a body that is read until the context ends.
type until struct {
	ctx  context.Context //nolint:containedctx // a reader of one request
	body io.Reader
}

// Read reads, unless the context has ended.
func (u until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, errUpstreamRefused
	}
	return u.body.Read(p)
}

// Verify is nil if the repository has the object. KindNotFound: it does not.
// KindInvalid: it has another size.
func (s *Service) Verify(ctx context.Context, repo core.Repository, p Pointer) error {
	if err := s.Check(ctx, repo); err != nil {
		return err
	}
	have, err := s.has(ctx, repo, []Pointer{p})
	if err != nil {
		return err
	}
	size, ok := have[p.OID]
	switch {
	case !ok:
		return s.missingHere(ctx, repo, p.OID)
	case size != p.Size:
		return core.Errorf(core.KindInvalid, "the LFS object %s has %d bytes, not %d", p.OID, size, p.Size)
	}
	return nil
}

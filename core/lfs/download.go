package lfs

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/headwater-git/headwater/core"
)

// fetchTries is how often the bytes of an object are asked for while some come.
const fetchTries = 5

// fetchProgress is how many bytes between two breaks count as a good connection, so that
// an object of any size comes in the end.
const fetchProgress = 4 << 20

// fetchPause is waited after a fetch that brought nothing, before the next try.
const fetchPause = time.Second

// Downloads says of each object whether it can be downloaded. Of those that are not
// here, the upstream is asked in one batch. KindNotFound: LFS is switched off.
func (s *Service) Downloads(ctx context.Context, repo core.Repository, objects []Pointer) ([]Answer, error) {
	if err := s.Check(ctx, repo); err != nil {
		return nil, err
	}
	have, err := s.has(ctx, repo, objects)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(objects))
	var missing []Pointer
	var at []int
	for i, p := range objects {
		answers[i].Pointer = p
		size, ok := have[p.OID]
		switch {
		case ok && size != p.Size:
			answers[i].Err = core.Errorf(core.KindInvalid, "the LFS object %s has %d bytes, not %d", p.OID, size, p.Size)
		case !ok:
			missing, at = append(missing, p), append(at, i)
		}
	}
	if len(missing) == 0 {
		return answers, nil
	}
	transfers, err := s.ask(ctx, repo, missing)
	for n, i := range at {
		if err != nil {
			answers[i].Err = err
			continue
		}
		answers[i].Err = transfers[n].Err
	}
	return answers, nil
}

// ask asks the upstream about objects that are to be downloaded.
func (s *Service) ask(ctx context.Context, repo core.Repository, objects []Pointer) ([]Transfer, error) {
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return nil, err
	}
	if up == nil {
		transfers := make([]Transfer, len(objects))
		for i, p := range objects {
			transfers[i].Err = s.missingHere(ctx, repo, p.OID)
		}
		return transfers, nil
	}
	transfers, err := up.Batch(ctx, Download, "", objects)
	if err != nil {
		return nil, err
	}
	s.remember(repo, Download, transfers)
	return transfers, nil
}

// missingHere says that a repository does not have an object, and whether it had it.
func (s *Service) missingHere(ctx context.Context, repo core.Repository, oid OID) error {
	if _, err := os.Stat(s.files.DamagedPath(oid)); err == nil {
		if rows, err := s.o.Store.HasLFSObjects(ctx, repo.ID, []string{string(oid)}); err == nil && len(rows) > 0 {
			return core.Errorf(core.KindNotFound, "the LFS object %s of repository %q was damaged on this server's disk, and is not served: "+
				"whoever has it can push it again (git lfs push --all), and it may be in a backup", oid, repo.Name)
		}
	}
	return core.Errorf(core.KindNotFound, "repository %q does not have the LFS object %s: whoever has it can push it (git lfs push --all)", repo.Name, oid)
}

// Content is an object that is served: as a whole file, or as it comes in.
type Content struct {
	Size int64
	// Blob is the object if it is here; else Stream opens the bytes from an offset on,
	// which come as the upstream sends them. The last of them come when all are proven.
	Blob   Blob
	Stream func(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Close lets the object go.
func (c Content) Close() error {
	if c.Blob == nil {
		return nil
	}
	return c.Blob.Close()
}

// Open opens an object of a repository for reading. One that is not here is fetched
// from the upstream; p.Size must be that of the pointer then, and may be negative if it
// is not known. KindNotFound: the repository does not have it.
func (s *Service) Open(ctx context.Context, repo core.Repository, p Pointer) (Content, error) {
	if err := s.Check(ctx, repo); err != nil {
		return Content{}, err
	}
	have, err := s.has(ctx, repo, []Pointer{p})
	if err != nil {
		return Content{}, err
	}
	if size, ok := have[p.OID]; ok {
		blob, err := s.openSound(ctx, p.OID)
		if core.KindOf(err) != core.KindNotFound {
			return Content{Size: size, Blob: blob}, err
		}
		p.Size = size // it was found changed, and is as one that is not here
	}
	if repo.Upstream == nil {
		return Content{}, s.missingHere(ctx, repo, p.OID)
	}
	if p.Size < 0 {
		return Content{}, core.Errorf(core.KindNotFound, "the LFS object %s is not here, and the request does not say its size: ask for it by a batch", p.OID)
	}
	return Content{Size: p.Size, Stream: func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		return s.stream(ctx, repo, p, offset)
	}}, nil
}

// stream returns the bytes of an object as they come from the upstream.
func (s *Service) stream(ctx context.Context, repo core.Repository, p Pointer, offset int64) (io.ReadCloser, error) {
	f, err := s.fetch(repo, p)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if f.draft != nil {
		if r := f.draft.open(ctx, offset); r != nil {
			return r, nil
		}
	}
	<-f.done // it is over already
	if f.err != nil {
		return nil, f.err
	}
	blob, err := s.blobs.Open(ctx, p.OID)
	if err != nil {
		return nil, err
	}
	if _, err := blob.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return blob, nil
}

// Fetch has an object of an upstream here, and waits for it.
func (s *Service) Fetch(ctx context.Context, repo core.Repository, p Pointer) error {
	f, err := s.fetch(repo, p)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fetch is an object on its way from an upstream. All who want it share one.
type fetch struct {
	begun chan struct{} // closed when draft is set, or when nothing comes
	draft *draft        // nil: nothing came; see err
	done  chan struct{} // closed at the end, when err is set
	err   error
}

// fetch begins to fetch an object, unless that is being done.
func (s *Service) fetch(repo core.Repository, p Pointer) (*fetch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, core.Errorf(core.KindUpstreamUnavailable, "the server is shutting down; try again shortly")
	}
	k := key{repo.ID, p.OID}
	if f := s.fetches[k]; f != nil {
		return f, nil
	}
	f := &fetch{begun: make(chan struct{}), done: make(chan struct{})}
	s.fetches[k] = f
	s.working.Go(func() {
		f.err = s.bring(s.life, repo, p, f)
		s.mu.Lock()
		delete(s.fetches, k)
		s.mu.Unlock()
		if f.draft == nil {
			close(f.begun)
		} else {
			f.draft.fail(f.err) // before who reads along learns that there is no more
			f.draft.close()
		}
		close(f.done)
		if f.err != nil && s.life.Err() == nil {
			s.o.Logger.Warn("an LFS object could not be fetched", "repo_id", repo.ID, "oid", p.OID, "error", f.err)
		}
	})
	return f, nil
}

// bring fetches an object, proves it, and keeps it.
func (s *Service) bring(ctx context.Context, repo core.Repository, p Pointer, f *fetch) error {
	// Another fetch may have ended since somebody looked whether it is here.
	if have, err := s.has(ctx, repo, []Pointer{p}); err != nil || len(have) > 0 {
		return err
	}
	if err := s.o.Room(ctx, repo); err != nil {
		return err
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return err
	}
	if up == nil {
		return s.missingHere(ctx, repo, p.OID) // detached meanwhile
	}
	t, err := s.transferOf(ctx, up, repo, Download, p)
	if err != nil {
		return err
	}
	if err := s.pull(ctx, up, t, p, f); err != nil {
		return corrupt(err)
	}
	if err := f.draft.check(); err != nil {
		return corrupt(err)
	}
	s.o.Failpoint("lfs-fetched")
	f.draft.release()
	return s.keep(ctx, repo, f.draft)
}

// pull gets the bytes of an object. What breaks off is asked for again from there.
func (s *Service) pull(ctx context.Context, up Upstream, t Transfer, p Pointer, f *fetch) error {
	var last int64
	for try := 1; ; try++ {
		err := s.pullOnce(ctx, up, t, p, f)
		if errors.Is(err, ErrExpired) {
			t = Transfer{Pointer: p} // which is asked about anew
		}
		if err == nil || !passing(err) || try == fetchTries || ctx.Err() != nil {
			return err
		}
		if f.draft != nil && f.draft.written-last >= fetchProgress {
			last, try = f.draft.written, 0
		}
		s.o.Logger.Debug("an LFS object is asked for again", "oid", p.OID, "error", err)
		select {
		case <-s.o.Clock.After(fetchPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pullOnce gets the bytes of an object from where the draft ends.
func (s *Service) pullOnce(ctx context.Context, up Upstream, t Transfer, p Pointer, f *fetch) (err error) {
	var have int64
	if f.draft != nil {
		have = f.draft.written
	}
	body, err := up.Get(ctx, t, have)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if f.draft == nil {
		d, err := newDraft(s.files.incoming(), p)
		if err != nil {
			return err
		}
		f.draft = d
		close(f.begun)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f.draft}, sent{body, s.o.Failure}, make([]byte, copyBuffer)); err != nil {
		return err
	}
	if f.draft.written < p.Size {
		return &core.Error{Kind: core.KindUpstreamUnavailable, Message: "the upstream cut off the LFS object " + string(p.OID), Err: io.ErrUnexpectedEOF}
	}
	return nil
}

// sent is what an upstream sends. That it breaks off is not this server's fault.
type sent struct {
	body    io.Reader
	failure func(op string, err error) error
}

// Read gives an error the kind of its class; of one that has none it says that the upstream
// cannot be reached.
func (r sent) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if core.KindOf(err) == core.KindInternal {
		err = r.failure("fetch an LFS object", err)
	}
	if core.KindOf(err) == core.KindInternal {
		err = &core.Error{Kind: core.KindUpstreamUnavailable, Message: "the upstream broke off in the middle of an LFS object", Err: err}
	}
	return n, err
}

// copyBuffer is how much of an object is in memory for each transfer, in bytes.
const copyBuffer = 128 << 10

// passing reports whether the same request may succeed in a moment.
func passing(err error) bool {
	switch core.KindOf(err) {
	case core.KindUpstreamUnavailable, core.KindUpstreamTimeout:
		return true
	}
	return errors.Is(err, ErrCut) || errors.Is(err, ErrExpired)
}

// corrupt says of an object that is not what its id says that the upstream sent it.
func corrupt(err error) error {
	if core.KindOf(err) != core.KindInvalid {
		return err
	}
	return &core.Error{Kind: core.KindUpstreamRejected, Message: "the upstream's LFS is damaged: " + core.MessageOf(err) + "; nothing of it was kept", Err: err}
}

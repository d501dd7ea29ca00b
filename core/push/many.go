package push

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/progress"
)

// pushMany is runPush for many refs: git send-pack alone, in one pass over them.
// became is always nil.
func (s *Service) pushMany(ctx context.Context, w Session, r git.Remote, idx []int) (lines []git.PushLine, became [][]string, sent bool, err error) {
	updates := make([]core.RefUpdate, len(idx))
	for i, at := range idx {
		updates[i] = w.Updates[at]
	}
	var stderr bytes.Buffer
	messages := hosterror.NewMessages(func(line string) { w.notify("%s", line) }, r.Secrets()...)
	relay := progress.NewLineWriter(messages.Line)
	lines, sent, err = s.up.Push(ctx, r, discovery.PushRequest{
		Updates: updates, Atomic: w.Atomic, Options: w.PushOptions,
		Start: func(ctx context.Context, updates []core.RefUpdate) (*git.Sender, error) {
			return s.git.SendPack(ctx, git.SendPack{
				Dir: s.repos.Path(w.Repo.ID), Temp: s.repos.TempDir(), URL: r.URL,
				Updates: updates, Atomic: w.Atomic, Options: w.PushOptions,
				Stderr: io.MultiWriter(relay, git.TailWriter(&stderr)), // the reason comes after the messages
			})
		},
	})
	_ = relay.Close() // never fails
	if exit, ok := errors.AsType[*git.ExitError](err); ok {
		exit.Stderr = hosterror.Redact(stderr.String(), r.Secrets()...)
	}
	return lines, nil, sent, err
}

package push

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/progress"
)

// pushMany is runPush for many refs: the commands are sent by this process, and the
// only git that runs makes the pack. became is always nil.
func (s *Service) pushMany(ctx context.Context, w Session, r git.Remote, idx []int) (lines []git.PushLine, became [][]string, sent bool, err error) {
	updates := make([]core.RefUpdate, len(idx))
	for i, at := range idx {
		updates[i] = w.Updates[at]
	}
	messages := hosterror.NewMessages(func(line string) { w.notify("%s", line) }, r.Secrets()...)
	relay := progress.NewLineWriter(func(line []byte, transient bool) {
		messages.Line(append([]byte("remote: "), line...), transient)
	})
	lines, sent, err = s.up.Push(ctx, r, discovery.PushRequest{
		Updates: updates, Atomic: w.Atomic, Options: w.PushOptions, Messages: relay,
		Pack: func(ctx context.Context, t discovery.PackTarget, out io.Writer) error {
			return s.pack(ctx, w.Repo, updates, t, out)
		},
	})
	_ = relay.Close() // never fails
	return lines, nil, sent, err
}

// pack writes a pack of what the updates point to and the host lacks.
func (s *Service) pack(ctx context.Context, repo core.Repository, updates []core.RefUpdate, t discovery.PackTarget, out io.Writer) error {
	dir := s.repos.Path(repo.ID)
	var revisions strings.Builder
	if len(t.Has) > 0 {
		// Of the host's tips only those that are here, too: git knows no other, and
		// those of our refs are all but what came to the host since the last sync.
		refs, err := s.git.Refs(ctx, dir)
		if err != nil {
			return err
		}
		here := make(map[core.ObjectID]bool, len(refs))
		for _, ref := range refs {
			here[ref.ID] = true
		}
		for _, id := range t.Has {
			if here[id] {
				fmt.Fprintf(&revisions, "^%s\n", id)
			}
		}
	}
	seen := make(map[core.ObjectID]bool, len(updates))
	for _, u := range updates {
		if !u.IsDelete() && !seen[u.New] {
			seen[u.New] = true
			fmt.Fprintf(&revisions, "%s\n", u.New)
		}
	}
	flags := []string{
		"--revs",   // standard input names tips, and what the other side has
		"--stdout", // the pack alone, no files
		"-q",       // no progress on stderr, which is kept for the error
	}
	if t.Thin {
		flags = append(flags, "--thin") // deltas against objects that the host has
	}
	if t.OffsetDelta {
		flags = append(flags, "--delta-base-offset")
	}
	return s.git.Run(ctx, git.Command{Name: "pack-objects", Dir: dir, Flags: flags, Stdin: strings.NewReader(revisions.String()), Stdout: out})
}

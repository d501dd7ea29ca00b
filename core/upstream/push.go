package upstream

import (
	"context"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
)

// Push sends ref updates to a remote that [Service.Do] has opened. See
// [discovery.Discoverer.Push].
func (s *Service) Push(ctx context.Context, r git.Remote, p discovery.PushRequest) (lines []git.PushLine, sent bool, err error) {
	return s.discover.Push(ctx, r, p)
}

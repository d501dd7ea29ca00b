package mirror

import (
	"context"
	"fmt"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// FetchObject fetches one object with its history by its id, for callers that
// want a commit which is on no ref any more. No ref is made: like every object
// without one it stays for at least the two weeks of grace that maintenance
// gives. Hosts refuse ids that they do not have or do not serve; the error has
// their words.
func (m *Mirror) FetchObject(ctx context.Context, r core.Repository, id core.ObjectID) error {
	if !id.Valid() {
		return core.Errorf(core.KindInvalid, "%q is not an object id", id)
	}
	if err := m.gitFetch(ctx, r, []string{string(id)}, git.Command{}); err != nil {
		return fmt.Errorf("fetch object %s: %w", id, err)
	}
	return nil
}

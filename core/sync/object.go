package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/providers"
)

// FetchObject fetches one object with its history by its id, for callers that
// want a commit which is on no ref any more. No ref is made: like every object
// without one it stays for at least the two weeks of grace that maintenance
// gives. Hosts refuse ids that they do not have or do not serve; the error has
// their words.
func (s *Service) FetchObject(ctx context.Context, r core.Repository, id core.ObjectID) error {
	if !id.Valid() {
		return core.Errorf(core.KindInvalid, "%q is not an object id", id)
	}
	flags := []string{
		"--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
		// The object may be here without its history: ask for what a clone would.
		"--no-show-forced-updates",
	}
	cfg := append(git.FsckIgnores("fetch"), git.Set("fetch.fsckObjects", "true"), git.Set("fetch.unpackLimit", "100"))
	return s.up.Do(ctx, r, providers.OpFetch, func(remote git.Remote) error {
		var stderr bytes.Buffer
		err := s.git.Run(ctx, git.Command{
			Name: "fetch", Dir: s.repos.Path(r.ID), Flags: flags, Args: []string{remote.URL, string(id)}, Config: cfg, Remote: &remote,
			Stderr: git.TailWriter(&stderr),
		})
		var exit *git.ExitError
		if errors.As(err, &exit) {
			exit.Stderr = git.Redact(stderr.String(), remote.Password)
		}
		if err != nil {
			return fmt.Errorf("fetch object %s: %w", id, err)
		}
		return nil
	})
}

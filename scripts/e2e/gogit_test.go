//go:build npm

package e2e

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
)

// goGit is a Git client of go-git; see TestClients for its arguments. Folders
// are below work.
func goGit(stdout, stderr io.Writer, work, token string, args []string) error {
	auth := &http.BasicAuth{Username: "t", Password: token}
	verb, args := args[0], args[1:]
	switch verb {
	case "refs":
		remote := gogit.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{args[0]}})
		refs, err := remote.List(&gogit.ListOptions{Auth: auth, PeelingOption: gogit.AppendPeeled})
		if errors.Is(err, transport.ErrEmptyRemoteRepository) {
			return nil
		}
		for _, ref := range refs {
			fmt.Fprintln(stdout, ref.Hash(), ref.Name())
		}
		return err
	case "clone":
		options := &gogit.CloneOptions{URL: args[0], Auth: auth, Progress: stderr}
		if len(args) > 2 {
			depth, err := strconv.Atoi(args[2])
			if err != nil {
				return err
			}
			options.Depth = depth
		}
		_, err := gogit.PlainClone(filepath.Join(work, args[1]), false, options)
		return err
	}
	repo, err := gogit.PlainOpen(filepath.Join(work, args[0]))
	if err != nil {
		return err
	}
	if verb == "fetch" {
		err := repo.Fetch(&gogit.FetchOptions{Auth: auth, Progress: stderr})
		if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
			return nil
		}
		return err
	}
	var specs []config.RefSpec
	for _, name := range args[1:] {
		spec := name + ":" + name
		if gone, ok := strings.CutPrefix(name, "-"); ok {
			spec = ":" + gone
		}
		specs = append(specs, config.RefSpec(spec))
	}
	return repo.Push(&gogit.PushOptions{Auth: auth, RefSpecs: specs, Progress: stderr})
}

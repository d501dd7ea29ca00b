package servertest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gogit "github.com/go-git/go-git/v5"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
)

// configOf is the configuration that git gives a new repository with a working tree,
// and a clone of a URL.
func configOf(url string) string {
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
	if url != "" {
		config += "[remote \"origin\"]\n\turl = " + url + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	}
	return config
}

// initWork makes an empty repository with the default branch main, as git init does,
// and moves into it.
func (c *Client) initWork(config string) error {
	c.Dir = filepath.Join(c.Dir, "work")
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, ".git", folder), 0o750); err != nil {
			return err
		}
	}
	return errors.Join(c.write("HEAD", "ref: refs/heads/main\n"), c.write("config", config))
}

// write writes a file of the repository.
func (c *Client) write(name, content string) error {
	path := filepath.Join(c.Dir, ".git", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

// Work moves into a working tree of the bare repository in dir, as a clone of the URL
// has it, for tests that are about what is done with it: a clone is nine processes at
// both ends, this is none. Where a clone is what is tested, it is [Client.Clone].
func (c *Client) Work(dir, url string) *Client {
	c.t.Helper()
	above := c.Dir
	if err := c.copyOf(dir, url); err != nil {
		// Objects of SHA-256, say, which go-git does not know.
		c.Dir = above
		require.NoError(c.t, os.RemoveAll(filepath.Join(above, "work")))
		return c.Clone(url)
	}
	return c
}

func (c *Client) copyOf(dir, url string) error {
	refs, err := forgetest.ReadRefs(dir)
	if err != nil {
		return err
	}
	head, err := headRef(dir)
	if err != nil {
		return err
	}
	branch := strings.TrimPrefix(head, "refs/heads/")
	if refs[head] == "" {
		return errors.New("a clone of what has no commit has nothing to check out")
	}
	config := configOf(url) + "[branch \"" + branch + "\"]\n\tremote = origin\n\tmerge = " + head + "\n"
	if err := c.initWork(config); err != nil {
		return err
	}
	if err := linkObjects(filepath.Join(dir, "objects"), filepath.Join(c.Dir, ".git", "objects")); err != nil {
		return err
	}
	for name, id := range refs {
		if short, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			name = "refs/remotes/origin/" + short
		} else if !strings.HasPrefix(name, "refs/tags/") {
			continue
		}
		if err := c.write(name, id+"\n"); err != nil {
			return err
		}
	}
	err = errors.Join(c.write("HEAD", "ref: "+head+"\n"), c.write(head, refs[head]+"\n"),
		c.write("refs/remotes/origin/HEAD", "ref: refs/remotes/origin/"+branch+"\n"))
	if err != nil {
		return err
	}
	r, err := gogit.PlainOpen(c.Dir)
	if err != nil {
		return err
	}
	tree, err := r.Worktree()
	if err != nil {
		return err
	}
	return tree.Reset(&gogit.ResetOptions{Mode: gogit.HardReset})
}

// linkObjects gives a repository the objects of another one.
func linkObjects(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary one, or packed meanwhile: then the pack is found or the checkout fails
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if strings.HasPrefix(d.Name(), "tmp_") || strings.HasPrefix(d.Name(), "incoming-") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o750)
		case strings.HasPrefix(name, "info"), strings.HasPrefix(d.Name(), "tmp_"), strings.HasPrefix(d.Name(), ".tmp"):
			return nil
		}
		if err := os.Link(path, filepath.Join(to, name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// WorkOf is [Client.Work] of a repository of the server.
func (s *Server) WorkOf(t testing.TB, repo string) *Client {
	t.Helper()
	return s.Client(t, repo).Work(s.Engine().Services().Repos.Path(s.Repo(t, repo).ID), s.Remote(repo))
}

// WorkAtHost returns a working tree of a repository of the forge, whose origin is the
// forge's, past the server.
func (c Caller) WorkAtHost(t testing.TB, forge *forgetest.TestForge, path string) *Client {
	t.Helper()
	dir, err := forge.RepoDir(path)
	require.NoError(t, err)
	return c.ClientWith(t, "").Work(dir, forge.CloneURLAs(path))
}

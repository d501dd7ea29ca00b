package servertest

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"
)

// Commit makes a commit with one changed file and returns its id.
//
// It is made without a process: git needs five for it, which made fixtures dearer than
// what they were for. What go-git cannot do, git does: objects of SHA-256, for one.
func (c *Client) Commit(message string) string {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(filepath.Join(c.Dir, "file.txt"), []byte(message+"\n"), 0o600))
	if id, err := c.commit(message); err == nil {
		return id
	}
	c.Git("add", "file.txt")
	c.Git("commit", "--quiet", "--allow-empty", "-m", message)
	return c.Head()
}

func (c *Client) commit(message string) (string, error) {
	r, err := gogit.PlainOpen(c.Dir)
	if err != nil {
		return "", err
	}
	tree, err := r.Worktree()
	if err != nil {
		return "", err
	}
	// Without the status of all other files, which takes a look at each.
	if err := tree.AddWithOptions(&gogit.AddOptions{Path: "file.txt", SkipStatus: true}); err != nil {
		return "", err
	}
	now := time.Now()
	id, err := tree.Commit(message+"\n", &gogit.CommitOptions{
		AllowEmptyCommits: true,
		Author:            &object.Signature{Name: "A", Email: "a@example.test", When: now},
		Committer:         &object.Signature{Name: "A", Email: "a@example.test", When: now},
	})
	return id.String(), err
}

// Head returns the commit that HEAD is at.
func (c *Client) Head() string {
	c.t.Helper()
	git := filepath.Join(c.Dir, ".git")
	head, err := os.ReadFile(filepath.Join(git, "HEAD"))
	if ref, symbolic := strings.CutPrefix(string(head), "ref: "); err == nil && symbolic {
		head, err = os.ReadFile(filepath.Join(git, filepath.FromSlash(strings.TrimSpace(ref))))
	}
	if id := strings.TrimSpace(string(head)); err == nil && (len(id) == 40 || len(id) == 64) {
		return id
	}
	return c.Git("rev-parse", "HEAD") // a packed ref, say
}

// headRef returns what HEAD of a bare repository points to.
func headRef(dir string) (string, error) {
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	return strings.TrimSpace(strings.TrimPrefix(string(head), "ref: ")), err
}

package forgetest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// SeedOptions says what history [Forge.Seed] makes. The same options make the
// same objects, so object ids are stable across runs.
type SeedOptions struct {
	Commits  int    // on Branch; at least 1
	Branch   string // short name; "" is "main"
	Branches int    // further branches "feature-1".., each one commit ahead
	Tags     int    // lightweight tags "v1".., spread over the history
	PullRefs int    // "refs/pull/N/head", as hosts make for pull requests
	FileSize int    // bytes of each file; 0 is about 100
}

// seedEpoch is the time of the first commit.
const seedEpoch = 1_700_000_000

// Seed writes a history into a repository by git fast-import, replacing the
// refs it names. A few thousand commits take about a second.
func (f *Forge) Seed(repo string, o SeedOptions) error {
	folder, err := f.RepoDir(repo)
	if err != nil {
		return err
	}
	if o.Branch == "" {
		o.Branch = "main"
	}
	o.Commits = max(o.Commits, 1)
	if o.FileSize == 0 {
		o.FileSize = 100
	}
	// One pipe between the writer and git; the writer ends when git does,
	// because git then closes its end.
	reader, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		buffered := bufio.NewWriterSize(writer, 1<<16)
		writeHistory(buffered, o)
		_ = writer.CloseWithError(buffered.Flush())
	}()
	_, err = f.git(folder, reader, "fast-import", "--quiet", "--force", "--done")
	_ = reader.Close()
	<-written
	if err != nil {
		return fmt.Errorf("seed %q: %w", repo, err)
	}
	return nil
}

// writeHistory writes the stream. Errors of w surface at its Flush.
func writeHistory(w *bufio.Writer, o SeedOptions) {
	line := strings.Repeat("0123456789abcdef ", o.FileSize/17+1)[:o.FileSize]
	commit := func(ref string, mark, from, number int) {
		fmt.Fprintf(w, "commit %s\nmark :%d\n", ref, mark)
		fmt.Fprintf(w, "committer Forge <forge@example.test> %d +0000\n", seedEpoch+60*number)
		message := fmt.Sprintf("Change %d\n", number)
		fmt.Fprintf(w, "data %d\n%s", len(message), message)
		if from > 0 {
			fmt.Fprintf(w, "from :%d\n", from)
		}
		// A hundred files in ten folders, so that trees stay small while
		// every commit changes one of them.
		content := fmt.Sprintf("%d %s\n", number, line)
		fmt.Fprintf(w, "M 100644 inline dir-%d/file-%d.txt\ndata %d\n%s\n", number%10, number/10%10, len(content), content)
	}
	main := "refs/heads/" + o.Branch
	// Without the reset, a second seeding would build on the first.
	fmt.Fprintf(w, "reset %s\n\n", main)
	for n := 1; n <= o.Commits; n++ {
		commit(main, n, n-1, n)
	}
	mark := o.Commits
	side := func(ref string, n int) {
		mark++
		// Branch off within the last commits, in turn.
		commit(ref, mark, o.Commits-n%min(o.Commits, 10), o.Commits+n)
	}
	for n := 1; n <= o.Branches; n++ {
		side(fmt.Sprintf("refs/heads/feature-%d", n), n)
	}
	for n := 1; n <= o.PullRefs; n++ {
		side(fmt.Sprintf("refs/pull/%d/head", n), o.Branches+n)
	}
	for n := 1; n <= o.Tags; n++ {
		fmt.Fprintf(w, "reset refs/tags/v%d\nfrom :%d\n\n", n, max(1, o.Commits*n/o.Tags))
	}
	fmt.Fprint(w, "done\n")
}

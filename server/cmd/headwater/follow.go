package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// pollInterval is how often a followed sync is asked about, and lookInterval
	// how often while the server tells of it by itself.
	pollInterval = 300 * time.Millisecond
	lookInterval = 2 * time.Second
	// plainInterval is how often a log line is written when nobody watches.
	plainInterval = 5 * time.Second
)

// letThrough says how to let a held ref through; "" if no command does.
func letThrough(h rest.Held, repo string) string {
	if h.State != string(core.RewriteHeld) {
		return ""
	}
	return " (headwater rewrite approve " + core.ShellArg(repo) + " " + h.RewriteID + ")"
}

// keptOut are the lines that say which refs are not as the upstream has them.
func keptOut(s rest.Sync, repo string) []string {
	var lines []string
	for _, h := range s.HeldRefs {
		lines = append(lines, h.Reason+letThrough(h, repo))
	}
	for _, skipped := range s.SkippedRefs {
		lines = append(lines, skipped.Ref+" is not mirrored: "+skipped.Reason)
	}
	return lines
}

// follow shows the progress of a repository's sync until a run that serves the
// wanted request has ended, and returns the state then. A failed run is an error
// in the host's words.
func follow(ctx context.Context, c *client, name string, wanted int64, out io.Writer) (rest.Repository, error) {
	show := newProgress(out)
	defer show.end()
	watching, leave := context.WithCancel(ctx)
	watched := c.watchSync(watching, name)
	events := watched
	defer func() {
		leave()
		for range watched { //nolint:revive // until it is closed
		}
	}()
	interval := lookInterval
	for {
		r, err := c.GetRepository(ctx, name, c.as(name, access.GitRead))
		if ctx.Err() != nil {
			return r, failf("the sync goes on in the server; look again: headwater repo show "+core.ShellArg(name), "stopped following %s", name)
		}
		if err != nil {
			return r, c.explain(err, "follow the sync of "+name)
		}
		if r.Sync == nil {
			return r, failf("see the repository: headwater repo show "+core.ShellArg(name), "%s is not linked to an upstream any more", name)
		}
		if r.Sync.Progress != nil {
			show.update(*r.Sync.Progress)
		}
		if r.Sync.Tried >= wanted {
			// A failed run is tried again later; the person gets the reason now.
			if e := r.Sync.LastError; e != nil {
				return r, syncFailure(*e, r)
			}
			return r, nil
		}
		if !awaitChange(ctx, events, interval, show) {
			// Without a stream, asking is all there is.
			events, interval = nil, pollInterval
		}
	}
}

// awaitChange returns when the state of the repository may have changed, or
// after the interval, and shows what the stream tells of its sync meanwhile. It
// reports whether the stream goes on.
func awaitChange(ctx context.Context, events <-chan rest.Event, interval time.Duration, show *progress) bool {
	look := time.NewTimer(interval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done(): // the next call says so
			return true
		case <-look.C:
			return true
		case e, open := <-events:
			if !open {
				return false
			}
			p, ok := progressOf(e)
			if !ok {
				return true
			}
			show.update(p)
		}
	}
}

// syncFailure is the error of a sync that was followed to a failure.
func syncFailure(e rest.SyncError, r rest.Repository) error {
	return failf(nextForError(e, r), "the sync of %s failed (%s): %s", r.RepoName, e.Class, core.ErrorClass(e.Class).Describe(e.Message))
}

// nextForError says what a person does about the last failure of a repository's
// sync. Where its sentence tells a cause that trying again does not mend, or the
// way to the upstream is an App, which has no stored credential, that decides.
func nextForError(e rest.SyncError, r rest.Repository) string {
	class := core.ErrorClass(e.Class)
	switch {
	case strings.Contains(e.Message, "certificate"):
		return "if it is the right host, set ca_file in its host block in providers.hcl and start the server again"
	case class == core.ClassRefused && strings.Contains(e.Message, "archived"):
		return nextForUpstream(core.UpstreamArchived, r.RepoName)
	case class == core.ClassRefused && strings.Contains(e.Message, "is private"):
		return "if this is your own host inside your network, set allow_private for it in providers.hcl and start the server again"
	case class == core.ClassTooLarge && strings.Contains(e.Message, "pack exceeds"):
		return "push less at once, or have the host raise its limit"
	case class == core.ClassResource && strings.Contains(e.Message, "--git-memory"):
		return "start the server with a larger --git-memory-remote; it tries again by itself"
	case class == core.ClassCorrupt && tolerable.MatchString(e.Message):
		name := core.ShellArg(r.RepoName)
		return "if that is as it should be: headwater repo settings --tolerate " + tolerable.FindStringSubmatch(e.Message)[1] + " " + name + "; then: headwater repo sync " + name +
			"; else tell the owner of the upstream"
	case class == core.ClassCorrupt:
		return "tell the owner of the upstream: its objects are incomplete or fail verification"
	case strings.Contains(e.Message, "server's own proxy"):
		return "correct proxy in the host block of providers.hcl, or the file of --egress-proxy-file, and start the server again"
	case core.TellsOperator(e.Message):
		return "do that; the sync is tried again by itself"
	case class == core.ClassNetwork && (strings.Contains(e.Message, "resolve") || strings.Contains(e.Message, "does not exist in the DNS")):
		return "check the spelling of the host; if it is wrong: headwater repo repoint " + core.ShellArg(r.RepoName) + " URL"
	case (class == core.ClassAuth || class == core.ClassNotFound) && r.BaseRepo != nil && r.BaseRepo.Provider == "github":
		return "let the App see the repository: add it to the App's installation at the host, then: headwater repo sync " + core.ShellArg(r.RepoName)
	case class == core.ClassAuth && r.Credential != nil && r.Credential.Shared != "":
		return "replace the secret of the shared credential: headwater credential rotate " + core.ShellArg(r.Credential.Shared)
	}
	return nextForClass(class, r.RepoName)
}

// tolerable finds the setting that lets in what a sentence says was refused.
var tolerable = regexp.MustCompile(`--tolerate ([A-Za-z0-9]+)`)

// nextForClass says what a person does about a failed sync. docs/errors.md has
// the longer form.
func nextForClass(class core.ErrorClass, name string) string {
	switch class {
	case core.ClassAuth:
		return "store a credential that can read it: headwater credential set " + core.ShellArg(name)
	case core.ClassRevoked:
		return "install the App on the repository's owner again, then: headwater repo sync " + core.ShellArg(name)
	case core.ClassNotFound:
		name := core.ShellArg(name)
		return "check the address; a private repository needs a credential: headwater credential set " + name + "; where it is gone for good, keep the content as a local repository: headwater repo detach " + name + "; or delete it: headwater repo delete --yes " + name
	case core.ClassMoved:
		return "if the repository has moved: headwater repo repoint " + core.ShellArg(name) + " URL"
	case core.ClassProtocol:
		return "open the address in a browser: a page there (sign-in, maintenance, a proxy) answers in place of git"
	case core.ClassRateLimited, core.ClassNetwork, core.ClassTimeout, core.ClassUnavailable:
		return "wait: the server tries again by itself; headwater repo show " + core.ShellArg(name) + " tells when it worked"
	case core.ClassRefused:
		return "do what the sentence says; if this is your own host inside your network, set allow_private for it in providers.hcl and start the server again"
	case core.ClassDiverged:
		return "look at the branches at the host; if they are right: headwater repo sync " + core.ShellArg(name)
	case core.ClassTooLarge:
		return "make room at the host, or here: free disk space or raise the limits"
	case core.ClassResource:
		return "the server ran out of what the sentence says: for memory raise --git-memory-remote, else free or raise that; it tries again by itself"
	case core.ClassCorrupt:
		return "tell the owner of the upstream: its objects are incomplete or fail verification"
	default:
		return "see the server's log"
	}
}

// nextForUpstream says what a person does about the state of an upstream, "" if
// there is nothing to do. docs/states.md has the longer form.
func nextForUpstream(state core.UpstreamState, name string) string {
	switch state {
	case core.UpstreamArchived:
		return "unarchive it at the host to push again; reads go on"
	case core.UpstreamPrivate, core.UpstreamRevoked:
		return "store a credential that can read it: headwater credential set " + core.ShellArg(name)
	case core.UpstreamSuspended:
		return "the owner of the App's installation unsuspends it at the host"
	case core.UpstreamDeleted, core.UpstreamReplaced:
		return "follow another one: headwater repo repoint " + core.ShellArg(name) + " URL, or keep the content: headwater repo detach " + core.ShellArg(name)
	}
	return ""
}

// progress shows a running sync: a bar for a terminal, lines for a log.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil when out is no terminal
	phase string
	lines time.Time // when the last plain line was written
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(100,
			progressbar.OptionSetWriter(f),
			progressbar.OptionSetWidth(28),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(false),
		)
	}
	return p
}

// update shows one observation.
func (p *progress) update(s rest.SyncProgress) {
	text := describe(s)
	if p.bar != nil {
		p.bar.Describe(text)
		_ = p.bar.Set(min(max(s.Percent, 0), 99)) // 100 ends the bar, and a next step may follow
		return
	}
	if s.Phase == p.phase && time.Since(p.lines) < plainInterval {
		return
	}
	p.phase, p.lines = s.Phase, time.Now()
	if s.Percent > 0 {
		text += fmt.Sprintf(" %d%%", s.Percent)
	}
	fmt.Fprintf(p.out, "  %s\n", text)
}

// end clears the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// describe is a progress in words: "Receiving objects (step 1 of 3, 12.4 MiB, 3.1 MiB/s)".
func describe(s rest.SyncProgress) string {
	text := s.Phase
	if text == "" {
		text = "Waiting for the host"
	}
	var notes string
	note := func(format string, args ...any) {
		if notes != "" {
			notes += ", "
		}
		notes += fmt.Sprintf(format, args...)
	}
	if s.Steps > 1 {
		note("step %d of %d", s.Step, s.Steps)
	}
	if s.Bytes > 0 {
		note("%s", core.ByteSize(s.Bytes))
	}
	if s.BytesPerSecond > 0 {
		note("%s/s", core.ByteSize(s.BytesPerSecond))
	}
	if notes == "" {
		return text
	}
	return text + " (" + notes + ")"
}

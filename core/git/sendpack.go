package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// SendPack is a push of many refs by git send-pack, the program behind git push.
type SendPack struct {
	Dir     string           // of the repository with the objects
	Temp    string           // an existing folder for what is there while it runs
	URL     string           // of the remote, for messages
	Updates []core.RefUpdate // what it shall ask the host for, all valid
	Atomic  bool
	Options []string // of git push --push-option
	Stderr  io.Writer
}

// Sender is a running git send-pack. It talks to whoever holds its pipes as it
// talks to git-remote-http, which is all that git push has beside it: see
// [Git.SendPack].
type Sender struct {
	// In takes the host's words: the advertisement without the announcement of
	// the service, and later the answer to the request.
	In io.WriteCloser
	// Out has git's words: the request in packets up to a flush packet, and after
	// the answer what became of the refs, see [ParseHelperStatus].
	Out io.Reader

	process *Process
	stage   string
	out     *os.File
}

// SendPack starts a git send-pack (git-send-pack(1)); the caller must call
// [Sender.Wait].
//
// git push hands each refspec singly to send-pack, and both compare each with each
// ref of the host, and each lease as well: 3,000 cost 10 s of CPU. This one pushes
// with --mirror from a repository that has the new tips alone, which is linear:
// what the advertisement names and that repository has not is deleted. So the
// advertisement must name the refs of Updates and no others (the ids of others go
// in as ".have", as git's own servers name them), and leases are up to whoever
// writes it: git's commands name the old ids of the advertisement, and the host
// moves no ref that is elsewhere.
func (g *Git) SendPack(ctx context.Context, s SendPack) (*Sender, error) {
	stage, err := os.MkdirTemp(s.Temp, "send-pack-")
	if err != nil {
		return nil, fmt.Errorf("stage the tips of a push: %w", err)
	}
	sender := &Sender{stage: stage}
	if err := errors.Join(stageTips(stage, s.Updates), g.startSender(ctx, s, sender)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(stage))
	}
	return sender, nil
}

// startSender starts git send-pack, with the stage's refs.
func (g *Git) startSender(ctx context.Context, s SendPack, sender *Sender) error {
	stdin, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("git send-pack: %w", err)
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("git send-pack: %w", err), in.Close())
	}
	defer stdout.Close()
	flags := []string{
		"--stateless-rpc", // the other side is on stdin and stdout, in packets
		"--helper-status", // one line per ref on stdout, for programs
		"--mirror",        // all refs of the stage, and deletions
		"--force",         // the wire has no force bit: leases were compared, and the host compares again
		"--thin",          // deltas against objects that the host has, unless it wants none
		"--no-signed",     // the client's signature was for us
	}
	if s.Atomic {
		flags = append(flags, "--atomic")
	}
	for _, o := range s.Options {
		flags = append(flags, "--push-option="+o)
	}
	sender.process, err = g.Start(ctx, Command{
		Name: "send-pack", Dir: s.Dir, Stage: sender.stage, Flags: flags, Args: []string{s.URL},
		Stdin: stdin, Stdout: stdout, Stderr: s.Stderr,
	})
	if err != nil {
		return errors.Join(err, in.Close(), out.Close())
	}
	sender.In, sender.Out, sender.out = in, bufio.NewReaderSize(out, 64<<10), out
	return nil
}

// Wait closes the pipes, waits for git's end and clears away. Its error is that of
// [Process.Wait].
func (s *Sender) Wait() error {
	_ = s.In.Close() // may be closed already
	_ = s.out.Close()
	err := s.process.Wait()
	if rerr := os.RemoveAll(s.stage); err == nil && rerr != nil {
		err = fmt.Errorf("clear away the tips of a push: %w", rerr)
	}
	return err
}

// stageTips makes a repository of a folder that has the new tips as its refs, under
// their names, and no objects.
func stageTips(dir string, updates []core.RefUpdate) error {
	tips := make(map[string]core.ObjectID, len(updates))
	config := "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha1\n"
	for _, u := range updates {
		if !u.IsDelete() {
			tips[u.Name] = u.New
		}
		if len(u.New.OrZeros(u.Old)) == 64 {
			config = strings.Replace(config, "sha1", "sha256", 1)
		}
	}
	var packed bytes.Buffer
	packed.WriteString("# pack-refs with: sorted \n")
	for _, name := range slices.Sorted(maps.Keys(tips)) {
		fmt.Fprintf(&packed, "%s %s\n", tips[name], name)
	}
	return errors.Join(
		os.Mkdir(filepath.Join(dir, "refs"), 0o700),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/none\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "packed-refs"), packed.Bytes(), 0o600),
	)
}

// ParseHelperStatus reads what git send-pack --helper-status says of refs: "ok REF",
// with a reason if nothing was to be done, or "error REF REASON"; the reason is
// quoted where it has to be. A ref of which the host said nothing gets no line.
func ParseHelperStatus(r io.Reader) ([]PushLine, error) {
	var lines []PushLine
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxPorcelainLine)
	for sc.Scan() {
		// It closes its talk with the host by a flush packet.
		word, rest, _ := strings.Cut(strings.TrimPrefix(sc.Text(), pktline.FlushPacket), " ")
		ref, reason, _ := strings.Cut(rest, " ")
		if unquoted, err := strconv.Unquote(reason); err == nil {
			reason = unquoted
		}
		switch {
		case word == "ok" && reason == "up to date":
			lines = append(lines, PushLine{Flag: '=', To: ref})
		case word == "ok":
			lines = append(lines, PushLine{Flag: '*', To: ref})
		case word == "error" && reason != "expecting report": // that is: unknown
			lines = append(lines, PushLine{Flag: '!', To: ref, Summary: PushRemoteRejected, Reason: reason})
		}
	}
	if err := sc.Err(); err != nil {
		return lines, fmt.Errorf("read push results: %w", err)
	}
	return lines, nil
}

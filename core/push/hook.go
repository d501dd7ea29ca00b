package push

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// hookScript joins the hook's stdin, stdout and stderr to the server's pipes,
// which git's children inherit. The background jobs end by themselves: git
// closes the hook's stdin, the server closes the pipe of messages. A shell
// gives background jobs /dev/null as stdin, hence fd 6.
const hookScript = `#!/bin/sh
# Made by headwater at its start. See core/push/doc.go.
exec 6<&0
cat <&6 >&3 &
cat <&5 >&2 &
exec 3>&- 6<&-
exec cat <&4
`

// installHook writes the hook, unless it is there as it must be: a start on a disk
// that is full must not need room for what it has.
func installHook(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("install git hook: %w", err)
	}
	path := filepath.Join(dir, "proc-receive")
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm() == 0o700 {
		if text, err := os.ReadFile(path); err == nil && string(text) == hookScript {
			return nil
		}
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(hookScript), 0o700); err != nil { //nolint:gosec // git must execute it
		return fmt.Errorf("install git hook: %w", err)
	}
	return os.Rename(tmp, path)
}

// rendezvous is the server's end of one hook: the commands come in, results
// and messages go out.
type rendezvous struct {
	in       *os.File // from the hook's stdin
	out      *os.File // to the hook's stdout
	messages *os.File // to the hook's stderr, which the client sees as "remote: "
	child    []*os.File
}

func newRendezvous() (*rendezvous, error) {
	var files []*os.File
	fail := func(err error) (*rendezvous, error) {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, err
	}
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			files = append(files, r, w)
		}
		return r, w, err
	}
	inR, inW, err := pipe()
	if err != nil {
		return fail(err)
	}
	outR, outW, err := pipe()
	if err != nil {
		return fail(err)
	}
	msgR, msgW, err := pipe()
	if err != nil {
		return fail(err)
	}
	return &rendezvous{in: inR, out: outW, messages: msgW, child: []*os.File{inW, outR, msgR}}, nil
}

// started closes the child's ends after the process has them.
func (h *rendezvous) started() {
	for _, f := range h.child {
		_ = f.Close()
	}
	h.child = nil
}

// close ends the hook.
func (h *rendezvous) close() {
	h.started()
	_ = h.messages.Close()
	_ = h.out.Close()
	_ = h.in.Close()
}

// serve speaks the proc-receive protocol (githooks(5)): it reads the commands,
// lets write decide, and reports. It returns nil without having called write
// if git ended before it ran the hook, because the pack was bad.
func (h *rendezvous) serve(ctx context.Context, write func(ctx context.Context, updates []core.RefUpdate, options []string, atomic bool, notify func(string)) []pktline.RefReport) error {
	in := pktline.NewReader(bufio.NewReader(h.in))
	version, err := readSection(in)
	if err != nil || len(version) == 0 {
		if err == io.EOF { //nolint:errorlint // a clean end before the first packet
			return nil
		}
		return fmt.Errorf("proc-receive: no version: %w", err)
	}
	v, features, _ := strings.Cut(version[0], "\x00")
	if v != "version=1" {
		return fmt.Errorf("proc-receive: unknown %q", v)
	}
	atomic := hasWord(features, "atomic")
	withOptions := hasWord(features, "push-options")
	answer := "version=1"
	if withOptions {
		answer += "\x00push-options"
	}
	if _, err := h.out.Write(append(pktline.Appendf(nil, "%s\n", answer), pktline.FlushPacket...)); err != nil {
		return err
	}
	commands, err := readSection(in)
	if err != nil {
		return fmt.Errorf("proc-receive: read commands: %w", err)
	}
	updates := make([]core.RefUpdate, 0, len(commands))
	for _, c := range commands {
		f := strings.SplitN(c, " ", 3)
		if len(f) != 3 {
			return fmt.Errorf("proc-receive: bad command %q", c)
		}
		updates = append(updates, core.RefUpdate{Old: core.ObjectID(f[0]), New: core.ObjectID(f[1]), Name: f[2]})
	}
	var options []string
	if withOptions {
		if options, err = readSection(in); err != nil {
			return fmt.Errorf("proc-receive: read push options: %w", err)
		}
	}
	reports := write(ctx, updates, options, atomic, h.notify)
	var out bytes.Buffer
	for _, r := range reports {
		line := "ok " + r.Ref
		if r.Reason != "" {
			line = "ng " + r.Ref + " " + oneLine(r.Reason)
		}
		out.Write(pktline.Appendf(nil, "%s\n", line))
		for i, options := range r.Options {
			if i > 0 {
				out.Write(pktline.Appendf(nil, "%s\n", line)) // each ref that came of it has its own
			}
			for _, option := range options {
				out.Write(pktline.Appendf(nil, "option %s\n", oneLine(option)))
			}
		}
	}
	out.WriteString(pktline.FlushPacket)
	_, err = h.out.Write(out.Bytes())
	return err
}

// notify shows the client a line. A client that is gone receives nothing, and the
// session goes on.
func (h *rendezvous) notify(line string) { _, _ = h.messages.WriteString(line + "\n") }

// readSection reads lines up to a flush packet.
func readSection(in *pktline.Reader) ([]string, error) {
	var lines []string
	for {
		kind, payload, err := in.Next()
		if err != nil {
			return lines, err
		}
		if kind != pktline.Data {
			return lines, nil
		}
		lines = append(lines, strings.TrimSuffix(string(payload), "\n"))
	}
}

func hasWord(s, word string) bool {
	for _, w := range strings.Fields(strings.ReplaceAll(s, "\x00", " ")) {
		if w == word {
			return true
		}
	}
	return false
}

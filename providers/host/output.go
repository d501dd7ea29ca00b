package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLine     = 64 << 10 // bytes of one line of output; longer ones are cut in pieces
	keptLines   = 20       // of standard error, for the operator
	keptLineLen = 500      // bytes of each
	maxJunk     = 64 << 10 // bytes before the handshake
)

var errJunk = errors.New("too much output before the handshake")

// handshakeRE finds go-plugin's handshake in a line: core version, contract
// version, network, address, and what follows. It may stand behind other text,
// from a library that prints without a newline before main.
var handshakeRE = regexp.MustCompile(`\d+\|\d+\|(?:unix|tcp)\|[^|]*\|.*$`)

// handshakeReader reads the standard output of a plugin and passes on what
// begins with the handshake: go-plugin takes the first line for it, whatever it
// is. What came before is kept for the message about a plugin without one.
type handshakeReader struct {
	in   *bufio.Reader
	base io.ReadCloser

	pending []byte // read, not delivered
	found   bool
	junk    int

	mu    sync.Mutex
	line  string // the handshake
	first string // the first line that is none
}

func newHandshakeReader(r io.ReadCloser) *handshakeReader {
	return &handshakeReader{in: bufio.NewReaderSize(r, maxLine), base: r}
}

// Read implements [io.Reader].
func (h *handshakeReader) Read(p []byte) (int, error) {
	for len(h.pending) == 0 {
		if h.found {
			return h.in.Read(p)
		}
		line, err := h.in.ReadSlice('\n')
		if at := handshakeRE.FindIndex(bytes.TrimRight(line, "\r\n")); at != nil {
			h.found = true
			h.pending = bytes.Clone(line[at[0]:])
			h.mu.Lock()
			h.line = strings.TrimSpace(string(h.pending))
			h.mu.Unlock()
			continue
		}
		h.mu.Lock()
		if h.first == "" {
			h.first = strings.TrimSpace(string(line[:min(len(line), 200)]))
		}
		h.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if h.junk += len(line); h.junk > maxJunk {
			return 0, errJunk
		}
	}
	n := copy(p, h.pending)
	h.pending = h.pending[n:]
	return n, nil
}

// Close implements [io.Closer].
func (h *handshakeReader) Close() error { return h.base.Close() }

// handshake returns the handshake line, or "" and the first line of what the
// plugin printed instead.
func (h *handshakeReader) handshake() (line, instead string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.line, h.first
}

// tail keeps the last lines that the processes of an instance wrote to standard
// error. Every line passes its redactor first.
type tail struct {
	redact *redactor

	mu    sync.Mutex
	lines []string
}

// add cleans a line, keeps it and returns it.
func (t *tail) add(line string) string {
	line = t.redact.clean(line)
	kept := strings.ToValidUTF8(line[:min(len(line), keptLineLen)], "")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == keptLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, kept)
	return line
}

func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}

// lastWords returns the last line, "" if there is none. Of a line of hclog in JSON,
// which is what the provider SDK writes, it is the message and the error.
func (t *tail) lastWords() string {
	lines := t.last()
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	var entry struct {
		Message string `json:"@message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Message == "" {
		return line
	}
	if entry.Error == "" {
		return entry.Message
	}
	return entry.Message + ": " + entry.Error
}

// stderrReader reads standard error line by line through the tail, before
// go-plugin parses the lines and logs them.
type stderrReader struct {
	in      *bufio.Reader
	base    io.ReadCloser
	tail    *tail
	pending []byte
}

func newStderrReader(r io.ReadCloser, t *tail) *stderrReader {
	return &stderrReader{in: bufio.NewReaderSize(r, maxLine), base: r, tail: t}
}

// Read implements [io.Reader].
func (s *stderrReader) Read(p []byte) (int, error) {
	if len(s.pending) == 0 {
		line, err := s.in.ReadSlice('\n')
		if len(line) == 0 && err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		s.pending = []byte(s.tail.add(strings.TrimRight(string(line), "\r\n")) + "\n")
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// Close implements [io.Closer].
func (s *stderrReader) Close() error { return s.base.Close() }

// lineLogger logs what a plugin writes to os.Stdout or os.Stderr after the
// handshake, which go-plugin sends over the connection in pieces.
type lineLogger struct {
	log    hclog.Logger
	tail   *tail
	stream string

	mu      sync.Mutex
	partial []byte
}

// Write implements [io.Writer].
func (l *lineLogger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 && len(l.partial) < maxLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.partial) - 1
		}
		l.log.Debug("plugin output", "stream", l.stream, "line", l.tail.add(strings.TrimRight(string(l.partial[:i+1]), "\r\n")))
		l.partial = l.partial[i+1:]
	}
}

// describeHandshake says what is wrong with a handshake, or with the lack of
// one; "" if it is right.
func describeHandshake(line, instead string, contract int) string {
	if line == "" && instead == "" {
		return "its plugin ended without a handshake; is it a Headwater provider plugin?"
	}
	if line == "" {
		return fmt.Sprintf("its plugin printed %q instead of a handshake; is it a Headwater provider plugin?", instead)
	}
	fields := strings.Split(line, "|")
	switch {
	case fields[1] != fmt.Sprint(contract):
		return fmt.Sprintf("its plugin speaks version %s of the provider contract and this server version %d; install a matching plugin", fields[1], contract)
	case len(fields) < 5 || fields[4] != "grpc":
		return "its plugin does not speak gRPC; build it with the provider SDK"
	case len(fields) < 6 || fields[5] == "":
		return "its plugin offers no mutual TLS; build it with the provider SDK"
	}
	return ""
}

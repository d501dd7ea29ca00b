package hosterror

import (
	"github.com/headwater-git/headwater/providers"
)

const (
	maxMessage  = 1000 // bytes of one relayed message
	maxMessages = 1000 // relayed messages of one operation
)

// Messages picks from git's stderr what the upstream had to say to the
// person who pushes, for relaying: lines that begin with "remote: ", less that
// prefix, because our client's git puts it there again. Everything else is
// git's own talk with us ("To https://...", "error: failed to push some refs",
// hints) and is dropped, and so are transient lines. Messages are redacted,
// free of control characters, and bounded in length and number.
type Messages struct {
	emit    func(message string)
	secrets []providers.Secret
	count   int
}

// NewMessages returns a filter that gives messages to emit, one line
// each, without the line end. Use its Line method with [progress.NewLineWriter].
func NewMessages(emit func(message string), secrets ...providers.Secret) *Messages {
	return &Messages{emit: emit, secrets: secrets}
}

// Line takes one line of stderr.
func (m *Messages) Line(line []byte, transient bool) {
	if transient || m.count > maxMessages {
		return
	}
	text, ok := remoteText(string(line))
	if !ok {
		return
	}
	m.count++
	if m.count > maxMessages {
		m.emit("(the upstream said more; left out)")
		return
	}
	m.emit(truncate(Redact(text, m.secrets...), maxMessage))
}

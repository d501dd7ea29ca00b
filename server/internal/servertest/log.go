package servertest

import (
	"bytes"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// Log keeps everything that is logged, and may be read while it is written.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logger logs at trace level: what a test looks for must not hide in a level
// that operators turn on.
func (l *Log) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "headwater", Level: hclog.Trace, Output: l, JSONFormat: true})
}

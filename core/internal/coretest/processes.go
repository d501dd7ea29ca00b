package coretest

import (
	"encoding/json"
	"maps"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// Processes counts the gits that a [World] starts, by their subcommand. Give its
// Logger to [Options].
type Processes struct {
	mu    sync.Mutex
	ended map[string]int
}

// Logger returns a logger that takes note of what git tells.
func (p *Processes) Logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, JSONFormat: true, Output: p})
}

// Take returns how many have ended since the last call.
func (p *Processes) Take() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := maps.Clone(p.ended)
	clear(p.ended)
	return taken
}

// Write takes a line of the log.
func (p *Processes) Write(line []byte) (int, error) {
	var entry struct {
		Message string `json:"@message"`
		Command string `json:"command"`
	}
	if json.Unmarshal(line, &entry) == nil && strings.HasSuffix(entry.Message, "git finished") {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ended == nil {
			p.ended = map[string]int{}
		}
		p.ended[entry.Command]++
	}
	return len(line), nil
}

package sdk

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/go-plugin"
)

// forwardHandshake copies lines from r: the first that is a handshake of
// go-plugin to handshake, all others to other. It returns at the end of r.
func forwardHandshake(r io.Reader, handshake, other io.Writer) {
	in := bufio.NewReader(r)
	done := false
	for {
		line, err := in.ReadString('\n')
		if !done && isHandshake(line) {
			_, _ = io.WriteString(handshake, line)
			done = true
		} else if line != "" {
			_, _ = io.WriteString(other, line)
		}
		if err != nil {
			return
		}
	}
}

// isHandshake recognises "1|1|unix|/path|grpc|certificate".
func isHandshake(line string) bool {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	return len(fields) >= 6 && fields[0] == fmt.Sprint(plugin.CoreProtocolVersion) && fields[4] == string(plugin.ProtocolGRPC)
}

package sdk

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// Serve serves a provider to the server that started this process, and returns
// when the server is done with it. Call it first in main: it takes over standard
// output, so that stray prints of libraries cannot break the handshake, and the
// signals that end a program, because the server drains its work before it stops
// its plugins. The process exits when the server is gone, however it went.
//
// Started by hand the process says that it is a plugin, and exits with status 1.
func Serve(p providers.Provider) {
	// With systemd's default kill mode a stop sends SIGTERM to the whole
	// control group, and a closed terminal sends SIGHUP to every process of
	// the session: the plugins would be gone while pushes still need them.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	logger := Logger()
	if err := guardStdout(); err != nil {
		logger.Error("standard output cannot be guarded", "error", err)
		os.Exit(1)
	}
	watchParent()

	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: wire.Plugins(p, logger.Named("provider")),
		Logger:           logger.Named("go_plugin"),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			// The default of 4 MB is less than a large webhook.
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(wire.MaxMessageSize))...)
		},
	})
}

// Logger returns a logger whose lines appear in the server's log under the name
// of the instance, with their level and fields. Never log a secret, not even at
// trace level.
func Logger() hclog.Logger {
	level := hclog.LevelFromString(os.Getenv(wire.EnvLogLevel))
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	return hclog.New(&hclog.LoggerOptions{Level: level, Output: os.Stderr, JSONFormat: true})
}

// guardStdout replaces os.Stdout by a pipe from which only the handshake line
// reaches the real standard output; the rest goes to standard error, which is
// the log. The first line that the server reads must be the handshake.
func guardStdout() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout = w
	// This goroutine lives as long as the process: w is never closed, as
	// code that kept the old os.Stdout may write to it at any time.
	go forwardHandshake(r, stdout, stderr)
	return nil
}

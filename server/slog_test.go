package server_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server"
)

// slogTo returns a logger at a level, and what it has written.
func slogTo(level slog.Level) (hclog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return server.SlogLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))), &out
}

func TestSlogLogger_writesLevelsNamesAndFields(t *testing.T) {
	t.Parallel()
	log, out := slogTo(server.LevelTrace)
	log = log.Named("git").Named("fetch").With("repo_id", "repo_1")
	log.Trace("one", "n", 1)
	log.Debug("two")
	log.Warn("three", "took", hclog.Fmt("%d ms", 7))
	log.ResetNamed("").Error("four")
	log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}).Print("five")
	require.Equal(t, `level=DEBUG-4 msg=one logger=git.fetch repo_id=repo_1 n=1
level=DEBUG msg=two logger=git.fetch repo_id=repo_1
level=WARN msg=three logger=git.fetch repo_id=repo_1 took="7 ms"
level=ERROR msg=four repo_id=repo_1
level=DEBUG msg=five logger=git.fetch repo_id=repo_1
`, out.String())
	require.Equal(t, "git.fetch", log.Name())
	require.Equal(t, []any{"repo_id", "repo_1"}, log.ImpliedArgs())
}

func TestSlogLogger_leavesTheLevelToTheHandler(t *testing.T) {
	t.Parallel()
	log, out := slogTo(slog.LevelWarn)
	log.SetLevel(hclog.Trace)
	log.Info("left out")
	require.Empty(t, out.String())
	require.Equal(t, hclog.Warn, log.GetLevel())
	for name, on := range map[string]bool{"trace": log.IsTrace(), "debug": log.IsDebug(), "info": log.IsInfo()} {
		require.False(t, on, name)
	}
	require.True(t, log.IsWarn())
	require.True(t, log.IsError())
}

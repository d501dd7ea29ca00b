package server

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// LevelTrace is the [slog.Level] of what the server and its plugins log at trace
// level, which slog has no name for.
const LevelTrace = slog.LevelDebug - 4

// SlogLogger returns a logger for [Options] that writes to a [slog.Logger]. The
// handler decides about the level. The name of a part of the server, or of the
// plugin that logs, is the attribute "logger".
func SlogLogger(to *slog.Logger) hclog.Logger { return &slogLogger{to: to} }

// slogLogger implements [hclog.Logger] on a [slog.Logger].
type slogLogger struct {
	to      *slog.Logger
	name    string
	implied []any // of With
}

var _ hclog.Logger = (*slogLogger)(nil)

// slogLevel returns the level that slog uses for one of hclog.
func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Trace:
		return LevelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// Log implements [hclog.Logger].
func (l *slogLogger) Log(level hclog.Level, msg string, args ...any) {
	if level == hclog.Off || !l.enabled(level) {
		return
	}
	attributes := slices.Concat(l.implied, args)
	if l.name != "" {
		attributes = append([]any{"logger", l.name}, attributes...)
	}
	for n, a := range attributes {
		// The deferred formatting of hclog, which slog does not know.
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			format, _ := f[0].(string)
			attributes[n] = fmt.Sprintf(format, f[1:]...)
		}
	}
	l.to.Log(context.Background(), slogLevel(level), msg, attributes...)
}

func (l *slogLogger) enabled(level hclog.Level) bool {
	return l.to.Enabled(context.Background(), slogLevel(level))
}

// Trace implements [hclog.Logger].
func (l *slogLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }

// Debug implements [hclog.Logger].
func (l *slogLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info implements [hclog.Logger].
func (l *slogLogger) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn implements [hclog.Logger].
func (l *slogLogger) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error implements [hclog.Logger].
func (l *slogLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

// IsTrace implements [hclog.Logger].
func (l *slogLogger) IsTrace() bool { return l.enabled(hclog.Trace) }

// IsDebug implements [hclog.Logger].
func (l *slogLogger) IsDebug() bool { return l.enabled(hclog.Debug) }

// IsInfo implements [hclog.Logger].
func (l *slogLogger) IsInfo() bool { return l.enabled(hclog.Info) }

// IsWarn implements [hclog.Logger].
func (l *slogLogger) IsWarn() bool { return l.enabled(hclog.Warn) }

// IsError implements [hclog.Logger].
func (l *slogLogger) IsError() bool { return l.enabled(hclog.Error) }

// ImpliedArgs implements [hclog.Logger].
func (l *slogLogger) ImpliedArgs() []any { return slices.Clone(l.implied) }

// With implements [hclog.Logger].
func (l *slogLogger) With(args ...any) hclog.Logger {
	return &slogLogger{to: l.to, name: l.name, implied: slices.Concat(l.implied, args)}
}

// Name implements [hclog.Logger].
func (l *slogLogger) Name() string { return l.name }

// Named implements [hclog.Logger].
func (l *slogLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

// ResetNamed implements [hclog.Logger].
func (l *slogLogger) ResetNamed(name string) hclog.Logger {
	return &slogLogger{to: l.to, name: name, implied: l.implied}
}

// SetLevel implements [hclog.Logger]. It does nothing: the level is the handler's.
func (l *slogLogger) SetLevel(hclog.Level) {}

// GetLevel implements [hclog.Logger]: the most detailed level that the handler takes.
// The plugin host passes it on to plugins.
func (l *slogLogger) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error} {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Off
}

// StandardLogger implements [hclog.Logger].
func (l *slogLogger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(o), "", 0)
}

// StandardWriter implements [hclog.Logger]: each write is one line. Of the options
// it takes ForceLevel; without it lines are logged at info level.
func (l *slogLogger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	level := hclog.Info
	if o != nil && o.ForceLevel != hclog.NoLevel {
		level = o.ForceLevel
	}
	return lineWriter{l, level}
}

// lineWriter logs what is written to it.
type lineWriter struct {
	to    *slogLogger
	level hclog.Level
}

// Write logs p.
func (w lineWriter) Write(p []byte) (int, error) {
	w.to.Log(w.level, strings.TrimRight(string(p), " \t\n"))
	return len(p), nil
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
)

// httpSocketName is the FileDescriptorName= of the socket that takes the place of
// --acme-http-listen, see systemd.socket(5). A socket of any other name takes the
// place of --listen.
const httpSocketName = "http"

// sockets are the listeners that systemd opened for this process; nil where it opened
// none, and always without systemd.
type sockets struct{ main, http net.Listener }

// inheritedSockets takes the listeners that systemd passed on, see sd_listen_fds(3).
func inheritedSockets() (sockets, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return sockets{}, failf("see the .socket unit; it must listen on TCP or on a stream socket", "a socket of systemd cannot be used: %v", err)
	}
	var s sockets
	for name, listeners := range named {
		for _, l := range listeners {
			switch {
			case name == httpSocketName && s.http == nil:
				s.http = l
			case name != httpSocketName && s.main == nil:
				s.main = l
			default:
				return sockets{}, failf("let the .socket unit have one ListenStream=, and one with FileDescriptorName="+httpSocketName+" at most",
					"systemd passed more sockets on than the server serves")
			}
		}
	}
	return s, nil
}

// notify tells systemd a state of this process, see sd_notify(3). Without systemd, or
// with a unit of another type than notify, it does nothing.
func notify(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd does not learn the state of the server", "error", err)
	}
}

// notifyReloading says that a reload begins. The time tells systemd which of several
// reloads is meant.
func notifyReloading(log hclog.Logger) {
	state := daemon.SdNotifyReloading
	if now := daemon.SdNotifyMonotonicUsec(); now != "" {
		state += "\n" + now
	}
	notify(log, state)
}

// watchdog shows systemd that the server answers, twice in each WatchdogSec= of the
// unit, until ctx ends. It asks the handler for /healthz, which touches neither disk nor
// host: what a full disk or a host that is down needs is no restart.
func watchdog(ctx context.Context, log hclog.Logger, handler http.Handler) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of systemd is not served", "error", err)
		return
	}
	if interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		if err := alive(ctx, handler); err != nil {
			log.Error("the server does not answer; systemd will restart it", "error", err)
		} else {
			notify(log, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// alive asks the handler whether it answers. While the server stops it says that it
// does so, which is an answer, too.
func alive(ctx context.Context, handler http.Handler) error {
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "/healthz", http.NoBody)
	if err != nil {
		return err
	}
	w := &statusWriter{header: http.Header{}}
	handler.ServeHTTP(w, r)
	if !slices.Contains([]int{http.StatusOK, http.StatusServiceUnavailable}, w.status) {
		return fmt.Errorf("/healthz answers %d", w.status)
	}
	return nil
}

// statusWriter keeps the status of an answer alone.
type statusWriter struct {
	header http.Header
	status int
}

// Header implements [http.ResponseWriter].
func (w *statusWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(status int) { w.status = status }

// Write implements [http.ResponseWriter].
func (w *statusWriter) Write(p []byte) (int, error) { return len(p), nil }

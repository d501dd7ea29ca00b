package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
)

// background is the part of the server that runs beside its handler.
type background interface {
	Handler() http.Handler
	Run(ctx context.Context) error
	Reload(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

// serving is what [runServer] runs.
type serving struct {
	server   background
	listener net.Listener
	tls      *tls.Config // nil for plain HTTP
	log      hclog.Logger
	drain    time.Duration    // how long running work may go on after the end of the context
	hangup   <-chan os.Signal // asks for reload; nil for never
	reload   func(ctx context.Context) error
}

// runServer serves until ctx ends, then drains.
func runServer(ctx context.Context, s serving) error {
	srv, log := s.server, s.log
	httpServer := &http.Server{
		Handler:           srv.Handler(),
		TLSConfig:         s.tls,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// No ReadTimeout and WriteTimeout: a clone or push may rightly take
		// hours. The Git routes watch for stalls themselves.
		ErrorLog: log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	// Work in the background outlives the signal: it is drained, not cut off.
	runCtx, stopRun := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRun()
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- srv.Run(runCtx) }()
	go func() {
		if s.tls != nil {
			served <- httpServer.ServeTLS(s.listener, "", "")
			return
		}
		served <- httpServer.Serve(s.listener)
	}()
	// The watchdog is served to the very end; a reload is not begun after the signal.
	beside, stopBeside := context.WithCancel(context.WithoutCancel(ctx))
	var tasks, reloads sync.WaitGroup
	tasks.Go(func() { watchdog(beside, log, httpServer.Handler) })
	defer tasks.Wait()
	defer stopBeside()
	reloadCtx, stopReloads := context.WithCancel(ctx)
	defer stopReloads()
	reloads.Go(func() { reloadOn(reloadCtx, log, s.hangup, s.reload) })
	notify(log, daemon.SdNotifyReady)

	var failed error
	runEnded, serveEnded := false, false
	select {
	case <-ctx.Done():
		log.Info("stopping", "drain", s.drain.String())
	case err := <-ran:
		runEnded = true
		failed = wrapf(err, "see the log above, then start the server again", "the background work ended")
	case err := <-served:
		serveEnded = true
		failed = fmt.Errorf("serve: %w", err)
	}

	notify(log, daemon.SdNotifyStopping)
	stopReloads()
	reloads.Wait() // what it changes must not be closed under it
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	drained := make(chan error, 1)
	// Both at once: the handlers of running pushes end only as the pushes do.
	go func() { drained <- srv.Shutdown(drainCtx) }()
	if err := httpServer.Shutdown(drainCtx); err != nil {
		log.Warn("connections were cut after the drain time", "error", err)
		_ = httpServer.Close()
	}
	err := <-drained
	stopRun()
	if !serveEnded {
		if serr := <-served; !errors.Is(serr, http.ErrServerClosed) { // which Shutdown makes of it
			err = errors.Join(err, fmt.Errorf("serve: %w", serr))
		}
	}
	if !runEnded {
		if rerr := <-ran; rerr != nil && !errors.Is(rerr, context.Canceled) {
			err = errors.Join(err, rerr)
		}
	}
	log.Info("stopped")
	return errors.Join(failed, err)
}

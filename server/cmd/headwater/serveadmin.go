package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
)

// defaultAdminListen is where metrics and profiles are. It is loopback: they ask for
// no token.
const defaultAdminListen = "127.0.0.1:8081"

// adminOptions are the flags of what is for the operator alone.
type adminOptions struct {
	listen string
	worst  int
	traces string
}

func bindAdmin(f *pflag.FlagSet, o *adminOptions) {
	f.StringVar(&o.listen, "admin-listen", defaultAdminListen, "address of /metrics and /debug/pprof, which ask for no token; none: nowhere")
	f.StringVar(&o.traces, "otlp-endpoint", "", "URL of an OpenTelemetry collector that traces are sent to by OTLP over HTTP, like http://127.0.0.1:4318")
	f.IntVar(&o.worst, "metrics-worst", 0, "name this many mirrors with the oldest copies in the metrics; names belong to tenants")
}

// listenAdmin returns the listener, nil without one. The default address is not
// insisted on: a second server on the machine goes without.
func (o adminOptions) listenAdmin(ctx context.Context, log hclog.Logger) (net.Listener, error) {
	if o.listen == "" || o.listen == "none" {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	switch {
	case err == nil:
		return l, nil
	case o.listen == defaultAdminListen && errors.Is(err, syscall.EADDRINUSE):
		log.Warn("metrics are not served, because the address is in use; give another with --admin-listen", "address", o.listen)
		return nil, nil
	}
	return nil, wrapf(err, "give another address with --admin-listen, or --admin-listen none", "cannot listen on %s", o.listen)
}

// serveAdmin serves the handler until it is stopped, and leaves word in the data
// directory of where. It is not drained: a scrape can be made again.
func serveAdmin(dir dataDir, l net.Listener, h http.Handler, log hclog.Logger) (stop func()) {
	if l == nil {
		return func() {}
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: 30 * time.Second,
		ErrorLog:    log.Named("admin").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	remove, err := writeAddressFile(dir.adminAddressFile(), baseURL(l.Addr(), false))
	if err != nil { // a full disk, which keeps nobody from asking by address
		log.Warn("headwater status will not find this server", "error", err)
		remove = func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() {
		remove()
		_ = s.Close()
		<-done
	}
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"sync/atomic"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
)

// certificate is a TLS certificate that can be read anew while connections go on.
type certificate struct {
	read    func() (tlsFiles, error) // makes what has to be made, and says where it is
	current atomic.Pointer[tls.Certificate]
}

// newCertificate returns the certificate of the files that read names.
func newCertificate(read func() (tlsFiles, error)) (*certificate, error) {
	c := &certificate{read: read}
	return c, c.reload()
}

// reload reads the files again. New connections get what is in them; a pair that
// cannot be used leaves the former one in place.
func (c *certificate) reload() error {
	files, err := c.read()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		return wrapf(err, "give a PEM certificate with --tls-cert and its key with --tls-key", "load TLS certificate %q", files.cert)
	}
	c.current.Store(&pair)
	return nil
}

// config returns what a listener needs.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// reloadOn calls reload for each signal until ctx ends, and tells systemd. What cannot
// be used is logged, and what was in force before stays.
func reloadOn(ctx context.Context, log hclog.Logger, hangup <-chan os.Signal, reload func(ctx context.Context) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		log.Info("reading certificate and providers.hcl again")
		notifyReloading(log)
		status := "STATUS=Reloaded."
		if err := reload(ctx); err != nil {
			log.Error("the reload failed: what cannot be used is left as it was before", "error", err)
			status = "STATUS=The last reload failed, see the log; the former configuration is in force."
		} else {
			log.Info("reloaded")
		}
		notify(log, daemon.SdNotifyReady+"\n"+status)
	}
}

// reloadAll returns what a reload does: the parts do not depend on each other, so that
// one that fails keeps none from the others.
func reloadAll(certificate *certificate, server background) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		var failed error
		if certificate != nil {
			failed = certificate.reload()
		}
		return errors.Join(failed, server.Reload(ctx))
	}
}

package remote

import (
	"errors"
	"net"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

// unconfirmed adds to the failure of a change that the host may have made it all the same:
// the request went out, and no answer came that says so or says no.
func unconfirmed(err error) error {
	e, ok := errors.AsType[*hosterror.Error](err)
	if !ok || !lost(e) {
		return err
	}
	over := *e
	over.Err = errors.Join(lfs.ErrUnconfirmed, e.Err)
	return &over
}

// lost reports whether a failure leaves open what the host has done.
func lost(e *hosterror.Error) bool {
	switch e.Class {
	case core.ClassNetwork, core.ClassTimeout, core.ClassUnavailable:
		op, _ := errors.AsType[*net.OpError](e.Err)
		if op != nil && (op.Op == "dial" || op.Op == "proxyconnect") {
			return false // nothing was sent
		}
		if _, refused := errors.AsType[*providers.Error](e.Err); refused {
			return false // nor to an address that is not contacted
		}
		return e.Status == 0 || e.Status >= http.StatusInternalServerError
	case core.ClassProtocol:
		return e.Status/100 == 2 || e.Status == 0
	}
	return false
}

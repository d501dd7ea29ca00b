package main

import (
	"context"
	"os/user"
	"time"

	"github.com/headwater-git/headwater/core"
)

// operator is who works on a data directory with the command line: the
// system's user, whom no token names.
func operator(org string) core.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return core.Actor{Subject: "operator:" + name, Org: org}
}

// audited changes an organisation in one transaction with the audit entry of
// that. Target is what is changed, if it is not the organisation itself.
func audited(ctx context.Context, s core.Transactor, org, action, target string, change func(q core.Queries) error) error {
	now := time.Now().UTC()
	return s.Tx(ctx, func(q core.Queries) error {
		if err := change(q); err != nil {
			return err
		}
		return q.AddAudit(ctx, core.AuditEntry{
			ID: core.NewID("aud", now), Org: org, At: now, Actor: operator(org), Action: action, Target: target, Outcome: core.OutcomeOK,
		})
	})
}

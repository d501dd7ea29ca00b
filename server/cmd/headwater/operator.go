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
	return s.Tx(ctx, func(q core.Queries) error {
		if err := change(q); err != nil {
			return err
		}
		return addEntry(ctx, q, org, action, target)
	})
}

// auditedInAll changes what concerns every organisation, in one transaction with an entry
// in the audit of each.
func auditedInAll(ctx context.Context, s core.Transactor, action string, change func(q core.Queries) error) error {
	return s.Tx(ctx, func(q core.Queries) error {
		if err := change(q); err != nil {
			return err
		}
		orgs, err := q.Orgs(ctx)
		if err != nil {
			return err
		}
		for _, org := range orgs {
			if err := addEntry(ctx, q, org.Name, action, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

func addEntry(ctx context.Context, q core.AuditStore, org, action, target string) error {
	now := time.Now().UTC()
	return q.AddAudit(ctx, core.AuditEntry{
		ID: core.NewID("aud", now), Org: org, At: now, Actor: operator(org), Action: action, Target: target, Outcome: core.OutcomeOK,
	})
}

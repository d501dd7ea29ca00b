package api

import (
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core/access"
)

// authority is one thing that only a token of the whole organisation may do: one whose
// claim "repo" names no repository.
type authority struct {
	noun string
	text string // why no token of one repository may
	// root is the first segment below /api of paths that are about it and nothing
	// else; "": it has none. Whatever is added there is for organisations.
	root string
	// operations are those that stand elsewhere.
	operations []string
	// signedOnly are those that no token which the server issued may do, whatever
	// operations it names: it could hand out more than it has itself.
	signedOnly []string
}

// organisationAuthority is all that only tokens of organisations may do. Some of it has
// no operation yet: what comes is held to its row by tests, which walk over all
// operations. docs/tokens.md shows the table.
var organisationAuthority = []authority{
	{noun: "keys", root: "keys", text: "They decide whose tokens are good.", signedOnly: []string{"rotateIssuerKey"}},
	{noun: "issued tokens", root: "tokens", text: "They open what they name, in any repository.", signedOnly: []string{"issueToken"}},
	{noun: "revocations", root: "revocations", text: "They end the tokens of others.", signedOnly: []string{"revokeTokens"}},
	{noun: "shared credentials", root: "credentials", text: "They open upstreams of many repositories."},
	{noun: "mirror sets", root: "mirror-sets", operations: []string{"planMirrorSet"}, text: "They make repositories of all that an owner at a host has, with a shared credential."},
	{noun: "signing keys", root: "signing-keys", text: "They decide whose commits count as signed."},
	{noun: "issuers", root: "issuers", text: "They decide whose tokens are exchanged for ours."},
	{noun: "the organisation itself", root: "organisation", text: "It owns every repository: settings of all, deletion.", signedOnly: []string{"deleteOrganisation"}},
	{noun: "outbound webhooks", root: "webhooks", text: "They tell what happens in every repository, and have secrets."},
	{noun: "the audit", root: "audit", text: "It tells of every repository. That of one is at the repository."},
	{noun: "the list of repositories", operations: []string{"listRepositories"}, text: "It names every repository."},
	{noun: "deliveries of hosts", operations: []string{"replayDeliveries"}, text: "They are of every repository of a provider."},
}

// authorityOf returns the row that an operation belongs to; false: it is not for
// organisations alone.
func authorityOf(op operation) (authority, bool) {
	i := slices.IndexFunc(organisationAuthority, func(a authority) bool {
		return a.root != "" && op.root() == a.root || slices.Contains(a.operations, op.id)
	})
	if i < 0 {
		return authority{}, false
	}
	return organisationAuthority[i], true
}

// root returns the first segment of the operation's path below /api.
func (op operation) root() string {
	path, ok := strings.CutPrefix(op.preferred, "/api/")
	if !ok {
		path = strings.TrimPrefix(op.legacy, "/api/v1/")
	}
	first, _, _ := strings.Cut(path, "/")
	return first
}

// signedOnly reports whether no token that the server issued may do the operation.
func signedOnly(id string) bool {
	return slices.ContainsFunc(organisationAuthority, func(a authority) bool { return slices.Contains(a.signedOnly, id) })
}

// Operation returns the operation of a name, of the API or of the Git remotes, as a token
// of the whole organisation or of one repository needs it.
func Operation(name string, orgWide bool) (access.Operation, bool) {
	switch name {
	case access.GitFetch:
		return access.Operation{Name: name, Scope: access.GitRead}, true
	case access.GitPush:
		return access.Operation{Name: name, Scope: access.GitWrite}, true
	}
	i := slices.IndexFunc(operations, func(op operation) bool { return op.id == name })
	if i < 0 {
		return access.Operation{}, false
	}
	return operations[i].opens(orgWide), true
}

// OperationNames returns the names of all operations that a token can be issued for, of
// the API and of the Git remotes, in order.
func OperationNames() []string {
	names := []string{access.GitFetch, access.GitPush}
	for _, op := range operations {
		names = append(names, op.id)
	}
	slices.Sort(names)
	return names
}

// opens returns what a token needs to do the operation.
func (op operation) opens(orgWide bool) access.Operation {
	o := access.Operation{Name: op.id, Scope: op.scope, SignedOnly: signedOnly(op.id)}
	if op.target == organisationOrRepository && orgWide {
		o.Scope = access.OrgRead
	}
	return o
}

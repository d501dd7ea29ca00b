package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
)

// hostErrors are the statuses of calls that ask a host.
var hostErrors = []int{
	http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity,
	http.StatusRequestEntityTooLarge, http.StatusNotImplemented, http.StatusBadGateway,
}

// sharedErrors are the statuses of calls about one shared credential or mirror set.
var sharedErrors = []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}

// sharedOperations are those about shared credentials and mirror sets.
var sharedOperations = []operation{
	{
		id: "createSharedCredential", method: http.MethodPost, preferred: "/api/credentials",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.create"},
		doc: doc{tag: "shared credentials", summary: "Store a credential for many repositories",
			text: "It is tried first, and stored if the host takes it. It is sent to repositories of this host whose owner is this one or below it, and to no others."},
		in: input{body: createSharedBody{}, required: true,
			example: `{"name":"acme","provider":"gitea","upstream_host":"git.example.com","owner":"acme","username":"robot","password":"TOKEN"}`},
		out:   output{answers: made(sharedView{}), errors: hostErrors},
		serve: shared((*server).createShared),
	},
	{
		id: "listSharedCredentials", method: http.MethodGet, preferred: "/api/credentials",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "shared credentials", summary: "List the shared credentials of the organisation",
			text: "By name, without secrets."},
		out:   output{answers: done(sharedList{}), errors: []int{http.StatusNotImplemented}},
		serve: shared((*server).listShared),
	},
	{
		id: "getSharedCredential", method: http.MethodGet, preferred: "/api/credentials/{credential}",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "shared credentials", summary: "Show a shared credential",
			text: "With the repositories that use it."},
		out:   output{answers: done(sharedView{}), errors: sharedErrors},
		serve: shared((*server).getShared),
	},
	{
		id: "rotateSharedCredential", method: http.MethodPut, preferred: "/api/credentials/{credential}",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.rotate"},
		doc: doc{tag: "shared credentials", summary: "Replace the secret of a shared credential",
			text: "The new one is tried with the owner and with some of the repositories that use it; if the host refuses it, nothing is changed. The old one is tried where the host refuses the new one, until the overlap has ended."},
		in: input{body: rotateSharedBody{}, required: true,
			example: `{"password":"TOKEN","overlap_seconds":3600}`},
		out:   output{answers: done(sharedView{}), errors: hostErrors},
		serve: shared((*server).rotateShared),
	},
	{
		id: "checkSharedCredential", method: http.MethodPost, preferred: "/api/credentials/{credential}/check",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.check"},
		doc: doc{tag: "shared credentials", summary: "Ask the host about a shared credential",
			text: "Whether it takes it and, where the host says so, when it expires. The server asks once a day by itself."},
		out:   output{answers: done(sharedView{}), errors: hostErrors},
		serve: shared((*server).checkShared),
	},
	{
		id: "deleteSharedCredential", method: http.MethodDelete, preferred: "/api/credentials/{credential}",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.delete"},
		doc: doc{tag: "shared credentials", summary: "Delete a shared credential",
			text: "One that repositories use is not deleted: 409."},
		out:   output{answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: sharedErrors},
		serve: shared((*server).deleteShared),
	},
	{
		id: "assignSharedCredential", method: http.MethodPost, preferred: "/api/credentials/{credential}/repositories",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.assign"},
		doc: doc{tag: "shared credentials", summary: "Have repositories use a shared credential",
			text: "In the place of any other shared one. A repository with a credential of its own is refused. A repository that uses one cannot be pointed elsewhere or detached by its own token."},
		in: input{body: assignBody{}, required: true,
			example: `{"repositories":["team/app","team/lib"]}`},
		out:   output{answers: done(assignedView{}), errors: sharedErrors},
		serve: shared((*server).assignShared),
	},
	{
		id: "unassignSharedCredential", method: http.MethodDelete, preferred: "/api/credentials/{credential}/repositories",
		scope: access.RepoWrite, target: organisation, audit: action{word: "shared_credential.unassign"},
		doc: doc{tag: "shared credentials", summary: "Take a shared credential from repositories"},
		in: input{body: assignBody{}, required: true,
			example: `{"repositories":["team/app"]}`},
		out:   output{answers: done(assignedView{}), errors: sharedErrors},
		serve: shared((*server).unassignShared),
	},
	{
		id: "planMirrorSet", method: http.MethodPost, preferred: "/api/mirror-plans",
		scope: access.RepoWrite, target: organisation, audit: action{word: "mirror_set.plan"},
		doc: doc{tag: "mirror sets", summary: "Show what mirroring all repositories of an owner would do",
			text: "The host's list is read now, and nothing is made."},
		in: input{body: mirrorSetBody{}, required: true,
			example: `{"provider":"gitlab","owner":"acme","credential":"acme","exclude":["sandbox/**"]}`},
		out:   output{answers: done(mirrorSetView{}), errors: hostErrors},
		serve: sets((*server).planMirrorSet),
	},
	{
		id: "createMirrorSet", method: http.MethodPost, preferred: "/api/mirror-sets",
		scope: access.RepoWrite, target: organisation, audit: action{word: "mirror_set.create"},
		doc: doc{tag: "mirror sets", summary: "Mirror all repositories of an owner",
			text: "An organisation, a group with all below it, a workspace or a user. The server lists them and makes what is missing, named by the path below the owner; with `follow` it looks again every 15 minutes. Nothing that vanishes at the host is deleted here. Said again of the same owner, it replaces what is wished for and goes on where it was."},
		in: input{body: mirrorSetBody{}, required: true,
			example: `{"provider":"gitlab","owner":"acme","credential":"acme","exclude":["sandbox/**"],"follow":true}`},
		out:   output{answers: []success{{status: http.StatusAccepted, body: mirrorSetView{}, text: "It is looked at now."}}, errors: hostErrors},
		serve: sets((*server).createMirrorSet),
	},
	{
		id: "listMirrorSets", method: http.MethodGet, preferred: "/api/mirror-sets",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "mirror sets", summary: "List the mirror sets of the organisation",
			text: "By host and owner, without their repositories."},
		out:   output{answers: done(mirrorSetList{}), errors: []int{http.StatusNotImplemented}},
		serve: sets((*server).listMirrorSets),
	},
	{
		id: "getMirrorSet", method: http.MethodGet, preferred: "/api/mirror-sets/{set}",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "mirror sets", summary: "Show a mirror set",
			text: "With each repository that the last look found, and how it is doing."},
		out:   output{answers: done(mirrorSetView{}), errors: sharedErrors},
		serve: sets((*server).getMirrorSet),
	},
	{
		id: "deleteMirrorSet", method: http.MethodDelete, preferred: "/api/mirror-sets/{set}",
		scope: access.RepoWrite, target: organisation, audit: action{word: "mirror_set.delete"},
		doc: doc{tag: "mirror sets", summary: "Forget a mirror set",
			text: "Its repositories stay, and are followed on."},
		out:   output{answers: []success{{status: http.StatusNoContent, text: "Deleted."}}, errors: sharedErrors},
		serve: sets((*server).deleteMirrorSet),
	},
}

"""A Git client of pygit2 (libgit2). See clients_test.go for its arguments."""

import os
import sys
import tempfile

import pygit2

from orders import serve


class Callbacks(pygit2.RemoteCallbacks):
    refused = False

    def credentials(self, url, username, allowed):
        if getattr(self, "asked", False):
            raise PermissionError("the server refused the token")
        self.asked = True
        with open(os.environ["CLIENT_TOKEN_FILE"]) as token:
            return pygit2.UserPass("t", token.read().strip())

    def sideband_progress(self, text):
        sys.stderr.write(text)

    def push_update_reference(self, ref, why):
        if why is not None:
            self.refused = True
            print(ref, why, file=sys.stderr)


def refs(url):
    folder = tempfile.mkdtemp(dir=".")
    repo = pygit2.init_repository(folder, bare=True)
    for ref in repo.remotes.create("origin", url).ls_remotes(callbacks=Callbacks()):
        print(ref["oid"], ref["name"])


def clone(url, folder):
    pygit2.clone_repository(url, folder, callbacks=Callbacks())


def fetch(folder):
    pygit2.Repository(folder).remotes["origin"].fetch(callbacks=Callbacks())


def push(folder, *names):
    callbacks = Callbacks()
    specs = [":" + n[1:] if n.startswith("-") else f"{n}:{n}" for n in names]
    pygit2.Repository(folder).remotes["origin"].push(specs, callbacks=callbacks)
    return not callbacks.refused


serve({"refs": refs, "clone": clone, "fetch": fetch, "push": push}, (pygit2.GitError, PermissionError))

"""A Git client of dulwich. See clients_test.go for its arguments."""

import os
import sys

from dulwich.client import HttpGitClient
from dulwich.errors import GitProtocolError
from dulwich.repo import Repo

from orders import serve


def client(url):
    with open(os.environ["CLIENT_TOKEN_FILE"]) as token:
        return HttpGitClient(url, username="t", password=token.read().strip())


def name(ref):
    return ref.decode()


def remote(folder):
    with Repo(folder) as repo:
        return repo.get_config().get((b"remote", b"origin"), b"url").decode()


def refs(url):
    for ref, oid in sorted(client(url).get_refs(b"").items()):
        print(oid.decode(), name(ref))


def clone(url, folder, depth=None):
    depth = int(depth) if depth else None
    client(url).clone("", folder, mkdir=True, depth=depth).close()
    # It would keep no address of the remote that it was given apart.
    with Repo(folder) as repo:
        config = repo.get_config()
        config.set((b"remote", b"origin"), b"url", url.encode())
        config.write_to_path()


def fetch(folder):
    with Repo(folder) as repo:
        result = client(remote(folder)).fetch("", repo)
        for ref, oid in result.refs.items():
            if ref.startswith(b"refs/heads/"):
                repo.refs[b"refs/remotes/origin/" + ref[len(b"refs/heads/"):]] = oid


def push(folder, *names):
    with Repo(folder) as repo:
        def update(_):
            return {n.lstrip("-").encode(): b"0" * 40 if n.startswith("-") else repo.refs[n.encode()] for n in names}

        result = client(remote(folder)).send_pack(
            "", update, repo.generate_pack_data, progress=lambda text: sys.stderr.write(text.decode(errors="replace")))
        refused = {ref: why for ref, why in (result.ref_status or {}).items() if why}
        for ref, why in refused.items():
            print(name(ref), why, file=sys.stderr)
        return not refused


serve({"refs": refs, "clone": clone, "fetch": fetch, "push": push}, GitProtocolError)

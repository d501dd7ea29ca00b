#!/usr/bin/python3
"""A provider plugin in Python: docs/plugins-other-languages.md says what each part is for."""
import base64, concurrent.futures, hashlib, hmac, json, os, shutil, signal, subprocess, sys, threading
import grpc
from google.protobuf import any_pb2
import provider_pb2 as pb  # protoc --python_out=. provider.proto

SERVICE = "headwater.provider.v1.ProviderService"
CODES = {"NOT_FOUND": grpc.StatusCode.NOT_FOUND, "INVALID_CONFIG": grpc.StatusCode.FAILED_PRECONDITION,
         "INVALID_ARGUMENT": grpc.StatusCode.INVALID_ARGUMENT, "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
         "SIGNATURE_INVALID": grpc.StatusCode.UNAUTHENTICATED}
stopped = threading.Event()


def fail(context, code, message):
    """Ends a call with a status that carries one ProviderError in google.rpc.Status{code=1, message=2, details=3}."""
    packed, status = any_pb2.Any(), CODES[code]
    packed.Pack(pb.ProviderError(code=getattr(pb, "ERROR_CODE_" + code), message=message))
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    raw = bytes([8, status.value[0]])
    for tag, value in ((0x12, message.encode()), (0x1a, packed.SerializeToString())):
        raw += bytes([tag]) + varint(len(value)) + value
    context.set_trailing_metadata((("grpc-status-details-bin", raw),))
    context.abort(status, message)


def manifest(_request, _context):
    return pb.ManifestResponse(manifest=pb.Manifest(
        name="quern", version="1.0.0", contract_version=1, description="Repositories at a Quern", wire_names=["quern"],
        mode=pb.MODE_GENERIC, webhook_headers=["X-Quern-Signature"],
        capabilities=pb.Capabilities(push_https=True, webhooks=True, anonymous_fetch=True)))


def configure(request, context):
    if json.loads(request.attributes_json or b"{}"):
        fail(context, "INVALID_CONFIG", "a Quern has no attributes")
    configure.schemes = {h.host: h.scheme for h in request.hosts}
    return pb.ConfigureResponse()


def resolve(request, context):
    at = request.locator
    name = at.name[:-4] if at.name.endswith(".git") else at.name
    if not (at.host and at.owner.isalnum() and name.isalnum()):
        fail(context, "INVALID_ARGUMENT", "a Quern needs a host, and an owner and a name of letters and digits")
    url = "%s://%s/%s/%s" % (configure.schemes.get(at.host) or "https", at.host, at.owner, name)
    return pb.ResolveResponse(remote=pb.Remote(url=url + ".git", web_url=url, host=at.host, path=at.owner + "/" + name,
                                               push_supported=True))


def credential(request, context):
    if request.HasField("stored"):
        return pb.CredentialResponse(header=pb.HeaderCredential(name="Authorization", value="Bearer " + request.stored.secret))
    if request.operation == pb.OPERATION_PUSH:
        fail(context, "UNAUTHENTICATED", "a Quern takes no push without a token: store one")
    return pb.CredentialResponse(none=pb.NoCredential())


def parse_webhook(request, context):
    got = [v for h in request.headers if h.name.lower() == "x-quern-signature" for v in h.values]
    want = [hmac.new(s.encode(), request.body, hashlib.sha256).hexdigest() for s in request.secrets if s]
    if not got or not any([hmac.compare_digest(got[0], w) for w in want]):
        fail(context, "SIGNATURE_INVALID", "the webhook is not signed with a known secret")
    return pb.ParseWebhookResponse(verified=True, kind=pb.WEBHOOK_KIND_PUSH, repository_path=json.loads(request.body)["path"])


def main():
    if os.environ.get("HEADWATER_PLUGIN") != "provider":
        sys.exit("this is a plugin of Headwater, and not to be started by hand")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the server says when to stop
    folder, parent = os.environ["PLUGIN_UNIX_SOCKET_DIR"], int(os.environ["HEADWATER_PLUGIN_PARENT_FD"])
    orphaned = lambda: (os.read(parent, 1), shutil.rmtree(folder), os._exit(1))  # end of file: the server is gone
    threading.Thread(target=orphaned, daemon=True).start()
    key, cert = folder + "/key", folder + "/cert"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out", cert,
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    pem = open(cert, "rb").read()
    tls = grpc.ssl_server_credentials([(open(key, "rb").read(), pem)], os.environ["PLUGIN_CLIENT_CERT"].encode(), require_client_auth=True)
    os.remove(key), os.remove(cert)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 64 << 20)])
    method = lambda f, request: grpc.unary_unary_rpc_method_handler(f, request.FromString, lambda m: m.SerializeToString())
    raw = lambda answer: grpc.unary_unary_rpc_method_handler(answer)  # messages as bytes
    server.add_generic_rpc_handlers(tuple(grpc.method_handlers_generic_handler(*h) for h in (
        (SERVICE, {"Manifest": method(manifest, pb.ManifestRequest), "Configure": method(configure, pb.ConfigureRequest),
                   "Resolve": method(resolve, pb.ResolveRequest), "Credential": method(credential, pb.CredentialRequest),
                   "ParseWebhook": method(parse_webhook, pb.ParseWebhookRequest)}),
        ("grpc.health.v1.Health", {"Check": raw(lambda _r, _c: b"\x08\x01")}),  # SERVING
        ("plugin.GRPCController", {"Shutdown": raw(lambda _r, _c: stopped.set() or b"")}))))
    server.add_secure_port("unix:" + folder + "/socket", tls)
    server.start()
    der = base64.b64encode(base64.b64decode("".join(pem.decode().splitlines()[1:-1]))).decode().rstrip("=")
    print("1|1|unix|%s/socket|grpc|%s" % (folder, der), flush=True)
    stopped.wait()
    server.stop(1).wait()


main()

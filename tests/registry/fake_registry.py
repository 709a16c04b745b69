"""A registry in this process that follows the specification, and misbehaves where a test says so.

Source: OCI distribution-spec 1.1, and distribution's token authentication.
"""

import base64
import hashlib
import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import trustme

INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with one answer.

    Attributes:
        status: Answer this instead.
        headers: Added to the answer, or put in place of its own.
        body: Sent instead of the true one.
        cut: Close the connection after so many bytes of the body.
        drop: Close the connection without an answer; the request was done all the same if `after`.
        swallow: Close the connection after reading so many bytes of the request's body, and keep them.
        drip: Send one byte at a time, with this many seconds between them: of the headers, too.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int = -1
    drop: bool = False
    after: bool = False
    swallow: int = -1
    drip: float = 0.0


@dataclass(kw_only=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    size: int = 0

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


@dataclass(kw_only=True)
class FakeRegistry:
    """What the registry has; tests change it while it runs.

    Attributes:
        faults: By method and a part of the path; each answer takes the first that fits, and takes it away.
        always: The same, kept.
        login: `user:password` that is needed, or empty.
        realm: Token server; empty: the registry itself.
        tokens: Whether Bearer tokens are given for the login, or the login is Basic.
        referrers: Whether it has the referrers API.
        chunks: Whether it takes blobs in chunks.
    """

    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    always: list[tuple[str, str, Fault]] = field(default_factory=list)
    login: str = ""
    realm: str = ""
    tokens: bool = False
    lifetime: int = 300
    referrers: bool = False
    chunks: bool = True
    asked: list[Asked] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    url: str = ""
    before: Callable[[Asked], None] = lambda _asked: None
    states: dict[str, int] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def fail(self, method: str, part: str, *faults: Fault) -> None:
        self.faults += [(method, part, fault) for fault in faults]

    def requests(self, method: str, part: str = "") -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and part in asked.path]

    def add_blob(self, repository: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs.setdefault(repository, {})[digest] = data
        return digest

    def add_manifest(self, repository: str, target: str, data: bytes, media_type: str) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        for name in (target, digest):
            self.manifests[repository, name] = media_type, data
        return digest

    def take_fault(self, method: str, path: str) -> Fault:
        for number, (wanted, part, fault) in enumerate(self.faults):
            if wanted == method and part in path:
                del self.faults[number]
                return fault
        return next((fault for wanted, part, fault in self.always if wanted == method and part in path), Fault())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: without this each costs 40 ms of delayed acknowledgement
    server: "_Server"
    fault: Fault

    def _serve(self) -> None:
        registry = self.server.registry
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(method=self.command, path=self.path, headers=headers)
        with registry_lock(self.server):
            registry.asked.append(asked)
        registry.before(asked)
        self.fault = registry.take_fault(self.command, self.path)
        size = int(headers.get("content-length", "0"))
        if self.fault.swallow >= 0:
            self._swallow(registry, size)
            return
        data = self.rfile.read(size)
        asked.size = len(data)
        if len(data) < size:
            self.close_connection = True
            return
        if self.fault.drop and not self.fault.after:
            self.close_connection = True
        elif self.fault.status:
            self._answer(self.fault.status, {}, b"")
        elif urlsplit(self.path).path == "/token":
            self._token(registry, asked, data)
        elif self._is_allowed(registry, asked):
            self._route(registry, data)

    do_GET = _serve  # noqa: N815 - names of the base class
    do_HEAD = _serve  # noqa: N815
    do_POST = _serve  # noqa: N815
    do_PUT = _serve  # noqa: N815
    do_PATCH = _serve  # noqa: N815
    do_DELETE = _serve  # noqa: N815

    def _swallow(self, registry: FakeRegistry, size: int) -> None:
        part = self.rfile.read(min(self.fault.swallow, size))
        identifier = urlsplit(self.path).path.rpartition("/")[2]
        if identifier in registry.uploads and self.command == "PATCH":
            registry.uploads[identifier] += part
        self.close_connection = True

    def _is_allowed(self, registry: FakeRegistry, asked: Asked) -> bool:
        if not registry.login:
            return True
        basic = "Basic " + base64.b64encode(registry.login.encode()).decode()
        good = asked.authorization.removeprefix("Bearer ") in registry.issued if registry.tokens else None
        if good or (good is None and asked.authorization == basic):
            return True
        realm = registry.realm or f"{registry.url}/token"
        challenge = f'Bearer realm="{realm}",service="fake",scope="repository:x:pull"'
        self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge if registry.tokens else 'Basic realm="x"'})
        return False

    def _token(self, registry: FakeRegistry, asked: Asked, data: bytes) -> None:
        basic = "Basic " + base64.b64encode(registry.login.encode()).decode()
        form = parse_qs(data.decode())
        if asked.authorization != basic and form.get("refresh_token") != ["identity"]:
            self._answer(401, {}, b"{}")
            return
        token = f"token-{len(registry.issued)}"
        registry.issued.append(token)
        body = {"token": token, "expires_in": registry.lifetime}
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _route(self, registry: FakeRegistry, data: bytes) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/v2/":
            self._answer(200, {}, b"{}")
            return
        for pattern, method in (
            (r"/v2/(.+)/blobs/uploads/(.*)", self._upload),
            (r"/v2/(.+)/blobs/(.+)", self._blob),
            (r"/v2/(.+)/manifests/(.+)", self._manifest),
            (r"/v2/(.+)/referrers/(.+)", self._referrers),
            (r"/v2/(.+)/tags/(list)", self._tags),
        ):
            if match := re.fullmatch(pattern, parts.path):
                method(registry, match[1], match[2], query, data)
                return
        self._error(404, "NOT_FOUND")

    def _blob(self, registry: FakeRegistry, name: str, digest: str, query: dict[str, str], data: bytes) -> None:
        found = registry.blobs.get(name, {}).get(digest)
        if found is None:
            self._error(404, "BLOB_UNKNOWN")
            return
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match and self.command == "GET":
            start, end = int(match[1]), int(match[2]) + 1
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(found)}"
            self._answer(206, headers, found[start:end])
        else:
            self._answer(200, headers, found)

    def _upload(self, registry: FakeRegistry, name: str, identifier: str, query: dict[str, str], data: bytes) -> None:
        base = f"/v2/{name}/blobs/uploads"
        if self.command == "POST":
            found = registry.blobs.get(query.get("from", ""), {}).get(query.get("mount", ""))
            if found is not None:
                registry.add_blob(name, found)
                self._answer(201, {"Location": f"/v2/{name}/blobs/{query['mount']}"}, b"")
                return
            identifier = secrets.token_hex(8)
            registry.uploads[identifier] = bytearray()
            self._answer(202, {"Location": f"{base}/{identifier}?_state={self._next(registry, identifier)}"}, b"")
            return
        upload = registry.uploads.get(identifier)
        if upload is None or (
            self.command in {"PATCH", "PUT"} and query.get("_state") != str(registry.states.get(identifier))
        ):
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        location = {"Location": f"{base}/{identifier}?_state={self._next(registry, identifier)}"}
        if self.command == "GET":
            self._answer(204, {**location, "Range": f"0-{max(0, len(upload) - 1)}"}, b"")
        elif self.command == "DELETE":
            del registry.uploads[identifier]
            self._answer(204, {}, b"")
        elif self.command == "PATCH":
            self._patch(registry, upload, location, data)
        else:
            whole = bytes(upload) + data
            if f"sha256:{hashlib.sha256(whole).hexdigest()}" != query.get("digest"):
                self._error(400, "DIGEST_INVALID")
                return
            del registry.uploads[identifier]
            digest = registry.add_blob(name, whole)
            self._answer(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}, b"")

    def _patch(self, registry: FakeRegistry, upload: bytearray, location: dict[str, str], data: bytes) -> None:
        start = int(self.headers.get("Content-Range", "0-").partition("-")[0])
        if not registry.chunks:
            self._error(405, "UNSUPPORTED")
        elif start != len(upload):
            self._answer(416, location, b"")
        else:
            upload += data
            self._answer(202, {**location, "Range": f"0-{len(upload) - 1}"}, b"")

    def _next(self, registry: FakeRegistry, identifier: str) -> int:
        """Give an upload a new place: the older ones are refused from now on."""
        registry.states[identifier] = registry.states.get(identifier, 0) + 1
        return registry.states[identifier]

    def _manifest(self, registry: FakeRegistry, name: str, target: str, query: dict[str, str], data: bytes) -> None:
        if self.command == "PUT":
            digest = registry.add_manifest(name, target, data, self.headers.get("Content-Type", ""))
            subject = json.loads(data).get("subject")
            keeps = {"OCI-Subject": subject["digest"]} if registry.referrers and subject else {}
            self._answer(201, {"Docker-Content-Digest": digest, **keeps}, b"")
            return
        found = registry.manifests.get((name, target))
        if found is None:
            self._error(404, "MANIFEST_UNKNOWN")
            return
        digest = f"sha256:{hashlib.sha256(found[1]).hexdigest()}"
        self._answer(200, {"Content-Type": found[0], "Docker-Content-Digest": digest}, found[1])

    def _referrers(self, registry: FakeRegistry, name: str, subject: str, query: dict[str, str], data: bytes) -> None:
        if not registry.referrers:
            self._answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
            return
        rows = []
        for (repository, target), (media_type, content) in sorted(registry.manifests.items()):
            document = json.loads(content)
            if repository == name and ":" in target and (document.get("subject") or {}).get("digest") == subject:
                row = {"mediaType": media_type, "digest": target, "size": len(content)}
                rows.append(row | {"artifactType": document["artifactType"]})
        # A page each: clients must follow the links.
        page = int(query.get("page", "0"))
        more = f'</v2/{name}/referrers/{subject}?page={page + 1}>; rel="next"' if page + 1 < len(rows) else ""
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows[page : page + 1]}
        self._answer(200, {"Content-Type": INDEX, **({"Link": more} if more else {})}, json.dumps(body).encode())

    def _tags(self, registry: FakeRegistry, name: str, _list: str, query: dict[str, str], data: bytes) -> None:
        tags = sorted(target for repository, target in registry.manifests if repository == name and ":" not in target)
        first = query.get("last", "")
        page = [tag for tag in tags if tag > first][:3]
        headers = {"Content-Type": "application/json"}
        if page and page[-1] != tags[-1]:
            headers["Link"] = f'</v2/{name}/tags/list?last={page[-1]}>; rel="next"'
        self._answer(200, headers, json.dumps({"name": name, "tags": page}).encode())

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        self._answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        fault = self.fault
        if fault.drop:
            self.close_connection = True
            return
        data = data if fault.body is None else fault.body
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers | fault.headers).items():
            if value:
                self.send_header(name, value)
        if fault.drip:
            self._drip(data)
            return
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if fault.cut < 0 else data[: fault.cut])
        if 0 <= fault.cut < len(data) or "Content-Length" in fault.headers:
            self.close_connection = True

    def _drip(self, data: bytes) -> None:
        self.flush_headers()
        for byte in b"X-Long: " + b"x" * 2000 + b"\r\n\r\n" + data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(self.fault.drip)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    registry: FakeRegistry
    lock: threading.Lock

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests break off on purpose."""


def registry_lock(server: _Server) -> threading.Lock:
    return server.lock


@contextmanager
def serve(registry: FakeRegistry, *, certificate: trustme.LeafCert | None = None) -> Iterator[FakeRegistry]:
    """Serve a registry on a free port of the loopback, over TLS with a certificate."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.registry = registry
    server.lock = threading.Lock()
    registry.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

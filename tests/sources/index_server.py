"""A package index in this process: pages in JSON and HTML, files with ranges, scripted faults, a log of requests."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with one answer; `cut` closes the connection after so many bytes."""

    status: int = 0
    cut: int = -1
    redirect: str = ""
    ignore_range: bool = False
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Request:
    path: str
    headers: dict[str, str]
    method: str = "GET"


@dataclass(kw_only=True)
class Index:
    """What the server has; tests change it while it runs."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    yanked: set[str] = field(default_factory=set)
    html: bool = False
    hashes: bool = True
    sizes: bool = True
    ranges: bool = True
    etag: str = '"one"'
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By path; each answer takes one, the last stays if `sticky`."""
    always: dict[str, Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    @property
    def simple(self) -> str:
        return f"{self.url}/simple"

    def add(self, project: str, name: str, data: bytes) -> None:
        self.files.setdefault(project, {})[name] = data

    def asked(self, part: str) -> list[Request]:
        return [request for request in self.requests if part in request.path]

    def admits(self, request: Request) -> bool:
        """Tell whether a request carries the credentials that it needs; others are answered 401."""
        return True

    def page(self, project: str) -> tuple[str, bytes] | None:
        if project not in self.files:
            return None
        if self.html:
            rows = [
                f'<a href="../../files/{name.replace("+", "%2B")}'
                + (f"#sha256={sha256(data).hexdigest()}" if self.hashes else "")
                + ('" data-yanked="bad' if name in self.yanked else "")
                + f'">{name}</a>'
                for name, data in self.files[project].items()
            ]
            return "text/html", ("<!DOCTYPE html><html><body>" + "\n".join(rows) + "</body></html>").encode()
        rows_json = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": sha256(data).hexdigest()} if self.hashes else {},
                "yanked": "bad" if name in self.yanked else False,
                "upload-time": "2024-01-02T03:04:05.678Z",
                **({"size": len(data)} if self.sizes else {}),
            }
            for name, data in self.files[project].items()
        ]
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": rows_json}
        return JSON_TYPE, json.dumps(page).encode()

    def body(self, path: str) -> tuple[str, bytes] | None:
        if path in self.pages:
            return self.pages[path]
        if path.startswith("/simple/"):
            return self.page(path.split("/")[2])
        name = path.removeprefix("/files/").replace("%2B", "+")
        for files in self.files.values():
            if name in files:
                return "application/octet-stream", files[name]
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: without this each costs 40 ms of delayed acknowledgement
    server: "_Server"

    def do_GET(self) -> None:
        index = self.server.index
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(path=self.path, headers=headers, method=self.command)
        index.requests.append(request)
        if not index.admits(request):
            self._answer(401, {"WWW-Authenticate": "Basic"}, b"")
            return
        queue = index.faults.get(self.path, [])
        fault = queue.pop(0) if queue else index.always.get(self.path, Fault())
        if fault.redirect:
            self._answer(302, {"Location": fault.redirect}, b"")
        elif fault.status:
            self._answer(fault.status, fault.headers, b"")
        elif (found := index.body(self.path)) is None:
            self._answer(404, {}, b"")
        else:
            self._send(index, fault, *found)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, index: Index, fault: Fault, content_type: str, data: bytes) -> None:
        data = data if fault.body is None else fault.body
        headers = {"Content-Type": content_type, **({"ETag": index.etag} if index.etag else {}), **fault.headers}
        wanted = self.headers.get("Range", "")
        changed = self.headers.get("If-Range", index.etag) != index.etag
        if not wanted or not index.ranges or fault.ignore_range or changed:
            self._answer(200, headers, data, cut=fault.cut)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= len(data):
            self._answer(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
            return
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}", **headers}
        self._answer(206, headers, data[start:end], cut=fault.cut)

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: int = -1) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data if cut < 0 else data[:cut])
        if 0 <= cut < len(data):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    index: Index

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests break off on purpose."""


@contextmanager
def serve(index: Index, *, certificate: trustme.LeafCert | None = None) -> Iterator[Index]:
    """Serve an index on a free port of the loopback, over TLS with a certificate."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.index = index
    index.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

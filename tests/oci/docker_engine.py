"""The least of a docker engine: its HTTP API on a unix socket, as far as loading and saving go.

Source: Docker Engine API 1.43, `/_ping`, `/version`, `/images/load`, `/images/{name}/json`, `/images/{name}/get`.
"""

import json
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote


@dataclass(kw_only=True)
class Engine:
    """What the engine has and how it misbehaves.

    Attributes:
        images: Archives by name and by ID.
        stream: What loading answers, line by line; `{id}` stands for the image's ID. None for what docker says.
        status: Status of every answer to a load.
        hang_up: Close the connection in the middle of a load.
        loaded: Archives received.
    """

    images: dict[str, bytes] = field(default_factory=dict)
    stream: list[dict[str, object]] | None = None
    reported_id: str = ""
    status: int = 200
    hang_up: bool = False
    loaded: list[bytes] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        path = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
        engine = self.server.engine
        if path in {"/_ping", "/version"}:
            self._answer(200, b"OK" if path == "/_ping" else b'{"ApiVersion": "1.43", "MinAPIVersion": "1.24"}')
        elif path.startswith("/images/") and path.endswith("/json"):
            name = path.removeprefix("/images/").removesuffix("/json")
            found = {"Id": engine.reported_id or image_id(engine.images[name])} if name in engine.images else None
            self._json(found, f"No such image: {name}")
        elif path.startswith("/images/") and path.endswith("/get"):
            name = path.removeprefix("/images/").removesuffix("/get")
            data = engine.images.get(name) or next(
                (data for data in engine.images.values() if image_id(data) == name), b""
            )
            self._answer(200, data)
        else:
            self._json(None, "page not found")

    def do_POST(self) -> None:
        engine = self.server.engine
        if engine.hang_up:
            self.rfile.read(100)
            self.close_connection = True
            return
        data = self._body()
        engine.loaded.append(data)
        if engine.status != 200:
            self._answer(engine.status, b'{"message": "no space left on device"}')
            return
        found = image_id(data)
        engine.images[found] = data
        lines = engine.stream
        if lines is None:
            lines = [{"stream": f"Loaded image ID: {found}\n"}]
        self._answer(200, b"".join(json.dumps(line).encode() + b"\r\n" for line in lines))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _json(self, value: object, message: str) -> None:
        body = value if value is not None else {"message": message}
        self._answer(200 if value is not None else 404, json.dumps(body).encode())

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Api-Version", "1.43")
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    engine: Engine

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests break off on purpose."""


def image_id(data: bytes) -> str:
    """Tell the ID of the image in an archive, as docker does: by the name of its config."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        listing = archive.extractfile("manifest.json")
        assert listing is not None
        config = str(json.load(listing)[0]["Config"])
    return "sha256:" + config.removesuffix(".json").rpartition("/")[2]


@contextmanager
def serve(engine: Engine, socket: Path) -> Iterator[str]:
    """Serve an engine on a unix socket; gives `DOCKER_HOST`."""
    server = _Server(str(socket), _Handler)
    server.engine = engine
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"unix://{socket}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

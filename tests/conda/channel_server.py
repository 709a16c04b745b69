"""A channel behind a server in this process: files of a folder, ranges, a log of what was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(kw_only=True)
class Served:
    """What the server has; tests change it while it runs.

    Attributes:
        root: The folder.
        status: Answered to everything, if not 0.
        ranges: Whether parts of files are sent.
        asked: The paths that were asked for.
    """

    root: Path
    status: int = 0
    ranges: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Server(ThreadingHTTPServer):
    """A server to which it is nothing that a client hangs up."""

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serve_channel(root: Path) -> Iterator[Served]:
    """Serve a folder below the path `/NAME`, NAME being its own."""
    served = Served(root=root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.asked.append(self.path)
            path = root.parent / self.path.lstrip("/")
            status, data = (served.status or 200, path.read_bytes()) if path.is_file() else (404, b"")
            wanted = self.headers.get("Range", "")
            if status == 200 and served.ranges and wanted:
                first, last = map(int, wanted.removeprefix("bytes=").split("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                data = data[first : last + 1]
            else:
                self.send_response(status)
                data = data if status == 200 else b""
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/{root.name}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

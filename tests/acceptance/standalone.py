"""An archive as python-build-standalone makes them, from a CPython of this machine, and a mirror that serves it.

The project's own archives lie on a host that not every machine reaches. What counts is real here: a CPython that runs
from any folder, the archive's names and marks, uv's own installer, HTTP.
"""

import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.acceptance.environments import MACHINE, UV

TAG = "20240229"
"""A release that never was: the real table must not know it."""

_INSTALL = b"/install"
_ORIGIN = b"$ORIGIN/../lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A CPython that is packed as a standalone build.

    Attributes:
        version: `3.12.1`.
        machine: `x86_64`.
        file: Its name below a mirror.
    """

    version: str
    machine: str

    @property
    def file(self) -> str:
        return f"{TAG}/cpython-{self.version}+{TAG}-{self.machine}-unknown-linux-gnu-install_only.tar.gz"

    def downloads(self, mirror: Path) -> dict[str, Any]:
        """Describe it as uv's list of downloads does."""
        major, minor, patch = map(int, self.version.split("."))
        return {
            f"cpython-{self.version}-linux-{self.machine}-gnu": {
                "name": "cpython",
                "arch": {"family": self.machine, "variant": None},
                "os": "linux",
                "libc": "gnu",
                "major": major,
                "minor": minor,
                "patch": patch,
                "prerelease": "",
                "url": (mirror / self.file).as_uri(),
                "sha256": sha256((mirror / self.file).read_bytes()).hexdigest(),
                "variant": None,
                "build": TAG,
            }
        }


def facts_of(python: str) -> tuple[Build, Path, Path]:
    """Ask an interpreter for its version, its prefix and the folder of its library."""
    question = (
        "import json, platform, sys, sysconfig;"
        "print(json.dumps([platform.python_version(), platform.machine(), sys.base_prefix,"
        " sysconfig.get_config_var('LIBDIR')]))"
    )
    version, machine, prefix, libraries = json.loads(subprocess.check_output([python, "-c", question], env=MACHINE))
    return Build(version=version, machine=machine), Path(prefix), Path(libraries)


def pack(build: Build, prefix: Path, libraries: Path, mirror: Path) -> None:
    """Pack an interpreter below a mirror: relocatable, and configured for `/install`, as the project builds them."""
    target = mirror / build.file
    target.parent.mkdir(parents=True)
    with tarfile.open(target, "w:gz", compresslevel=1, format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(prefix.rglob("*")):
            name = path.relative_to(prefix).as_posix()
            if _left_out(name) or (path.is_dir() and not path.is_symlink()):
                continue
            row = tar.gettarinfo(path, f"python/{name}")
            if row.issym():
                tar.addfile(row)
                continue
            data = _moved(path.read_bytes(), prefix, libraries)
            row.type, row.size = tarfile.REGTYPE, len(data)
            tar.addfile(row, io.BytesIO(data))


def _left_out(name: str) -> bool:
    parts = name.split("/")
    return bool({"__pycache__", "test", "tests", "site-packages"} & set(parts)) or name.endswith(".a")


def _moved(data: bytes, prefix: Path, libraries: Path) -> bytes:
    here = str(prefix).encode()
    if not data.startswith(b"\x7fELF"):
        return data.replace(here, _INSTALL)
    # The loader's search path is a string that ends with a zero; every other string keeps its length, and its last
    # part, which the linker may share with the version that ends like it.
    there, parent = str(libraries).encode(), str(prefix.parent).encode()
    data = data.replace(there + b"\0", _ORIGIN.ljust(len(there), b"\0") + b"\0")
    return data.replace(parent, _INSTALL.ljust(len(parent), b"/"))


def install(build: Build, mirror: Path, folder: Path) -> Path:
    """Let uv install the build, and give its interpreter."""
    listing = folder / "downloads.json"
    folder.mkdir()
    listing.write_text(json.dumps(build.downloads(mirror)))
    subprocess.run(
        [UV, "python", "install", build.version, "--install-dir", str(folder / "pythons"), "--no-bin", "--quiet"],
        env={**MACHINE, "UV_PYTHON_DOWNLOADS_JSON_URL": str(listing), "UV_CACHE_DIR": str(folder / "cache")},
        check=True,
        capture_output=True,
    )
    return next((folder / "pythons").glob(f"cpython-{build.version}-*/bin/python3"))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP on the loopback; gives its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

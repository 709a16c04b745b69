"""Small wheels made by hand, the simple index that offers them, and locks of them."""

import base64
import hashlib
import platform
import zipfile
from collections.abc import Sequence
from pathlib import Path

from envcap.lockfile.model import Artifact, Interpreter, LockedEnvironment, Lockfile, Package

PLATFORM = {"aarch64": "linux/arm64", "arm64": "linux/arm64"}.get(platform.machine(), "linux/amd64")


def make_wheel(folder: Path, name: str, version: str, *, requires: Sequence[str] = ()) -> Path:
    """Write a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {item}\n" for item in requires
    )
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_row_hash(text)},{len(text.encode())}\n" for path, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def write_index(folder: Path, wheels: Sequence[Path]) -> None:
    """Write the pages of a simple index (PEP 503) beside its files."""
    for wheel in wheels:
        project = folder / wheel.name.partition("-")[0].replace("_", "-")
        project.mkdir(parents=True, exist_ok=True)
        (project / "index.html").write_text(f'<a href="../{wheel.name}#sha256={sha256_of(wheel)}">{wheel.name}</a>')
        (folder / wheel.name).write_bytes(wheel.read_bytes())


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pin(wheel: Path, *, source: str = "pypi", url: str = "", platform: str = PLATFORM) -> Artifact:
    return Artifact(
        platform=platform,
        source=source,
        file=wheel.name,
        size=wheel.stat().st_size,
        sha256=sha256_of(wheel),
        url=url,
    )


def package(wheel: Path, *, source: str = "pypi", url: str = "", origin: str = "index") -> Package:
    name, version = wheel.name.split("-")[:2]
    return Package(
        name=name.replace("_", "-"), version=version, origin=origin, artifacts=(pin(wheel, source=source, url=url),)
    )


def lock_of(*packages: Package, python: str = platform.python_version()) -> Lockfile:
    return Lockfile(
        name="hand",
        recipe=1,
        environment=LockedEnvironment(kind="venv"),
        interpreter=Interpreter(
            implementation="cpython",
            version=python,
            build="main",
            soabi="cpython",
            origin="captured",
            home="opt/python",
        ),
        packages=tuple(sorted(packages, key=lambda row: (row.name, row.version))),
    )


def fake(
    name: str,
    version: str,
    *,
    digit: str = "a",
    file: str = "",
    url: str = "",
    source: str = "pypi",
    origin: str = "index",
) -> Package:
    """Give a package whose wheel exists only by name."""
    artifact = Artifact(
        platform="linux/amd64",
        source=source,
        file=file or f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        size=10,
        sha256=digit * 64,
        url=url,
    )
    return Package(name=name, version=version, origin=origin, artifacts=(artifact,))


def _row_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

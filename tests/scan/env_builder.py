"""Makes environments, wheels and ELF files for the tests of the scan: small, real in format, by hand."""

import base64
import hashlib
import json
import os
import struct
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envcap.environment import Environment
from envcap.scan import scan_environment
from envcap.scan.runner import Completed

SITE = "lib/python3.11/site-packages"
"""Where packages lie in the environments of `make_env`."""


@dataclass(slots=True)
class FakeRunner:
    """A `Runner` that answers as the probe would, and notes what it was asked to run."""

    prefix: Path
    changes: Mapping[str, object] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Completed:
        self.calls.append(list(argv))
        answer = {**probe_answer(self.prefix), **self.changes}
        return Completed(returncode=0, stdout=json.dumps(answer).encode(), stderr=b"")


def probe_answer(prefix: Path) -> dict[str, object]:
    """What the probe prints for an environment of `make_env`."""
    base = prefix.parent / "base"
    return {
        "executable": str(base / "bin/python3.11"),
        "implementation": "cpython",
        "version": "3.11.7",
        "build": "main, Dec  4 2023, GCC 12.2.0",
        "soabi": "cpython-311-x86_64-linux-gnu",
        "tags": "cp311-cp311",
        "prefix": str(prefix),
        "base_prefix": str(base),
        "paths": {
            "stdlib": str(base / "lib/python3.11"),
            "platstdlib": str(base / "lib/python3.11"),
            "purelib": str(prefix / SITE),
            "platlib": str(prefix / SITE),
            "scripts": str(prefix / "bin"),
            "data": str(prefix),
            "include": str(base / "include/python3.11"),
        },
        "markers": {"sys_platform": "linux"},
        "glibc": "2.36",
        "config": {"Py_ENABLE_SHARED": "0"},
        "site_folders": [str(base / SITE)],
        "user_site": "",
    }


def make_env(folder: Path) -> Path:
    """Make an empty virtual environment as uv lays it out, without running anything; return its prefix."""
    prefix = folder.resolve() / "env"
    (prefix / SITE).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "pyvenv.cfg").write_text("home = /nowhere\ninclude-system-site-packages = false\n")
    (prefix / "bin/python").symlink_to(sys.executable)
    (prefix / "bin/python3").symlink_to("python")
    (prefix / "bin/activate").write_text("# activates\n")
    (prefix / "lib64").symlink_to("lib")
    return prefix


def scan(prefix: Path, **changes: object) -> Environment:
    """Scan an environment of `make_env`."""
    return scan_environment(prefix, run=FakeRunner(prefix, changes))


def record_hash(data: bytes) -> str:
    """The hash column of a RECORD."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def write(prefix: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        place = prefix / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)


def add_dist(
    prefix: Path,
    name: str,
    files: Mapping[str, bytes | str] | None = None,
    *,
    version: str = "1.0",
    metadata: Mapping[str, bytes | str] | None = None,
    rows: Sequence[str] = (),
    newline: str = "\r\n",
    site: str = SITE,
) -> str:
    """Install a distribution by hand.

    Args:
        prefix: The environment.
        name: The distribution's name; `-` is escaped in the folder's.
        files: Its files, relative to site-packages.
        version: Its version.
        metadata: More files of its dist-info folder; they replace the usual ones.
        rows: More rows for RECORD, as written.
        newline: How RECORD's lines end: pip writes CRLF, uv LF.
        site: Where packages lie.

    Returns:
        The dist-info folder, relative to the prefix.
    """
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    everything: dict[str, bytes | str] = {
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nAbout.\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/INSTALLER": "pip\n",
        **{f"{info}/{path}": data for path, data in (metadata or {}).items()},
    }
    lines = [
        f"{path},{record_hash(data.encode() if isinstance(data, str) else data)},{len(data)}"
        for path, data in everything.items()
    ]
    everything.setdefault(f"{info}/RECORD", newline.join([*lines, *rows, f"{info}/RECORD,,", ""]))
    write(prefix / site, everything)
    return f"{site}/{info}"


def make_wheel(
    folder: Path, name: str, files: Mapping[str, str], *, entry_points: str = "", version: str = "1.0"
) -> Path:
    """Build a real wheel that pip and uv install."""
    info = f"{name}-{version}.dist-info"
    everything = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        everything[f"{info}/entry_points.txt"] = entry_points
    rows = [f"{path},{record_hash(data.encode())},{len(data.encode())}" for path, data in everything.items()]
    everything[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in everything.items():
            archive.writestr(path, data)
    return wheel


@dataclass(slots=True, kw_only=True)
class ElfSpec:
    """A shared object to make.

    Attributes:
        needed: DT_NEEDED.
        soname: DT_SONAME.
        versions: Needed symbol versions by library.
        wide: ELF64, else ELF32.
        little: Little-endian, else big-endian.
        machine: e_machine; 62 is x86-64.
    """

    needed: Sequence[str] = ()
    soname: str = ""
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wide: bool = True
    little: bool = True
    machine: int = 62


def make_elf(spec: ElfSpec) -> bytes:
    """Make a shared object of the parts that the dynamic loader reads; its addresses are offsets plus 0x1000."""
    order = "<" if spec.little else ">"
    strings = bytearray(b"\0")
    offsets: dict[str, int] = {}

    def string(text: str) -> int:
        if text not in offsets:
            offsets[text] = len(strings)
            strings.extend(text.encode() + b"\0")
        return offsets[text]

    tags = [(1, string(name)) for name in spec.needed]
    if spec.soname:
        tags.append((14, string(spec.soname)))
    verneed = bytearray()
    for index, (library, names) in enumerate(spec.versions.items()):
        size = 16 + 16 * len(names)
        following = size if index + 1 < len(spec.versions) else 0
        verneed += struct.pack(order + "HHIII", 1, len(names), string(library), 16, following)
        for position, name in enumerate(names):
            skip = 16 if position + 1 < len(names) else 0
            verneed += struct.pack(order + "IHHII", 0, 0, position + 2, string(name), skip)
    header_size, entry_size = (64, 56) if spec.wide else (52, 32)
    dynamic_at = header_size + 2 * entry_size
    pair = order + ("qQ" if spec.wide else "iI")
    dynamic_size = struct.calcsize(pair) * (len(tags) + 4)
    verneed_at = dynamic_at + dynamic_size
    strings_at = verneed_at + len(verneed)
    total = strings_at + len(strings)
    tags += [(5, strings_at + 0x1000), (0x6FFFFFFE, verneed_at + 0x1000), (0x6FFFFFFF, len(spec.versions)), (0, 0)]
    dynamic = b"".join(struct.pack(pair, tag, value) for tag, value in tags)
    head = b"\x7fELF" + bytes([2 if spec.wide else 1, 1 if spec.little else 2, 1]) + bytes(9)
    address = "Q" if spec.wide else "I"
    sizes = (header_size, entry_size, 2, 0, 0, 0)
    head += struct.pack(f"{order}HHI{address * 3}IHHHHHH", 3, spec.machine, 1, 0, header_size, 0, 0, *sizes)
    if spec.wide:
        head += struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0x1000, 0, total, total, 0x1000)
        head += struct.pack(order + "IIQQQQQQ", 2, 6, dynamic_at, dynamic_at + 0x1000, 0, dynamic_size, dynamic_size, 8)
    else:
        head += struct.pack(order + "IIIIIIII", 1, 0, 0x1000, 0, total, total, 5, 0x1000)
        head += struct.pack(order + "IIIIIIII", 2, dynamic_at, dynamic_at + 0x1000, 0, dynamic_size, dynamic_size, 6, 4)
    return bytes(head + dynamic + verneed + strings)


def pythons() -> dict[str, Path]:
    """Find the CPythons 3.8 to 3.13 of this machine: on PATH, and those that pyenv keeps."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found: dict[str, Path] = {}
    for path in sorted(root.glob("versions/3.*/bin/python3.[0-9]*")):
        minor = path.name.removeprefix("python3.")
        if minor.isdigit() and 8 <= int(minor) <= 13:
            found[f"3.{minor}"] = path
    for number in range(8, 14):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = Path(folder, f"python3.{number}")
            if "shims" not in path.parts and path.is_file():
                found.setdefault(f"3.{number}", path)
    return found

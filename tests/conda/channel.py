"""A conda channel on disk, made by hand, and environments installed from it by py-rattler.

The channel holds a CPython repackaged from the interpreter below these tests (a placeholder in texts and in an ELF
file), a noarch Python package with entry points, a package of binaries, one with a post-link script and case-twin
files, and one in the old form without `info/paths.json`; in both archive formats.
"""

import asyncio
import bz2
import hashlib
import io
import json
import os
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rattler
import zstandard

PLACEHOLDER = "/home/builder/croot/feedstock_" + "_placehold" * 21
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[platform.machine()]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{PYTHON}/site-packages"
BASE = Path(sys.base_prefix)

_MODULES = frozenset(
    (
        "math",
        "zlib",
        "_struct",
        "select",
        "_posixsubprocess",
        "fcntl",
        "_datetime",
        "array",
        "_random",
        "binascii",
        "_bisect",
        "_heapq",
        "_json",
        "_socket",
        "unicodedata",
        "_sha512",
        "_sha2",
        "_statistics",
    )
)
"""Extension modules that the package has: few, so that tests are quick."""

_LEFT_OUT = re.compile(
    r"(?:test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|asyncio|multiprocessing|unittest|xml|xmlrpc|wsgiref|dbm|curses|msilib|site-packages|pydoc_data|distutils|__pycache__)\Z"
    r"|config-|idle_test\Z"
)

_LEFT_OUT_OF_ALL = re.compile(r"(?:test|tests|site-packages|__pycache__)\Z|config-|idle_test\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of a package."""

    data: bytes = b""
    mode: int = 0o644
    target: str = ""
    placeholder: str = ""
    binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A package to make."""

    name: str
    version: str
    build: str = "0"
    files: Mapping[str, Member]
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    noarch: str = ""
    entry_points: tuple[str, ...] = ()
    suffix: str = ".conda"
    old: bool = False
    site_packages: str = ""

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else SUBDIR

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file(self) -> str:
        return self.stem + self.suffix

    def index(self) -> dict[str, object]:
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "subdir": self.subdir,
            "depends": list(self.depends),
            **({"constrains": list(self.constrains)} if self.constrains else {}),
            "license": "MIT",
            **({"noarch": self.noarch} if self.noarch else {}),
            **({"python_site_packages_path": self.site_packages} if self.site_packages else {}),
        }

    def info(self) -> dict[str, Member]:
        found = {"info/index.json": _json(self.index())}
        if self.old:
            found["info/files"] = Member(data="".join(f"{path}\n" for path in sorted(self.files)).encode())
            rows = [
                f"{member.placeholder} {'binary' if member.binary else 'text'} {path}\n"
                for path, member in sorted(self.files.items())
                if member.placeholder
            ]
            found["info/has_prefix"] = Member(data="".join(rows).encode())
            return found
        rows_ = [_row(path, member, self.files) for path, member in sorted(self.files.items())]
        found["info/paths.json"] = _json({"paths": rows_, "paths_version": 1})
        if self.noarch == "python":
            noarch = {"type": "python", "entry_points": list(self.entry_points)}
            found["info/link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
        return found


def _row(path: str, member: Member, files: Mapping[str, Member]) -> dict[str, object]:
    data = member.data
    if member.target:
        followed = os.path.normpath(Path(path).parent / member.target)
        data = files[followed].data if followed in files else b""
    row: dict[str, object] = {
        "_path": path,
        "path_type": "softlink" if member.target else "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if member.placeholder:
        row |= {"prefix_placeholder": member.placeholder, "file_mode": "binary" if member.binary else "text"}
    return row


def _json(value: object) -> Member:
    return Member(data=json.dumps(value, indent=2, sort_keys=True).encode())


def make_package(spec: Spec, *, level: int = 1) -> bytes:
    """Write a package in its format; the level is zstd's."""
    if spec.suffix == ".tar.bz2":
        return bz2.compress(make_tar({**spec.info(), **spec.files}), 1)
    buffer = io.BytesIO()
    packer = zstandard.ZstdCompressor(level=level, threads=-1 if level > 1 else 0)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        members = {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{spec.stem}.tar.zst": packer.compress(make_tar(spec.files)),
            f"info-{spec.stem}.tar.zst": packer.compress(make_tar(spec.info())),
        }
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def make_tar(files: Mapping[str, Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, member in files.items():
            row = tarfile.TarInfo(path)
            row.mode, row.mtime = member.mode, 1_700_000_000
            if member.target:
                row.type, row.linkname = tarfile.SYMTYPE, member.target
                archive.addfile(row)
            else:
                row.size = len(member.data)
                archive.addfile(row, io.BytesIO(member.data))
    return buffer.getvalue()


def python_spec(*, whole: bool = False) -> Spec:
    """Repackage the interpreter below these tests, with few modules or with its whole standard library."""
    real = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    name = f"python{PYTHON}"
    files = {f"bin/{name}": Member(data=_elf(real) + f"\0{PLACEHOLDER}/share/x\0tail".encode(), mode=0o755,
                                   placeholder=PLACEHOLDER, binary=True)}  # fmt: skip
    for link in ("python", "python3"):
        files[f"bin/{link}"] = Member(target=name)
    pydoc = f"#!{PLACEHOLDER}/bin/{name}\nimport pydoc\n".encode()
    files["bin/pydoc3"] = Member(data=pydoc, mode=0o755, placeholder=PLACEHOLDER)
    for library in sorted((BASE / "lib").glob(f"lib{name}.so.*")):
        files[f"lib/{library.name}"] = Member(data=_elf(library), mode=0o755)
    stdlib = BASE / "lib" / name
    for path in sorted(stdlib.rglob("*")):
        below = path.relative_to(stdlib)
        if not whole and below.parts[0] == "lib-dynload" and path.name.partition(".")[0] not in _MODULES:
            continue
        left_out = _LEFT_OUT_OF_ALL if whole else _LEFT_OUT
        if path.is_file() and not any(left_out.match(part) for part in below.parts) and "test" not in path.name:
            data = path.read_bytes()
            text = path.name.startswith("_sysconfigdata")
            data = data.replace(str(BASE).encode(), PLACEHOLDER.encode()) if text else data
            files[f"lib/{name}/{below}"] = Member(data=data, placeholder=PLACEHOLDER if text else "")
    version = ".".join(map(str, sys.version_info[:3]))
    return Spec(name="python", version=version, build="h0_cpython", files=files)


def _elf(path: Path) -> bytes:
    """Give an ELF file whose libraries are found beside it, as conda-build's are."""
    data = path.read_bytes()
    absolute = str(BASE / "lib").encode() + b"\0"
    relative = b"$ORIGIN/../lib\0"
    return data.replace(b"\0" + absolute, b"\0" + relative.ljust(len(absolute), b"\0"))


def small_specs() -> tuple[Spec, ...]:
    """Give everything but Python."""
    noarch = {
        "site-packages/tool/__init__.py": Member(data=b"def main():\n    print('tool ran')\n"),
        "site-packages/tool/where.py": Member(
            data=f"PREFIX = '{PLACEHOLDER}/etc'\nAGAIN = '{PLACEHOLDER}'\n".encode(), placeholder=PLACEHOLDER
        ),
        "site-packages/tool-1.2.dist-info/METADATA": Member(data=b"Metadata-Version: 2.1\nName: tool\nVersion: 1.2\n"),
        "site-packages/tool-1.2.dist-info/RECORD": Member(data=b"tool/__init__.py,,\n"),
        "site-packages/tool-1.2.dist-info/WHEEL": Member(data=b"Wheel-Version: 1.0\nTag: py3-none-any\n"),
        "site-packages/tool-1.2.dist-info/INSTALLER": Member(data=b"conda\n"),
        "site-packages/tool-1.2.dist-info/direct_url.json": Member(
            data=b'{"dir_info": {}, "url": "file:///croot/tool_1700000000/work"}'
        ),
        "python-scripts/tool-script": Member(
            data=f"#!{PLACEHOLDER}/bin/python\nprint('script')\n".encode(), mode=0o755, placeholder=PLACEHOLDER
        ),
    }
    strings = f"\x7fNOT ELF\0{PLACEHOLDER}/lib:{PLACEHOLDER}/share\0\0after\0".encode()
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40_000))
    compiled = {
        "lib/libfast.so.1.2": Member(data=strings + noise, mode=0o755, placeholder=PLACEHOLDER, binary=True),
        "lib/libfast.so.1": Member(target="libfast.so.1.2"),
        "lib/__pycache__/fast.cpython-311.pyc": Member(data=b"bytecode"),
        "include/Fast.h": Member(data=b"int Fast;\n"),
        "include/fast.h": Member(data=b"int fast;\n"),
        "share/fast/empty": Member(),
    }
    hooked = {
        "bin/.hooked-post-link.sh": Member(data=b"#!/bin/sh\ntouch $PREFIX/made\n", mode=0o755),
        "etc/hooked.conf": Member(data=f"root={PLACEHOLDER}\n".encode(), placeholder=PLACEHOLDER),
        "etc/conda/activate.d/hooked.sh": Member(data=b"export HOOKED=1\n"),
    }
    old = {
        "bin/old": Member(data=f"#!{PLACEHOLDER}/bin/python\nprint(1)\n".encode(), mode=0o755, placeholder=PLACEHOLDER),
        "share/old.txt": Member(data=b"old\n"),
        "share/link.txt": Member(target="old.txt"),
    }
    return (
        Spec(name="tool", version="1.2", noarch="python", files=noarch, depends=(f"python {PYTHON}.*",),
             entry_points=("tool = tool:main",)),
        Spec(name="fast", version="3.0", build="h1_0", files=compiled),
        Spec(name="hooked", version="0.1", files=hooked, suffix=".tar.bz2"),
        Spec(name="twin-a", version="1", files={"share/twin.txt": Member(data=b"a\n"), "share/a": Member(data=b"a")}),
        Spec(name="twin-b", version="1", files={"share/twin.txt": Member(data=b"bb\n"), "share/b": Member(data=b"b")}),
        Spec(name="old", version="9", files=old, suffix=".tar.bz2", old=True),
        Spec(name="alias", version="1", files={"lib/libalias.so": Member(target="libfast.so.1.2")}),
        Spec(name="gpu", version="2", files={"share/gpu": Member(data=b"gpu\n")},
             depends=("__glibc >=2.17,<3.0.a0", "__cuda", "__unix"), constrains=("__cuda >=12", "__osx >=11")),
        Spec(name="level", version="3", build="2_x86_64_v2", files={"share/level": Member(data=b"v2\n")},
             depends=("__archspec 1 x86_64_v2",)),
        Spec(name="future", version="1", files={"share/future": Member(data=b"f\n")}, depends=("__glibc >=2.99",)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel on disk.

    Attributes:
        root: Its folder; its last name is the channel's.
        specs: What it holds.
    """

    root: Path
    specs: tuple[Spec, ...] = field(repr=False)

    def path(self, name: str) -> Path:
        spec = next(spec for spec in self.specs if spec.name == name)
        return self.root / spec.subdir / spec.file

    def record(self, name: str) -> dict[str, object]:
        spec = next(spec for spec in self.specs if spec.name == name)
        return _repodata_row(spec, self.path(name).read_bytes())


def make_channel(root: Path, specs: Sequence[Spec], *, level: int = 1) -> Channel:
    """Write a channel with its repodata.json; the level is zstd's."""
    for subdir in (SUBDIR, "noarch"):
        (root / subdir).mkdir(parents=True)
        table: dict[str, dict[str, object]] = {"packages": {}, "packages.conda": {}}
        for spec in specs:
            if spec.subdir == subdir:
                data = make_package(spec, level=level)
                (root / subdir / spec.file).write_bytes(data)
                key = "packages" if spec.suffix == ".tar.bz2" else "packages.conda"
                table[key][spec.file] = _repodata_row(spec, data)
        whole = {"info": {"subdir": subdir}, **table, "repodata_version": 1}
        (root / subdir / "repodata.json").write_text(json.dumps(whole))
    return Channel(root, tuple(specs))


def _repodata_row(spec: Spec, data: bytes) -> dict[str, object]:
    return spec.index() | {
        "size": len(data),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def install(
    channel: Channel, prefix: Path, names: Sequence[str], *, cache: Path, requested: Sequence[str] = ()
) -> None:
    """Install packages into a prefix with py-rattler."""
    records = []
    for name in names:
        row = channel.record(name)
        package = rattler.PackageRecord(
            name=name,
            version=str(row["version"]),
            build=rattler.BuildString(str(row["build"])),
            build_number=0,
            subdir=str(row["subdir"]),
            noarch=row.get("noarch"),  # type: ignore[arg-type]  # a text or nothing
            depends=[str(one) for one in row["depends"]],  # type: ignore[attr-defined]
            constrains=[str(one) for one in row.get("constrains", [])],  # type: ignore[attr-defined]
            sha256=bytes.fromhex(str(row["sha256"])),
            md5=bytes.fromhex(str(row["md5"])),
            size=int(str(row["size"])),
            python_site_packages_path=str(row.get("python_site_packages_path", SITE)) if name == "python" else None,
        )
        file = channel.path(name)
        records.append(rattler.RepoDataRecord(package, file.name, file.as_uri(), channel.root.as_uri()))
    specs: list[Any] = [rattler.MatchSpec(spec)._match_spec for spec in requested]  # py-rattler 0.28 unwraps none
    asyncio.run(
        rattler.install(
            records,
            target_prefix=prefix,
            cache_dir=cache,
            show_progress=False,
            execute_link_scripts=False,
            requested_specs=specs,
        )
    )


def move(prefix: Path, to: Path) -> None:
    """Move an environment, as people do."""
    shutil.move(prefix, to)

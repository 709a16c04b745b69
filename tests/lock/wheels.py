"""Wheels made by hand, and environments that look as if an installer had put them there."""

import base64
import io
import stat
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from envcap.environment import Distribution, EntryPoint, Environment, InstalledFile, InterpreterFacts
from envcap.wheel.layout import Layout, install_path

LAYOUT = Layout(python="3.11")
SITE = LAYOUT.site_packages


def row_hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()


def wheel_files(
    name: str, version: str, files: Mapping[str, bytes], *, tag: str = "py3-none-any", generator: str = "hand"
) -> dict[str, bytes]:
    """Add METADATA and WHEEL to a wheel's files."""
    info = f"{name}-{version}.dist-info"
    return {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }


def make_wheel(
    name: str, version: str, members: Mapping[str, bytes], *, lies: Mapping[str, str] | None = None, record: bool = True
) -> bytes:
    """Zip a wheel's files, with a RECORD; `lies` replaces rows of it."""
    info = f"{name}-{version}.dist-info"
    rows = {member: row_hash(data) for member, data in members.items()} | dict(lies or {})
    text = "".join(f'"{member}",{found},{len(members.get(member, b""))}\n' for member, found in rows.items())
    everything = {**members, f"{info}/RECORD": f"{text}{info}/RECORD,,\n".encode()} if record else dict(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in everything.items():
            entry = zipfile.ZipInfo(member)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | (0o755 if member.endswith(".sh") else 0o644)) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def put(prefix: Path, path: str, data: bytes, *, executable: bool = False) -> InstalledFile:
    """Write a live file, and give what a scan says of it."""
    target = prefix / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    mode = 0o755 if executable else 0o644
    target.chmod(mode)
    return InstalledFile(path=path, mode=mode, size=len(data), sha256=sha256(data).hexdigest())


def install(
    prefix: Path,
    name: str,
    version: str,
    members: Mapping[str, bytes],
    *,
    tags: tuple[str, ...] = ("py3-none-any",),
    entry_points: tuple[EntryPoint, ...] = (),
    changes: Mapping[str, bytes | None] | None = None,
) -> Distribution:
    """Install a wheel's files as pip does; `changes` then edits, adds (by path) or deletes (None) live files."""
    info = f"{name}-{version}.dist-info"
    live: dict[str, tuple[bytes, bool]] = {}
    for member, data in members.items():
        found = install_path(member, layout=LAYOUT, dist_info=info, archive=name)
        content = data
        if found.is_script and data.startswith(b"#!python"):
            content = f"#!{prefix}/bin/python\n".encode() + data.split(b"\n", 1)[1]
        live[found.path] = (content, found.is_script or member.endswith(".sh"))
    for point in entry_points:
        live[f"bin/{point.name}"] = (generated_script(prefix, point), True)
    live[f"{SITE}/{info}/RECORD"] = (b"as installed\n", False)
    live[f"{SITE}/{info}/INSTALLER"] = (b"pip\n", False)
    owned = dict(live)
    for path, change in (changes or {}).items():
        if change is None:
            owned.pop(path)
        else:
            owned[path] = (change, owned.get(path, (b"", False))[1])
    return Distribution(
        name=name,
        version=version,
        directory=f"{SITE}/{info}",
        installer="pip",
        tags=tags,
        entry_points=entry_points,
        files=tuple(put(prefix, path, *row[:1], executable=row[1]) for path, row in sorted(owned.items())),
        missing=tuple(sorted(set(live) - set(owned))),
    )


def generated_script(prefix: Path, point: EntryPoint) -> bytes:
    module, _, attribute = point.value.partition(":")
    return (
        f"#!{prefix}/bin/python\n# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom {module} import {attribute}\n"
        "if __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n"
        f"    sys.exit({attribute}())\n"
    ).encode()


def environment_of(prefix: Path, *distributions: Distribution, machine: str = "x86_64") -> Environment:
    """Make an environment of distributions."""
    interpreter = InterpreterFacts(
        executable=Path("/usr/bin/python3.11"),
        implementation="cpython",
        version="3.11.7",
        build="main",
        soabi="cpython-311-x86_64-linux-gnu",
        tags="cp311-cp311",
        prefix=prefix,
        base_prefix=Path("/usr"),
        paths={},
        markers={"platform_machine": machine, "sys_platform": "linux"},
        glibc="2.36",
        config={},
    )
    return Environment(
        prefix=prefix,
        kind="venv",
        interpreter=interpreter,
        distributions=tuple(sorted(distributions, key=lambda row: row.name)),
        site_packages=SITE,
    )

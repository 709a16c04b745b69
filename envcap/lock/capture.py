"""A distribution that no artifact explains, kept with the lock: its installed files, reassembled.

What was installed from a wheel becomes a wheel again; an egg, or a distribution with damaged metadata, becomes a plain
zip of paths relative to the prefix. Same files, same bytes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envcap.build.live import is_versioned_script, live_entry
from envcap.build.package import TREE_SUFFIX
from envcap.entry import Content, LiteralContent
from envcap.environment import Distribution, InstalledFile
from envcap.lock.zip_writer import ZipWriter
from envcap.wheel.layout import Layout, is_bytecode, is_installer_file
from envcap.wheel.record import base64_hash
from envcap.wheel.scripts import SHEBANG

_WHEEL_FOLDER = re.compile(r"lib/python\d+\.\d+/site-packages/[^/]+\.dist-info\Z")
"""Where an installed wheel's metadata lies in the image; elsewhere (`dist-packages`) it could not be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    content: Content
    executable: bool


def captured_name(distribution: Distribution) -> str:
    """Name the captured artifact: a wheel's file name (PyPA wheel format), or one ending in `.tree.zip`."""
    stem = f"{canonicalize_name(distribution.name).replace('-', '_')}-{_escaped(distribution.version)}"
    if not is_wheel(distribution):
        return f"{stem}{TREE_SUFFIX}"
    pythons, abis, platforms = (
        sorted(set(part)) for part in zip(*(tag.split("-") for tag in distribution.tags), strict=True)
    )
    return f"{stem}-{'.'.join(pythons)}-{'.'.join(abis)}-{'.'.join(platforms)}.whl"


def is_wheel(distribution: Distribution) -> bool:
    """Tell whether a distribution has what a wheel must have: METADATA, WHEEL and tags of the usual form."""
    paths = {file.path for file in distribution.files}
    needed = {f"{distribution.directory}/METADATA", f"{distribution.directory}/WHEEL"}
    folder = Path(distribution.directory).name.removesuffix(".dist-info")
    return (
        distribution.form == "wheel"
        and _WHEEL_FOLDER.match(distribution.directory) is not None
        and canonicalize_name(folder.rsplit("-", 1)[0]) == canonicalize_name(distribution.name)
        and needed <= paths
        and not any(file.target for file in distribution.files)
        and bool(distribution.tags)
        and all(tag.count("-") == 2 for tag in distribution.tags)  # noqa: PLR2004  # python, abi and platform
    )


def capture_distribution(
    distribution: Distribution,
    *,
    prefix: Path,
    layout: Layout,
    left_out: frozenset[str],
    write: Callable[[bytes], object],
) -> None:
    """Write the captured artifact of a distribution.

    Args:
        distribution: What the scan found.
        prefix: The live environment.
        layout: Its scheme.
        left_out: Paths that the lock handles as patches (scripts of entry points, files of another distribution).
        write: Receives the zip.

    Raises:
        BuildError: A file can't be read or is too large.
    """
    archive = ZipWriter(write)
    wheel = is_wheel(distribution)
    members = _wheel_members if wheel else _tree_members
    rows: list[str] = []
    for member in sorted(members(distribution, prefix, layout, left_out), key=lambda member: member.name.encode()):
        sha256 = archive.add(member.name, member.content, executable=member.executable)
        rows.append(f"{_quoted(member.name)},sha256={base64_hash(sha256)},{member.content.size}\n")
    if wheel:
        record = f"{Path(distribution.directory).name}/RECORD"
        text = "".join([*rows, f"{record},,\n"])
        archive.add(record, LiteralContent(text.encode()), executable=False)
    archive.finish()


def captured_files(distribution: Distribution, prefix: Path, left_out: frozenset[str]) -> Iterator[InstalledFile]:
    """Yield the files that a captured artifact holds: no links, no bytecode, nothing that an installer wrote."""
    for file in distribution.files:
        if is_bytecode(file.path) or is_installer_file(file.path) or file.path in left_out or file.target:
            continue
        if not is_versioned_script(file, prefix=prefix, distribution=distribution):
            yield file


def _tree_members(
    distribution: Distribution, prefix: Path, _layout: Layout, left_out: frozenset[str]
) -> Iterator[_Member]:
    for file in captured_files(distribution, prefix, left_out):
        entry = live_entry(file, prefix=prefix, distribution=distribution, owner=distribution.name)
        yield _Member(name=file.path, content=entry.content, executable=bool(file.mode & 0o111))


def _wheel_members(
    distribution: Distribution, prefix: Path, layout: Layout, left_out: frozenset[str]
) -> Iterator[_Member]:
    data = Path(distribution.directory).name.removesuffix(".dist-info") + ".data"
    for file in captured_files(distribution, prefix, left_out):
        content = live_entry(file, prefix=prefix, distribution=None, owner=distribution.name).content
        inside = file.path.removeprefix(f"{layout.site_packages}/")
        if inside != file.path:
            name = inside
        elif file.path.startswith("bin/") and not _has_placeholder(content):
            name = f"{data}/scripts/{file.path.removeprefix('bin/')}"
            content = _with_placeholder(content)
        else:
            name = f"{data}/data/{file.path}"
        yield _Member(name=name, content=content, executable=bool(file.mode & 0o111))


def _with_placeholder(content: Content) -> Content:
    """Write `#!python` where the image's interpreter is named: the wheel format's own placeholder."""
    if isinstance(content, LiteralContent) and content.data.startswith(SHEBANG + b"\n"):
        return LiteralContent(b"#!python" + content.data.removeprefix(SHEBANG))
    return content


def _has_placeholder(content: Content) -> bool:
    """Tell whether a live file begins as only a wheel's scripts do: it must not be taken for one when put back."""
    return next(iter(content.chunks()), b"").startswith(b"#!python")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(char in name for char in ',"\r\n') else name


def _escaped(version: str) -> str:
    return version.replace("-", "_")

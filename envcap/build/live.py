"""A locked package's files, from the live environment: what `snapshot` computes the image ID from.

The twin of `package.py`. Only what installers write in words of their own is mapped to the recipe's: scripts name the
image's interpreter, `INSTALLER` says `envcap`, and RECORD is written anew.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from envcap.build.package import INSTALLER_TEXT, environment_entry, symlink_entry
from envcap.entry import Entry, LiteralContent
from envcap.environment import Distribution, InstalledFile
from envcap.files import FileContent
from envcap.recipe import ENVIRONMENT_ROOT
from envcap.wheel.layout import is_bytecode, is_installer_file
from envcap.wheel.scripts import console_script, is_generated_script, map_live_script, versioned_twin

_SHEBANG = b"#!"
_NOBODY = "unowned"
_PATH_FILE = re.compile(r"/site-packages/[^/]+\.pth\Z")
_KERNEL = re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json\Z")
_MAX_SCRIPT = 16 << 20


def live_package_entries(
    distribution: Distribution, *, prefix: Path, left_out: frozenset[str], owner: str, is_tree: bool = False
) -> list[Entry]:
    """Give the files that a live distribution brings to the image.

    Args:
        distribution: What the scan found.
        prefix: The live environment.
        left_out: Paths that belong to another distribution of the same file (a patch of the lock deletes them here).
        owner: Name for messages.
        is_tree: Captured as a tree of files, which says nothing of an installer.
    """
    entries = [
        live_entry(file, prefix=prefix, distribution=distribution, owner=owner)
        for file in distribution.files
        if not (
            is_bytecode(file.path)
            or is_installer_file(file.path)
            or file.path in left_out
            or is_versioned_script(file, prefix=prefix, distribution=distribution)
        )
    ]
    return entries if is_tree else [*entries, *_installer(distribution, owner)]


def live_entry(file: InstalledFile, *, prefix: Path, distribution: Distribution | None, owner: str) -> Entry:
    """Give one live file as the image holds it."""
    if file.target:
        return symlink_entry(file.path, file.target, owner)
    executable = bool(file.mode & 0o111)
    script = live_script(file, prefix=prefix, distribution=distribution)
    if script is not None:
        return environment_entry(file.path, executable=executable, content=LiteralContent(script), owner=owner)
    content = FileContent(path=file.location(prefix), size=file.size)
    return environment_entry(file.path, executable=executable, content=content, owner=owner, sha256=file.sha256)


def unowned_entry(file: InstalledFile, *, prefix: Path) -> Entry:
    """Give a live file that no package owns as the image holds it: where Python reads it, it names no live place."""
    if file.target:
        return symlink_entry(file.path, _image_path(file.target, prefix) or file.target, _NOBODY)
    mapping = map_path_file if is_path_file(file) else map_kernel if _KERNEL.search(file.path) else None
    if mapping is not None and file.size <= _MAX_SCRIPT:
        data = b"".join(FileContent(path=file.location(prefix), size=file.size).chunks())
        mapped = mapping(data, prefix=prefix)
        if mapped != data:
            content = LiteralContent(mapped)
            return environment_entry(file.path, executable=bool(file.mode & 0o111), content=content, owner=_NOBODY)
    return live_entry(file, prefix=prefix, distribution=None, owner=_NOBODY)


def is_path_file(file: InstalledFile) -> bool:
    """Tell whether Python's `site` module reads a file for folders of the module path."""
    return not file.target and _PATH_FILE.search(file.path) is not None


def path_file_lines(file: InstalledFile, *, prefix: Path) -> list[str]:
    """Read the folders that a path file names, as written."""
    if file.size > _MAX_SCRIPT:
        return []
    data = b"".join(FileContent(path=file.location(prefix), size=file.size).chunks())
    lines = (line.rstrip() for line in data.decode("utf-8", "surrogateescape").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "import ", "import\t")) and "\0" not in line]


def map_kernel(data: bytes, *, prefix: Path) -> bytes:
    """Map a kernel's `kernel.json` to the image: `ipykernel install` writes the live interpreter's path into it."""
    for spelling in spellings(prefix):
        data = data.replace(b'"' + spelling + b"/", f'"/{ENVIRONMENT_ROOT}/'.encode())
    return data


def map_path_file(data: bytes, *, prefix: Path) -> bytes:
    """Map a `.pth` file (CPython's `Lib/site.py`) to the image.

    A line that names a folder of the environment names the image's; one that names another absolute folder is left out:
    the image has no such folder, and its name is this machine's own affair.
    """
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True):
        folder = line.rstrip()
        if not folder.startswith(b"/"):
            lines.append(line)
        elif mapped := _image_path(folder.decode("utf-8", "surrogateescape"), prefix):
            lines.append(mapped.encode("utf-8", "surrogateescape") + line[len(folder) :])
    return b"".join(lines)


def live_script(file: InstalledFile, *, prefix: Path, distribution: Distribution | None) -> bytes | None:
    """Map a live script to the image, or tell with None that the file goes in as it is."""
    data = read_script(file, prefix=prefix) if file.path.startswith("bin/") else None
    if data is None:
        return None
    for point in distribution.entry_points if distribution else ():
        if file.path == f"bin/{point.name}" and is_generated_script(data, point):
            return console_script(point)
    mapped = map_live_script(data, prefixes=(*spellings(prefix), *pythons_named(file)))
    return None if mapped == data else mapped


def is_versioned_script(file: InstalledFile, *, prefix: Path, distribution: Distribution) -> bool:
    """Tell whether a file is a script such as `bin/pip3.11`, which pip writes for itself beside its entry points."""
    twin = versioned_twin(file.path, distribution.entry_points)
    data = read_script(file, prefix=prefix) if twin and not file.target else None
    return twin is not None and data is not None and is_generated_script(data, twin)


def read_script(file: InstalledFile, *, prefix: Path) -> bytes | None:
    """Read a live file that begins with `#!`, or tell with None that it does not, or is too large for a text.

    Raises:
        BuildError: It can't be read, or is a symlink by now.
    """
    if file.size > _MAX_SCRIPT:
        return None
    chunks = FileContent(path=file.location(prefix), size=file.size).chunks()
    head = next(chunks, b"")
    return b"".join((head, *chunks)) if head.startswith(_SHEBANG) else None


def spellings(prefix: Path) -> tuple[bytes, ...]:
    """Give the ways in which scripts may spell the prefix: as given and with symlinks resolved."""
    return tuple(
        {str(path).encode("utf-8", "surrogateescape") for path in (prefix, prefix.absolute(), prefix.resolve())}
    )


def pythons_named(file: InstalledFile) -> tuple[bytes, ...]:
    """Give the prefix of the Python that a script from beyond the environment names."""
    return (os.fsencode(file.python),) if file.python else ()


def _image_path(path: str, prefix: Path) -> str:
    """Give an absolute path of the live environment as the image's, or an empty string for any other path."""
    for spelling in spellings(prefix):
        live = spelling.decode("utf-8", "surrogateescape")
        if path == live or path.startswith(f"{live}/"):
            return f"/{ENVIRONMENT_ROOT}{path[len(live) :]}"
    return ""


def _installer(distribution: Distribution, owner: str) -> Iterator[Entry]:
    if distribution.directory.endswith(".dist-info"):
        path = f"{distribution.directory}/INSTALLER"
        yield environment_entry(path, executable=False, content=LiteralContent(INSTALLER_TEXT), owner=owner)

"""Capture of an interpreter that has no public artifact (pyenv, `/usr/local`, Homebrew, Ubuntu's) as one blob.

The blob is the interpreter's layer as it will be in the image: relocated to `/opt/python`, in the recipe's own order,
modes and compression. So it depends on the files alone, not on who captured it, when, or with which umask.
"""

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from envcap.build.arrange import arrange
from envcap.build.layer import Compression, write_layer
from envcap.digest import Digest
from envcap.entry import Entry, EntryKind
from envcap.environment import InterpreterFacts
from envcap.errors import ScanError
from envcap.finding import Finding
from envcap.interpreter.binaries import ExecutableNeeds, has_foreign_loader, library_links, read_needs
from envcap.interpreter.content import open_relocated
from envcap.interpreter.layout import Layout
from envcap.interpreter.relocate import Relocation
from envcap.interpreter.sysconfigdata import read_sysconfigdata
from envcap.interpreter.tree import own_entries
from envcap.recipe import PYTHON_ROOT, file_mode

_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108  # compared with, not written to


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedTree:
    """A captured interpreter.

    Attributes:
        digest: Digest of the blob.
        size: Bytes of the blob.
        tar_size: Bytes of the tar in it.
        files: Number of files and symlinks of the interpreter.
        findings: What could not be taken along, or stayed inside, by path.
    """

    digest: Digest
    size: int
    tar_size: int
    files: int
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class _Capture:
    """The state of one capture."""

    root: Path
    relocation: Relocation
    entries: dict[str, Entry] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def report(self, code: str, message: str, path: str) -> None:
        self.findings.append(Finding(code=code, message=message, path=path))


def capture_interpreter(facts: InterpreterFacts, *, output: BinaryIO, home: str = "") -> CapturedTree:
    """Write the interpreter's own files as one blob.

    Args:
        facts: What the interpreter said.
        output: Receives the blob: a gzip of one tar.
        home: The user's home directory, which must not stay inside, or empty.

    Raises:
        ScanError: The prefix holds no standard library.
        BuildError: A file changed while it was read.
    """
    root = facts.base_prefix.resolve()
    layout = find_layout(facts, root)
    capture = _Capture(root, plan_relocation(facts, root, layout, home=home))
    paths = set(layout.walk(root, report=lambda path, error: _unreadable(capture, path, error)))
    for path in sorted(paths):
        _add(capture, path, paths)
    executable = f"bin/{layout.name}"
    if executable not in capture.entries:
        _add_file(capture, executable, facts.executable)
    if f"{layout.stdlib}/os.py" not in capture.entries:
        raise ScanError(
            f"{facts.base_prefix}: no standard library (expected {layout.stdlib}/os.py)",
            hint="reinstall this Python, or make the environment again with another one",
        )
    needs = _look_at_executable(capture, executable)
    entries = [
        *capture.entries.values(),
        *library_links(needs, capture.entries),
        *own_entries(layout, capture.entries),
    ]
    layer = write_layer(arrange(_in_image(entries)), epoch=0, compression=Compression.LIBDEFLATE, write=output.write)
    return CapturedTree(
        digest=layer.digest or layer.diff_id,
        size=layer.size,
        tar_size=layer.tar_size,
        files=len(entries),
        findings=tuple(sorted(capture.findings, key=lambda finding: (finding.path, finding.code))),
    )


def find_layout(facts: InterpreterFacts, root: Path, *, whole: bool = False) -> Layout:
    """Tell how an interpreter lies below its real prefix.

    Raises:
        ScanError: Its standard library lies elsewhere.
    """
    stdlib = Path(facts.paths.get("stdlib", "")).resolve()
    if not stdlib.is_relative_to(root):
        raise ScanError(f"The standard library of {facts.executable} lies outside its prefix {root}: {stdlib}")
    return Layout(stdlib=stdlib.relative_to(root).as_posix(), whole=whole)


def plan_relocation(facts: InterpreterFacts, root: Path, layout: Layout, *, home: str = "") -> Relocation:
    """Collect the paths that the interpreter's files may hold: where it is, where it was to be, where it was built."""
    built: dict[str, str] = {}
    for file in sorted((root / layout.stdlib).glob("_sysconfigdata*.py")):
        try:
            variables = read_sysconfigdata(file.read_bytes()) or {}
        except OSError:
            continue
        built |= {key: value for key, value in variables.items() if isinstance(value, str) and value.startswith("/")}
    prefixes = {str(facts.base_prefix), str(root)} | {built[key] for key in ("prefix", "exec_prefix") if key in built}
    builds = {built[key] for key in ("abs_builddir", "abs_srcdir", "srcdir") if key in built}
    # pyenv unpacks the source into a folder of its own, `/tmp/python-build.DATE.PID/Python-3.11.7`.
    private = (*_TEMPORARY, *([home + "/"] if home else []))
    builds |= {folder for build in builds if (folder := posixpath.dirname(build) + "/").startswith(private)}
    builds = {posixpath.normpath(build) for build in builds} - {path.rstrip("/") for path in private}
    return Relocation(
        prefixes=tuple(sorted(posixpath.normpath(prefix) for prefix in prefixes)),
        builds=tuple(sorted(build for build in builds if not any(_within(build, prefix) for prefix in prefixes))),
        home=home.rstrip("/"),
        version=layout.version,
    )


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _add(capture: _Capture, path: str, kept: set[str]) -> None:
    file = capture.root / path
    if not file.is_symlink():
        _add_file(capture, path, file)
        return
    # Not Path.resolve, which raises for a link that leads to itself.
    real = Path(os.path.realpath(file))
    inside = real.relative_to(capture.root).as_posix() if real.is_relative_to(capture.root) else ""
    if inside in kept and real.is_file():
        target = posixpath.relpath(inside, posixpath.dirname(path))
        capture.entries[path] = Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target=target, owner="python")
    elif real.is_file():
        # Debian-like systems keep `sitecustomize.py` in /etc: its content belongs to this Python all the same.
        _add_file(capture, path, real)
    else:
        capture.report("interpreter-link", "This link leads out of the interpreter; it was left out.", path)


def _add_file(capture: _Capture, path: str, file: Path) -> None:
    try:
        content, left = open_relocated(file, path, capture.relocation)
        mode = file_mode(path, executable=bool(file.stat().st_mode & 0o111))
    except OSError as error:
        _unreadable(capture, path, error)
        return
    if left:
        capture.report("laptop-path", "This file still holds a path of the machine that it was captured on.", path)
    capture.entries[path] = Entry(path=path, kind=EntryKind.FILE, mode=mode, content=content, owner="python")


def _unreadable(capture: _Capture, path: str, error: OSError) -> None:
    if isinstance(error, FileNotFoundError) and not path:
        raise ScanError(f"There is no interpreter at {capture.root}") from error
    capture.report("file-unreadable", f"This file of the interpreter can't be read ({error.strerror}).", path)


def _look_at_executable(capture: _Capture, executable: str) -> ExecutableNeeds:
    entry = capture.entries.get(executable)
    needs = read_needs(b"".join(entry.content.chunks())) if entry else ExecutableNeeds()
    if has_foreign_loader(needs):
        capture.report(
            "foreign-loader", "The interpreter starts with a loader of its own, which the image will lack.", executable
        )
    return needs


def _in_image(entries: Iterable[Entry]) -> list[Entry]:
    return [
        entry
        if entry.path.startswith("usr/local/")
        else Entry(
            path=f"{PYTHON_ROOT}/{entry.path}",
            kind=entry.kind,
            mode=entry.mode,
            content=entry.content,
            target=entry.target,
            owner=entry.owner,
        )
        for entry in entries
    ]

"""Builds a project to a wheel by PEP 517, isolated, with pip; what the wheel holds is kept in the store.

It runs code of the project, as the editable install itself did. The environment's base interpreter builds, so that
nothing is read from the environment or written into it; the project is copied first.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from envcap.archives.access import FileReader
from envcap.archives.zip import ZipArchive, open_zip
from envcap.digest import Digest
from envcap.environment import Distribution, Environment, InstalledFile
from envcap.errors import ArchiveError, ScanError
from envcap.project.copy import copy_project
from envcap.scan.runner import Runner
from envcap.store import Store
from envcap.store.actions import action_key
from envcap.wheel.layout import Layout, dist_info_folder, install_path, is_bytecode, layout_of

_RULES: Final = 1
_TIMEOUT: Final = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What building takes.

    Attributes:
        store: Keeps what wheels hold, and remembers them by the project's content.
        run: Starts pip.
        offline: Whether pip may ask nobody.
    """

    store: Store
    run: Runner
    offline: bool = False


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that a build runs with: the user's, and the one clock that builds agree on."""
    return {**environ, "SOURCE_DATE_EPOCH": "315532800"}  # 1980-01-01, the earliest that a zip can hold


def build_project(
    distribution: Distribution, folder: Path, environment: Environment, builder: Builder
) -> tuple[InstalledFile, ...]:
    """Build a project, and give the files that its wheel would install, without metadata and scripts.

    Metadata and scripts are those that the editable install left in the environment.

    Args:
        distribution: The editable install.
        folder: Its project.
        environment: Where it is installed.
        builder: What building takes.

    Raises:
        ScanError: It can't be copied or built, or gives no sound wheel.
        StoreError: The store fails.
    """
    interpreter = environment.interpreter
    with tempfile.TemporaryDirectory(prefix="envcap-build-") as scratch:
        copy, out = Path(scratch) / "project", Path(scratch) / "wheel"
        content = copy_project(folder, copy)
        key = action_key(
            "project-wheel",
            {"rules": _RULES, "project": content, "name": distribution.name, "soabi": interpreter.soabi,
             "version": interpreter.version, "build": interpreter.build},
        )  # fmt: skip
        known = builder.store.recall(key)
        if known is not None:
            return tuple(_remembered(known, builder.store))
        _run_pip(copy, out, interpreter.executable, builder)
        layout = layout_of(interpreter.version, interpreter.soabi)
        files = tuple(_keep(_only_wheel(out), distribution, layout, builder.store))
    rows = [[file.path, file.mode, file.size, file.sha256] for file in files]
    digests = [Digest(file.sha256) for file in files]
    builder.store.actions.put(key, {"files": rows}, blobs=digests)
    return files


def _run_pip(project: Path, out: Path, python: Path, builder: Builder) -> None:
    argv = [
        sys.executable, "-I", "-m", "pip", "--python", str(python), "--quiet", "--no-input", "wheel", "--no-deps",
        "--no-cache-dir", "--wheel-dir", str(out), *(["--no-index"] if builder.offline else []), str(project),
    ]  # fmt: skip
    done = builder.run(argv, timeout=_TIMEOUT)
    if done.returncode != 0:
        raise ScanError(
            f"pip could not build it (status {done.returncode})",
            hint="run `pip wheel --no-deps` in the project's folder to see why",
        )


def _only_wheel(folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ScanError(f"pip built {len(wheels)} wheels (expected 1)")
    return wheels[0]


def _keep(wheel: Path, distribution: Distribution, layout: Layout, store: Store) -> Iterator[InstalledFile]:
    try:
        with FileReader(wheel) as reader:
            archive = open_zip(reader, name=wheel.name)
            names = [member.name for member in archive.members if not member.is_directory]
            info = dist_info_folder(names, project=distribution.name, archive=wheel.name)
            yield from _members(archive, info, layout, store)
    except ArchiveError as error:
        raise ScanError(f"The wheel that was built is refused: {error.message}") from error


def _members(archive: ZipArchive, info: str, layout: Layout, store: Store) -> Iterator[InstalledFile]:
    for member in archive.members:
        if member.is_directory or member.name.startswith(f"{info}/") or is_bytecode(member.name):
            continue
        place = install_path(member.name, layout=layout, dist_info=info, archive=archive.name)
        if place.is_script:
            continue
        with store.blobs.writer() as writer:
            for chunk in archive.content(member).chunks():
                writer.write(chunk)
            size, digest = writer.size, writer.commit()
        mode = 0o755 if member.mode & 0o111 else 0o644
        yield _kept(place.path, mode, size, digest, store)


def _remembered(known: dict[str, object], store: Store) -> Iterator[InstalledFile]:
    for path, mode, size, sha256 in cast("list[tuple[str, int, int, str]]", known["files"]):
        yield _kept(path, mode, size, Digest(sha256), store)


def _kept(path: str, mode: int, size: int, digest: Digest, store: Store) -> InstalledFile:
    place = store.blobs.verified(digest)
    return InstalledFile(path=path, mode=mode, size=size, sha256=digest.hex, source=str(place))

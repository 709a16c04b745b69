"""`envcap export`: a lock in another tool's format, with its captured wheels laid beside it where they are needed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import BinaryIO

from envcap.blobs import LockFolder
from envcap.cli.conda import conda_left_out
from envcap.cli.conda_places import ConfiguredChannels
from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data
from envcap.digest import CHUNK_SIZE
from envcap.errors import BuildError, LockfileError, MissingArtifactError, UsageError
from envcap.export.conda import check_conda
from envcap.export.conda_environment import export_environment
from envcap.export.conda_lock import export_conda_lock
from envcap.export.cyclonedx import export_cyclonedx
from envcap.export.dockerfile import check_dockerfile, export_dockerfile
from envcap.export.explicit import export_explicit
from envcap.export.pylock import export_pylock
from envcap.export.requirements import export_requirements
from envcap.export.result import Export
from envcap.lockfile.model import Artifact, Lockfile, Source
from envcap.rebuild import choose_platform
from envcap.sources.index import IndexReader
from envcap.sources.locate import Refusal, SimpleLocator
from envcap.staging import new_file
from envcap.world import World, open_world

FILES = {
    "pylock": "pylock.toml",
    "requirements": "requirements.txt",
    "conda-lock": "conda-lock.yml",
    "explicit": "conda-explicit.txt",
    "environment": "environment.yml",
    "cyclonedx": "cyclonedx.json",
    "dockerfile": "Dockerfile",
}
_OF_CONDA = frozenset({"conda-lock", "explicit", "environment"})
_OF_PIP = frozenset({"pylock", "requirements", "dockerfile"})
_WHEELS = PurePath("wheels")


def export_command(
    lock: Path,
    form: str,
    *,
    platform: str,
    output: Path | None,
    index: tuple[str, ...],
    offline: bool,
    store: Path | None,
) -> None:
    """Export a lock.

    Raises:
        EnvcapError: The format is unknown, or an index does not answer.
    """
    check_format(form)
    talk = Talk()
    folder = open_lock(lock, store=store, offline=offline)
    with open_world(this_machine(store=store, offline=offline, index=index), held=folder.held) as world:
        export = _export(folder, form, choose_platform(folder.lockfile, platform), world, beside=output is not None)
    for finding in export.findings:
        talk.warn(finding.message)
    if output is None:
        print_data(export.text)
    else:
        _write(export, folder, output)
        talk.say(f"Wrote {output}")


def write_export(lock: Path, form: str, world: World, talk: Talk) -> None:
    """Write an export beside a lock.

    Raises:
        EnvcapError: As `export_command`.
    """
    check_format(form)
    folder = open_lock(lock)
    export = _export(folder, form, choose_platform(folder.lockfile, ""), world, beside=True)
    for finding in export.findings:
        talk.warn(finding.message)
    _write(export, folder, lock.parent / FILES[form])


def check_format(form: str) -> None:
    """Refuse a format that there is not.

    Raises:
        UsageError: It is unknown.
    """
    if form not in FILES:
        raise UsageError(f"Unknown format {form!r} (expected one of: {', '.join(FILES)})")


def check_content(form: str, lockfile: Lockfile) -> None:
    """Refuse a format that has nothing to say of a lock.

    Raises:
        BuildError: It is one of conda's, and the lock holds no conda packages, or one of pip's, and it holds no Python.
    """
    if form in _OF_CONDA:
        check_conda(lockfile, form)
    elif form in _OF_PIP and not lockfile.has_python:
        raise BuildError(
            f"The lock {lockfile.name!r} is of an environment without Python (expected one for the format {form!r})",
            hint="choose `explicit`, `conda-lock` or `environment`, which hold conda packages",
        )
    elif form == "dockerfile":
        check_dockerfile(lockfile)


def _export(folder: LockFolder, form: str, platform: str, world: World, *, beside: bool) -> Export:
    check_content(form, folder.lockfile)
    wheels = _WHEELS if beside else None
    if form in _OF_CONDA:
        return _conda_export(folder, form, platform, world, wheels)
    if form == "cyclonedx":
        return export_cyclonedx(folder.lockfile, platform=platform)
    if form == "dockerfile":
        return export_dockerfile(folder.lockfile, platform=platform, wheels=wheels)
    if form == "requirements":
        export = export_requirements(folder.lockfile, platform=platform, wheels=wheels)
    else:
        locate = _Locate(world, folder.lockfile.sources)
        export = export_pylock(folder.lockfile, platform=platform, locate=locate, wheels=wheels)
    return replace(export, findings=(*conda_left_out(folder.lockfile), *export.findings))


def _conda_export(folder: LockFolder, form: str, platform: str, world: World, wheels: PurePath | None) -> Export:
    places = ConfiguredChannels(world, folder)
    if form == "environment":
        return export_environment(folder.lockfile, platform=platform, places=places, wheels=wheels)
    write = export_explicit if form == "explicit" else export_conda_lock
    locate = _Locate(world, folder.lockfile.sources)
    return write(folder.lockfile, platform=platform, places=places, locate=locate)


class _Locate:
    """Gives the URL of an artifact of an index."""

    def __init__(self, world: World, sources: tuple[Source, ...]) -> None:
        self._locator = SimpleLocator(
            IndexReader(world.session), {source.name: source.url for source in sources if source.url}
        )

    def __call__(self, artifact: Artifact) -> str:
        refusals = []
        for place in self._locator.urls(artifact):
            if not isinstance(place, Refusal):
                return place.url
            refusals.append(f"{place.shown}: {place.answer}")
        raise MissingArtifactError(
            f"No index has {artifact.file} ({'; '.join(refusals)})", hint="name an index that has it with `--index`"
        )


def _write(export: Export, folder: LockFolder, output: Path) -> None:
    try:
        _check_place(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        for wheel in export.wheels:
            _write_wheel(folder, wheel.sha256, output.parent / wheel.path)
        with _replacing(output) as file:
            file.write(export.text.encode())
    except OSError as error:
        raise LockfileError(f"{output} can't be written: {error.strerror or error}") from None


def _write_wheel(folder: LockFolder, sha256: str, target: Path) -> None:
    if target.parent.is_symlink():  # whoever made the lock's folder may have put it there
        raise LockfileError(f"{target.parent} is a symlink (expected a folder)", hint="choose another `--output`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with folder.open_blob(sha256) as blob, _replacing(target) as file:
        found = hashlib.sha256()
        while chunk := blob.read(CHUNK_SIZE):
            found.update(chunk)
            file.write(chunk)
        if found.hexdigest() != sha256:
            raise LockfileError(
                f"A blob beside the lock is damaged (expected sha256 {sha256}, found {found.hexdigest()})",
                hint="copy the lock's folder again from where it was made",
            )


def _check_place(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise LockfileError(f"{path} is there and no regular file", hint="choose another `--output`")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears whole or not at all, and never through a symlink."""
    _check_place(path)
    with new_file(path) as file:
        yield file

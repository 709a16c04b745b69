"""Fetching what an imported file has pip install: wheels, from the configured indexes or from where the file says."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from packaging.tags import Tag, compatible_tags, cpython_tags, create_compatible_tags_selector, platform_tags
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename

from envcap.conda.channel import split_url
from envcap.conda.listed import INSTALL_HINT, ListedWheel
from envcap.digest import CHUNK_SIZE, Digest, is_sha256
from envcap.errors import DigestError, EnvcapError, LockfileError, MissingArtifactError
from envcap.files import FileContent
from envcap.lock.pypi_candidates import file_filter
from envcap.lockfile.model import Artifact, Package
from envcap.sources.answer import Meter
from envcap.sources.guard import is_inner_host
from envcap.sources.index import IndexReader
from envcap.sources.locate import Refusal, SimpleLocator
from envcap.sources.location import DEFAULT_NAME, ProjectFile
from envcap.world import World

_LARGEST = 16 << 30


def fetch_wheel(row: ListedWheel, platform: str, world: World) -> Package:
    """Have a wheel in the store, believed by its hash.

    Args:
        row: What the file says.
        platform: `linux/amd64`, `linux/arm64`.
        world: This machine.

    Raises:
        LockfileError: It is no wheel of that name, or has no hash.
        MissingArtifactError: Nobody has it.
    """
    name, version, file = check_wheel(row)
    artifact = Artifact(
        platform=platform, source=DEFAULT_NAME, file=file, size=0, sha256=row.sha256, url=public_url(row.url)
    )
    size = _fetch(artifact, world)
    pinned = Artifact(platform=platform, source=DEFAULT_NAME, file=file, size=size, sha256=row.sha256)
    return Package(name=name, version=version, artifacts=(pinned,))


def check_wheel(row: ListedWheel) -> tuple[NormalizedName, str, str]:
    """Check that a row is a wheel of its name, and has a hash.

    Returns:
        Its name, version and file name.

    Raises:
        LockfileError: It isn't.
    """
    file = row.file or unquote(split_url(row.url).path).rpartition("/")[2]
    try:
        name, version, *_ = parse_wheel_filename(file)
    except InvalidWheelFilename:
        message = f"{row.name[:80]!r} is no wheel (expected `.whl`, found {file[:80]!r})"
        raise LockfileError(message, hint=INSTALL_HINT) from None
    if name != canonicalize_name(row.name) or not is_sha256(row.sha256):
        message = f"{row.name[:80]!r} has the file {file[:80]!r} (expected a wheel of that name, and its sha256)"
        raise LockfileError(message, hint=INSTALL_HINT)
    return name, str(version), file


def take_beside(rows: Iterable[ListedWheel], folder: Path, world: World) -> tuple[ListedWheel, ...]:
    """Put the wheels that lie beside a file into the store; those that are not there, others may have.

    Args:
        rows: What the file says.
        folder: The folder of the file: no wheel outside of it is read.
        world: This machine.

    Returns:
        The rows, each wheel of the folder with its hash.

    Raises:
        LockfileError: A wheel has another hash than the file says, or can't be read.
    """
    return tuple(_taken(row, folder, world) if row.path else row for row in rows)


def _taken(row: ListedWheel, folder: Path, world: World) -> ListedWheel:
    path, root = (folder / row.path).resolve(), folder.resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return row
    try:
        with world.store.blobs.writer() as writer, path.open("rb") as file:
            while chunk := file.read(CHUNK_SIZE):
                writer.write(chunk)
            digest = writer.commit(Digest(row.sha256) if is_sha256(row.sha256) else None)
    except OSError as error:
        raise LockfileError(f"{row.path!r} beside the file can't be read: {error.strerror}") from None
    except DigestError as error:
        raise LockfileError(f"{row.path!r} beside the file is another: {error.message}", hint=INSTALL_HINT) from None
    return replace(row, sha256=digest.hex)


def find_wheel(name: str, version: str, python: str, world: World) -> ListedWheel:
    """Find the wheel of a version that pip would take: the best fit of the first configured index that has one.

    Args:
        name: The project.
        version: Its version.
        python: Full version of the CPython that is to have it.
        world: This machine, whose platform is meant.

    Raises:
        MissingArtifactError: No index has a wheel that fits.
        LockfileError: The Python's version is none.
    """
    reader, asked, wanted = IndexReader(world.session), [], file_filter(name, version)
    fitting = create_compatible_tags_selector(python_tags(python))
    for index in world.session.settings.indexes:
        if world.session.offline and not index.is_local:
            asked.append(f"{index.shown}: not asked (offline)")
            continue
        try:
            files = reader.files(index, name, meter=Meter(), wanted=wanted)
        except EnvcapError as error:
            asked.append(f"{index.shown}: {error.message}")
            continue
        wheels = [(file, tags) for file in files if (tags := _tags(file.filename))]
        best = next(fitting(wheels), None)
        if best is not None and (sha256 := best.sha256 or _hash(best)):
            return ListedWheel(name=name, url=best.url, sha256=sha256, file=best.filename)
        has = (
            "states no sha256 of its wheel"
            if best
            else "only sources"
            if files and not wheels
            else "no wheel that fits"
        )
        asked.append(f"{index.shown}: {has if files else 'does not have it'}")
    raise MissingArtifactError(
        f"Can't find a wheel of {name} {version} for Python {python} ({'; '.join(asked) or 'no index is configured'})",
        hint=f"name an index that has it in pip's configuration, or {INSTALL_HINT}",
    )


def python_tags(python: str, *, abi: str = "") -> list[Tag]:
    """List the tags of wheels that a CPython of this machine's platform takes, best first.

    Args:
        python: Its full version.
        abi: Its ABI tag, such as `cp313t`; empty for the usual one.

    Raises:
        LockfileError: The version is none.
    """
    match = re.match(r"(\d{1,2})\.(\d{1,3})(?:\.|\Z)", python)
    if match is None:
        raise LockfileError(f"Unexpected version of Python {python[:40]!r} (expected such as 3.11.7)")
    version, platforms = (int(match[1]), int(match[2])), list(platform_tags())
    interpreter = f"cp{match[1]}{match[2]}"
    return [
        *cpython_tags(version, abis=[abi or interpreter], platforms=platforms),
        *compatible_tags(version, interpreter=interpreter, platforms=platforms),
    ]


def _tags(file: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(file)[3] if file.endswith(".whl") else frozenset()
    except InvalidWheelFilename:
        return frozenset()


def _hash(file: ProjectFile) -> str:
    """Hash a wheel of a folder, which states nothing."""
    path = file.local_path
    return Digest.of_chunks(FileContent(path=path, size=file.size).chunks()).hex if path is not None else ""


def public_url(url: str) -> str:
    """Give a URL of a file that somebody else wrote if it may be asked: https, and no address of our own network."""
    host = split_url(url).hostname or ""
    return url if url.startswith("https://") and host and not is_inner_host(host) else ""


def _fetch(artifact: Artifact, world: World) -> int:
    blobs, digest = world.store.blobs, Digest(artifact.sha256)
    if blobs.has(digest):
        return blobs.path(digest).stat().st_size
    asked: list[str] = []
    for place in SimpleLocator(IndexReader(world.session), {}).urls(artifact):
        if isinstance(place, Refusal):
            asked.append(f"{place.shown}: {place.answer}")
            continue
        try:
            with blobs.writer() as writer:
                for chunk in world.transport.stream(place.url, limit=_LARGEST):
                    writer.write(chunk)
                size = writer.size
                writer.commit(digest)
        except EnvcapError as error:
            asked.append(f"{place.shown}: {error.message}")
        else:
            return size
    raise MissingArtifactError(
        f"Can't pin {artifact.file}: nobody has the wheel that the file names ({'; '.join(asked)})",
        hint="name an index that has it in pip's configuration",
    )

"""Fetching what an imported file has pip install: wheels, from the configured indexes or from where the file says."""

from urllib.parse import unquote

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from envcap.conda.channel import split_url
from envcap.conda.listing import ListedWheel
from envcap.digest import Digest, is_sha256
from envcap.errors import EnvcapError, LockfileError, MissingArtifactError
from envcap.lockfile.model import Artifact, Package
from envcap.sources.guard import is_inner_host
from envcap.sources.index import IndexReader
from envcap.sources.locate import Refusal, SimpleLocator
from envcap.sources.location import DEFAULT_NAME
from envcap.world import World

_LARGEST = 16 << 30
_HINT = "install the file with the tool that wrote it, and take a snapshot of the environment"


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
    file = unquote(split_url(row.url).path).rpartition("/")[2]
    try:
        name, version, *_ = parse_wheel_filename(file)
    except InvalidWheelFilename:
        message = f"{row.name[:80]!r} is no wheel (expected `.whl`, found {file[:80]!r})"
        raise LockfileError(message, hint=_HINT) from None
    if name != canonicalize_name(row.name) or not is_sha256(row.sha256):
        message = f"{row.name[:80]!r} has the file {file[:80]!r} (expected a wheel of that name, and its sha256)"
        raise LockfileError(message, hint=_HINT)
    artifact = Artifact(
        platform=platform, source=DEFAULT_NAME, file=file, size=0, sha256=row.sha256, url=public_url(row.url)
    )
    size = _fetch(artifact, world)
    pinned = Artifact(platform=platform, source=DEFAULT_NAME, file=file, size=size, sha256=row.sha256)
    return Package(name=name, version=str(version), artifacts=(pinned,))


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

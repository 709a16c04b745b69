"""An exact `environment.yml` to files and hashes: conda's by the indexes of its channels, pip's by the package indexes.

Nothing is chosen here but between places: name, version and build say which archive it is, name and version which
wheels, and the interpreter which of these. A package that no index lists any more is fetched by its name, for channels
keep what they withdraw (notes/capture.md §3), and is named as unproved.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from envcap.conda.channel import source_name
from envcap.conda.listed import (
    ExactEnvironment,
    ExactSpec,
    ListedChannel,
    ListedPackage,
    Listing,
    named,
    sorted_packages,
    sorted_wheels,
)
from envcap.conda.repodata import RepodataRow
from envcap.conda_prefix.complete import fetch_conda
from envcap.environment import CondaRecord
from envcap.errors import EnvcapError, LockfileError, MissingArtifactError
from envcap.importing.wheels import find_wheel, public_url
from envcap.sources.conda_locator import CondaLocator
from envcap.sources.conda_repodata import find_packages
from envcap.world import World

MOST_UNLISTED = 20
"""Packages that are looked for by their names; where more are missing, it is the channel that is wrong."""

_NOARCH = "noarch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What an environment comes to.

    Attributes:
        listing: Files and hashes.
        unlisted: Files that no channel lists, and that were found by their name alone.
    """

    listing: Listing
    unlisted: tuple[str, ...] = ()


def resolve_environment(
    wanted: ExactEnvironment, *, subdir: str, world: World, step: Callable[[str, int, int], None]
) -> Resolved:
    """Find the file and the hash of each package.

    Args:
        wanted: What the file asks for.
        subdir: `linux-64`, `linux-aarch64`.
        world: This machine.
        step: Shows progress.

    Raises:
        LockfileError: A package has no channel, or pip's need a Python that is not among the packages.
        MissingArtifactError: No channel, or no index, has a package.
    """
    found: dict[str, ListedPackage] = {}
    asked: list[str] = []
    for channel, specs in _by_channel(wanted):
        for folder in (subdir, _NOARCH):
            left = [spec for spec in specs if spec.name not in found]
            if left:
                step(f"{channel.name}/{folder}", len(found), len(wanted.specs))
                indexed = _indexed(channel, folder, left, world, asked)
                found |= {spec.name: row for spec in left if (row := _row(spec, channel, folder, indexed))}
    unlisted = _by_name(wanted, found, subdir, world, asked)
    packages = sorted_packages([*found.values(), *unlisted])
    python = next((spec.version for spec in wanted.specs if spec.name == "python"), "")
    if wanted.pins and not python:
        raise LockfileError("No Python is among the packages, and pip's need one (expected conda's `python`)")
    wheels = [find_wheel(pin.name, pin.version, python, world) for pin in wanted.pins]
    return Resolved(
        listing=Listing(packages=packages, pip=sorted_wheels([*wanted.pip, *wheels])),
        unlisted=tuple(row.file for row in unlisted),
    )


def _by_channel(wanted: ExactEnvironment) -> list[tuple[ListedChannel, list[ExactSpec]]]:
    """Order the channels: those of the file first, and which packages each is asked for."""
    channels = {channel.name: channel for channel in wanted.channels}
    for spec in wanted.specs:
        if spec.channel is not None:
            channels.setdefault(spec.channel.name, spec.channel)
    general = {channel.name for channel in wanted.channels}
    rows = []
    for name, channel in channels.items():
        specs = [
            spec
            for spec in wanted.specs
            if (spec.channel.name == name if spec.channel is not None else name in general)
        ]
        rows.append((channel, specs))
    homeless = [spec.name for spec in wanted.specs if spec.channel is None and not general]
    if homeless:
        raise LockfileError(f"The file names no channel for {named(homeless)} (expected `channels:`)")
    return rows


def _indexed(
    channel: ListedChannel, folder: str, specs: list[ExactSpec], world: World, asked: list[str]
) -> Mapping[str, RepodataRow]:
    hints = {source_name(channel.name): public_url(channel.url)}
    files = {file for spec in specs for file in spec.files}
    for base in CondaLocator(world.conda, hints, offline=world.machine.offline).addresses(channel.name):
        try:
            return find_packages(base, folder, files, world.transport)
        except MissingArtifactError:
            continue  # many channels have no folder for a platform
        except EnvcapError as error:
            asked.append(f"{channel.name}/{folder}: {error.message}")
    return {}


def _row(
    spec: ExactSpec, channel: ListedChannel, folder: str, indexed: Mapping[str, RepodataRow]
) -> ListedPackage | None:
    file = next((file for file in spec.files if file in indexed), "")
    if not file:
        return None
    return _package(file, channel, folder, indexed[file].md5, indexed[file].sha256)


def _by_name(
    wanted: ExactEnvironment, found: Mapping[str, ListedPackage], subdir: str, world: World, asked: list[str]
) -> list[ListedPackage]:
    """Fetch what no index lists by its name, from channels that answer: a dead one would be waited for each time."""
    left = [spec for spec in wanted.specs if spec.name not in found]
    is_worth_it = len(left) <= MOST_UNLISTED and (not asked or world.machine.offline)
    rows = {spec.name: row for spec in left if is_worth_it and (row := _first(spec, wanted, subdir, world))}
    lost = [spec.files[0].removesuffix(".conda") for spec in left if spec.name not in rows]
    if lost:
        names = ", ".join(channel.name for channel, _ in _by_channel(wanted))
        more = f" and {len(asked) - 1} more like it" if len(asked) > 1 else ""
        raise MissingArtifactError(
            f"Can't find {named(lost)}: not in the channels {names}{f' ({asked[0]}{more})' if asked else ''}",
            hint="configure the channel in .condarc or CONDA_CHANNELS, or put the archives into a package cache",
        )
    return list(rows.values())


def _first(spec: ExactSpec, wanted: ExactEnvironment, subdir: str, world: World) -> ListedPackage | None:
    for channel in [spec.channel] if spec.channel is not None else wanted.channels:
        for folder in (subdir, _NOARCH):
            for file in spec.files:
                if (row := _fetched(channel, folder, file, world)) is not None:
                    return row
    return None


def _fetched(channel: ListedChannel, folder: str, file: str, world: World) -> ListedPackage | None:
    row = _package(file, channel, folder, "", "")
    record = CondaRecord(
        name=file, version="", build="", channel=row.channel, channel_url=public_url(row.channel_url),
        subdir=folder, file=file, md5="", sha256="", directory="",
    )  # fmt: skip
    try:
        digest, _ = fetch_conda(record, world, why="no channel lists it", trusted=False)
    except MissingArtifactError:
        return None
    return _package(file, channel, folder, "", digest.hex)


def _package(file: str, channel: ListedChannel, folder: str, md5: str, sha256: str) -> ListedPackage:
    return ListedPackage(
        channel=channel.name, channel_url=channel.url, subdir=folder, file=file, md5=md5, sha256=sha256
    )

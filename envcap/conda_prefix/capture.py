"""Conda packages that no channel has any more, or never had: what a rebuild needs of them is kept with the lock.

The archive itself, where this machine has it; else one made of the installed files (`envcap.lock.conda_archive`). Where
the record says enough of the lost archive, the image is the same in each case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from envcap.conda.channel import archive_stem, source_name
from envcap.conda_prefix.complete import (
    caches_of,
    complete_from_archive,
    complete_from_kept,
    complete_from_lists,
    fetch_conda,
    lack_of,
)
from envcap.conda_prefix.links import know_links
from envcap.environment import CondaRecord, Environment
from envcap.errors import MissingArtifactError
from envcap.few import few
from envcap.finding import Finding
from envcap.lock.conda import LockedConda, is_complete, row_of
from envcap.lock.conda_archive import write_conda_archive
from envcap.sources.conda_locator import CondaLocator
from envcap.sources.conda_presence import UNREACHED, ChannelPresence
from envcap.world import World

_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedConda:
    """A conda environment whose packages can all be rebuilt.

    Attributes:
        environment: The scan, each record complete.
        kept: The sha256 of the archives for `blobs/`; they lie in the store.
        findings: What was kept, and why.
        edited: Package by path of the files that were edited, where nothing but them is left of the package.
    """

    environment: Environment
    kept: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    edited: Mapping[str, str] = field(default_factory=dict)


def capture_conda(
    environment: Environment, world: World, step: Callable[[str, int, int], None], *, ask: bool = True
) -> CapturedConda:
    """Complete the records, and keep the archives that no channel has.

    Offline no server is asked, and each is taken to have what a record names.

    Args:
        environment: The scan.
        world: This machine.
        step: Shows progress.
        ask: Whether to ask channels for what the records pin; if not, they are taken to have it.

    Raises:
        ArchiveError: An archive is hostile or damaged.
        BuildError: A file can't be read, or a package has more than 4 GiB.
    """
    if not environment.conda:
        return CapturedConda(environment=environment)
    lost: dict[str, str] = {}
    records: list[CondaRecord] = []
    for done, record in enumerate(complete_from_lists(environment.conda, world)):
        step(record.name, done, len(environment.conda))
        try:
            whole = is_complete(record)
            records.append(record if whole else complete_from_archive(record, environment, world))
        except MissingArtifactError:
            archive = "the archive with its MD5" if record.md5 else "the archive"
            who = "no server was asked (offline)" if world.machine.offline else f"nobody has {archive}"
            lost[record.name] = f"its record has {lack_of(record)}, and {who}"
            records.append(record)
    there = [record for record in records if record.name not in lost and (record.files or not record.paths)]
    lost |= _ask_channels(there, world) if ask else {}
    records = _with_links(records, lost, environment, world)
    findings: list[Finding] = []
    edited: dict[str, str] = {}
    final = []
    for done, record in enumerate(records):
        if record.name not in lost or not record.files:
            final.append(record)
            continue
        step(f"{record.name} (kept)", done, len(records))
        kept, unproved = _keep(record, environment, world)
        final.append(kept)
        edited |= dict.fromkeys(unproved, record.name)
        findings += _unproved(kept, unproved)
    captured = [record for record in final if record.captured]
    return CapturedConda(
        environment=replace(environment, conda=tuple(final)),
        kept=tuple(record.made_sha256 or record.sha256 for record in captured),
        findings=(*_findings(captured, lost), *findings),
        edited=edited,
    )


def edited_by_hand(captured: CapturedConda, locked: LockedConda) -> dict[str, str]:
    """Give the files of conda packages that were edited since they were installed: package by path."""
    patched = {
        patch.path: package.name
        for package in locked.packages
        for patch in package.patches
        if patch.change == "edited" and patch.sha256
    }
    return {**captured.edited, **patched}


def _ask_channels(records: Sequence[CondaRecord], world: World) -> dict[str, str]:
    hints: dict[str, str] = {}
    for record in records:
        # As a rebuild elsewhere may: what a record names on this machine only is nobody else's to ask.
        if record.channel_url.startswith("https://"):
            hints.setdefault(source_name(record.channel), record.channel_url)
    channels = CondaLocator(world.conda, hints, offline=world.machine.offline)
    presence = ChannelPresence(channels, world.session, world.store.actions, now=world.machine.now)
    return presence.find_lost(records)


def _with_links(
    records: list[CondaRecord], lost: Mapping[str, str], environment: Environment, world: World
) -> list[CondaRecord]:
    """Say of the links of packages that are to be kept where they led, as far as their records prove it."""
    if not lost:
        return records
    here = replace(world, machine=replace(world.machine, offline=True))
    known = know_links(replace(environment, conda=tuple(records)), here).conda
    return [row if row.name in lost else record for record, row in zip(records, known, strict=True)]


def _keep(record: CondaRecord, environment: Environment, world: World) -> tuple[CondaRecord, tuple[str, ...]]:
    """Keep a package: its archive if this machine has it, else its files."""
    here = replace(world, machine=replace(world.machine, offline=True))
    try:
        whole = record if is_complete(record) else complete_from_archive(record, environment, here)
        digest, _ = fetch_conda(whole, here, why="", trusted=True)
        if digest.hex == whole.sha256:
            return replace(whole, captured="archive"), ()
    except MissingArtifactError:
        pass
    with world.store.blobs.writer() as writer:
        unproved = write_conda_archive(
            record,
            environment,
            unpacked=_unpacked(record, caches_of(record, world)),
            scratch=world.store.root / "tmp",
            write=writer.write,
        )
        size = writer.size
        digest = writer.commit()
    named = record if record.sha256 and record.size >= 0 else _named_by(record, digest.hex, size)
    row = row_of(replace(named, captured="files", made_sha256=digest.hex, made_size=size))
    return complete_from_kept(record, row, environment, world), unproved


def _named_by(record: CondaRecord, sha256: str, size: int) -> CondaRecord:
    """Say of a package what is true of the archive that was made of it, where its record says too little."""
    return replace(record, file=f"{archive_stem(record.file)}.conda", md5="", sha256=sha256, size=size)


def _unpacked(record: CondaRecord, caches: Sequence[Path]) -> list[Path]:
    folders = (cache / archive_stem(record.file) for cache in caches)
    return [folder for folder in folders if folder.is_dir()]


def _findings(captured: Sequence[CondaRecord], lost: Mapping[str, str]) -> list[Finding]:
    found = []
    for kind, how in (("archive", "as the archive that this machine has"), ("files", "made of the installed files")):
        rows = [record for record in captured if record.captured == kind]
        if rows:
            named = few([f"{row.name} {row.version} ({row.channel}: {lost[row.name]})" for row in rows], _SHOWN)
            count = f"{len(rows)} conda package{'' if len(rows) == 1 else 's'} that no channel gives"
            message = f"{count} {'is' if len(rows) == 1 else 'are'} kept with the lock, {how}: {named}"
            if any(UNREACHED in lost[row.name] for row in rows):
                message += "; take the snapshot again once it answers, or with `--offline` to take its word for it"
            found.append(Finding(code=f"conda-{kind}-kept", message=message))
    return found


def _unproved(record: CondaRecord, paths: Sequence[str]) -> list[Finding]:
    if not paths:
        return []
    message = (
        f"Edited since conda installed {record.name}, whose archive nobody has: {few(paths, _SHOWN)} (kept as it is)"
    )
    return [Finding(code="conda-files-edited", message=message, path=paths[0])]

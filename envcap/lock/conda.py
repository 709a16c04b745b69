"""The `[[conda]]` rows of a lock: each live file proved by the hash that its package has for it, or kept as a patch.

The live prefix is taken out of a file that holds it; if that gives the archive's bytes, the file is the archive's.
What a record doesn't say (old ones have no hashes) is read from the archive itself: see `complete_record`.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from envcap.build.conda_content import restore_original
from envcap.build.conda_live import edited_content, live_entry_point, read_live
from envcap.conda.channel import SUBDIRS, hint_of, source_name
from envcap.conda.paths import ENTRY_POINT, HARDLINK, SOFTLINK
from envcap.digest import Digest
from envcap.environment import CondaPath, CondaRecord, Environment, InstalledFile
from envcap.errors import ScanError
from envcap.few import few
from envcap.finding import Finding
from envcap.lock.conda_unrun import unrun_findings
from envcap.lock.patches import KeptContent
from envcap.lockfile.model import NO_INTERPRETER, CapturedFile, CondaPackage, Interpreter, Patch, Source
from envcap.recipe import CONDA_ROOT

_SHOWN = 3
_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedConda:
    """The `[[conda]]` rows, and what must be kept beside them.

    Attributes:
        packages: Sorted by name.
        sources: A row for each channel.
        kept: Bytes for `blobs/`, by sha256.
        findings: What the user should know.
    """

    packages: tuple[CondaPackage, ...] = ()
    sources: tuple[Source, ...] = ()
    kept: tuple[KeptContent, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def kept_files(self) -> tuple[CapturedFile, ...]:
        """The edited files, in the words of files that are kept for nobody: what is looked through for secrets."""
        patches = (patch for package in self.packages for patch in package.patches if patch.sha256)
        return tuple(CapturedFile(path=row.path, sha256=row.sha256, size=row.size) for row in patches)


def lock_conda(environment: Environment, *, alias: str = "", given: Collection[str] = ()) -> LockedConda:
    """Lock the conda packages of an environment whose records are complete.

    A package none of whose files are left is left out.

    Args:
        environment: The scan.
        alias: What this machine's channel names are relative to: a channel there needs no hint.
        given: Names of the variables that the image has.

    Raises:
        BuildError: A file can't be read.
    """
    packages: list[CondaPackage] = []
    kept: list[KeptContent] = []
    findings: list[Finding] = []
    there = [record for record in environment.conda if record.files or not record.paths]
    # Reading and hashing let go of the GIL.
    with ThreadPoolExecutor(_THREADS) as pool:
        compared = list(pool.map(lambda record: _patches(record, environment), there))
    for record, (patches, contents) in zip(there, compared, strict=True):
        packages.append(row_of(record, patches))
        kept += contents
        findings += _edits(record, patches)
    for record in environment.conda:
        if record not in there:
            message = f"conda's {record.name} {record.version} has no file left: it is not in the image"
            findings.append(Finding(code="conda-package-gone", message=message))
    return LockedConda(
        packages=tuple(packages),
        sources=_sources(there, alias),
        kept=tuple(kept),
        findings=(*findings, *unrun_findings(environment, given=given)),
    )


def lock_conda_interpreter(environment: Environment) -> Interpreter:
    """Lock the interpreter of a conda environment, if it has one: its package is one of the rows.

    Raises:
        ScanError: No package has it.
    """
    if not environment.has_python:
        return NO_INTERPRETER
    facts = environment.interpreter
    prefix = os.path.realpath(environment.prefix)
    path = os.path.relpath(os.path.realpath(facts.executable), prefix)
    if not any(file.path == path for record in environment.conda for file in record.files):
        raise ScanError(
            f"No conda package owns the environment's interpreter {path} (expected its record in conda-meta)",
            hint="install Python anew into the environment with `--force-reinstall`",
        )
    return Interpreter(
        implementation=facts.implementation,
        version=facts.version,
        build=facts.build,
        soabi=facts.soabi,
        origin="conda",
        home=CONDA_ROOT,
    )


def conda_platform(environment: Environment) -> str:
    """Name the platform of conda's packages, such as `linux/amd64`.

    Raises:
        ScanError: They have none that an image can have, or several.
    """
    subdirs = sorted({record.subdir for record in environment.conda} - {"noarch"})
    platforms = {subdir: platform for platform, subdir in SUBDIRS.items()}
    if len(subdirs) != 1 or subdirs[0] not in platforms:
        raise ScanError(
            f"The environment's conda packages are for {' and '.join(subdirs) or 'no platform at all'} "
            f"(expected {' or '.join(sorted(platforms))})",
            hint="take the snapshot of an environment for Linux that has Python, or a package for one platform",
        )
    return platforms[subdirs[0]]


def check_without_python(environment: Environment) -> None:
    """Refuse a conda environment without Python that no image can hold, or that makes no sense.

    Raises:
        ScanError: It has no packages, is for another platform, or holds a package whose place Python's version decides.
    """
    if not environment.conda:
        raise ScanError(
            "The environment holds neither Python nor packages (expected records in conda-meta)",
            hint="install something into it, or name another environment",
        )
    conda_platform(environment)
    for record in environment.conda:
        if record.noarch == "python":
            raise ScanError(
                f"conda's {record.name} {record.version} is for Python, and the environment has none (expected python)",
                hint=f"install `python` into it, or remove `{record.name}`",
            )


def is_complete(record: CondaRecord) -> bool:
    """Tell whether a record pins its archive and proves its files by itself."""
    return bool(record.sha256) and record.size >= 0 and proves_files(record)


def proves_files(record: CondaRecord) -> bool:
    """Tell whether a record proves its files by itself."""
    return not any(row.kind == HARDLINK and (not row.sha256 or is_moved(row)) for row in record.paths)


def is_moved(row: CondaPath) -> bool:
    """Tell whether a file holds the prefix although its record does not say so.

    mamba's never do: their hash in the prefix is another than in the archive.
    """
    return row.kind == HARDLINK and row.installed_sha256 not in {"", row.sha256} and not row.placeholder


def complete_record(record: CondaRecord, *, sha256: str, size: int, paths: Iterable[CondaPath]) -> CondaRecord:
    """Complete a record from its archive: the archive's files count, and those that it lacks are nobody's of it."""
    rows = {row.path: row for row in paths}
    lost = tuple(path for path in record.lost if path in rows)
    files = tuple(file for file in record.files if file.path in rows)
    known = {*lost, *(file.path for file in files)}
    missing = tuple(path for path, row in sorted(rows.items()) if path not in known and row.kind != "directory")
    return replace(
        record,
        sha256=sha256,
        size=size,
        paths=tuple(rows[path] for path in sorted(rows)),
        files=files,
        lost=lost,
        missing=missing,
    )


def row_of(record: CondaRecord, patches: tuple[Patch, ...] = ()) -> CondaPackage:
    """Write the row of a complete record."""
    return CondaPackage(
        name=record.name,
        version=record.version,
        build=record.build,
        build_number=record.build_number,
        channel=record.channel,
        subdir=record.subdir,
        file=record.file,
        size=record.size,
        sha256=record.sha256,
        md5=record.md5,
        captured=record.captured,
        made_sha256=record.made_sha256,
        made_size=record.made_size,
        noarch=record.noarch,
        requested=record.requested,
        depends=record.depends,
        constrains=record.constrains,
        patches=patches,
    )


def _patches(record: CondaRecord, environment: Environment) -> tuple[tuple[Patch, ...], list[KeptContent]]:
    rows = {row.path: row for row in record.paths}
    found = {path: Patch(path=path, change="deleted") for path in (*record.missing, *record.lost)}
    kept: list[KeptContent] = []
    for file in record.files:
        if _is_archives(rows[file.path], file, environment):
            continue
        if file.target:
            found[file.path] = Patch(path=file.path, change="edited", target=file.target)
            continue
        content = edited_content(file, environment)
        sha256 = Digest.of_chunks(content.chunks()).hex
        kept.append((sha256, content))
        found[file.path] = Patch(
            path=file.path,
            change="edited",
            sha256=sha256,
            size=content.size,
            executable=bool(file.mode & 0o111),
        )
    return tuple(found[path] for path in sorted(found)), kept


def _is_archives(row: CondaPath, file: InstalledFile, environment: Environment) -> bool:
    """Tell whether a live file is its package's. A symlink's target is asked only of odd ones: `conda_prefix.links`."""
    if file.target or row.kind == SOFTLINK:
        return bool(file.target) and row.kind == SOFTLINK and row.target in {None, file.target}
    if row.made_executable:
        return False
    if row.kind == ENTRY_POINT:
        return live_entry_point(read_live(file, environment), row.path) is not None
    if not row.placeholder:
        return file.sha256 == row.sha256
    return restore_original(read_live(file, environment), row, environment.baked_prefixes) is not None


def _edits(record: CondaRecord, patches: tuple[Patch, ...]) -> list[Finding]:
    unknown = {row.path for row in record.paths if row.target == ""}
    edited = [patch.path for patch in patches if patch.change == "edited" and patch.path not in unknown]
    links = [patch for patch in patches if patch.target and patch.path in unknown]
    return [*_edited(record, edited), *(_unproved(record, patch) for patch in links)]


def _unproved(record: CondaRecord, patch: Patch) -> Finding:
    message = (
        f"Whether conda's {record.name} had {patch.path} lead to {patch.target} is unknown, for nobody has "
        f"{record.file}: it is locked as it is"
    )
    return Finding(code="conda-link-unproved", message=message, path=patch.path)


def _edited(record: CondaRecord, edited: Sequence[str]) -> list[Finding]:
    if not edited:
        return []
    message = f"Edited since conda installed {record.name}: {few(edited, _SHOWN)} (kept with the lock)"
    return [Finding(code="conda-files-edited", message=message, path=edited[0])]


def _sources(records: Iterable[CondaRecord], alias: str) -> tuple[Source, ...]:
    """Name each channel once, with a hint where it is not this machine's default."""
    found: dict[str, Source] = {}
    for record in records:
        hint = hint_of(record.channel_url)
        if alias and hint == f"{alias}/{record.channel}":
            hint = ""
        name = source_name(record.channel)
        known = found.get(name)
        # Two hosts may serve one channel: the first by name counts, whatever the order of records.
        url = min(filter(None, (hint, known.url if known else "")), default="")
        found[name] = Source(name=name, kind="conda-channel", url=url)
    return tuple(found[name] for name in sorted(found))

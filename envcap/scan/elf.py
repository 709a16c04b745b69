"""Finds what the ELF files of an environment and its interpreter ask of the operating system.

Needs that the environment answers itself are subtracted: by a file's name or DT_SONAME, wherever it lies, since
packages preload their libraries (`numpy.libs`, `nvidia/*/lib`). The interpreter's own needs are different: only what
comes with the interpreter answers them, never a library that some wheel happens to ship.
"""

import contextlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from envcap.cpu import LEVELS, highest_level
from envcap.elf_reader import ElfFile, ReadAt, read_elf
from envcap.environment import ElfFacts, ElfNeed, InterpreterFacts
from envcap.errors import ScanError
from envcap.finding import Finding, FindingLevel

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
# The driver's libraries come with the host's kernel driver and are put into the container by its runtime:
# libnvidia-container, `src/nvc_info.c`. libcudart and its like are ordinary libraries.
_DRIVER = re.compile(
    r"(?:libcuda|libcudadebugger|libnvcuvid|libnvoptix|libnvidia-[a-z0-9-]+|lib(?:EGL|GLX|GLESv1_CM|GLESv2)_nvidia"
    r"|libvdpau_nvidia)\.so(?:\.\d+)*\Z"
)
_GLIBC = re.compile(r"GLIBC_(\d+(?:\.\d+)+)\Z")
_GLIBCXX = re.compile(r"GLIBCXX_(\d+(?:\.\d+)+)\Z")
# What lies in /usr/lib is the operating system's, and in /usr/local/lib anybody's: not the interpreter's own.
_SHARED_PREFIXES = frozenset((Path("/"), Path("/usr"), Path("/usr/local")))
_MAX_BUNDLED = 500

Read = Callable[[str, ReadAt], ElfFile]
"""Reads one file, given its sha256 (or an empty string) and its bytes: a caller may remember answers by hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfSource:
    """An ELF file to read.

    Attributes:
        path: Its name in findings and needs: relative to the prefix, or below `python/`.
        location: Where it lies.
        sha256: Hash of its content where known, for memory between scans; else empty.
    """

    path: str
    location: str
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterElfs:
    """The interpreter's ELF files.

    Attributes:
        sources: Executable first, then libpython and lib-dynload.
        bundled: Folder of the libraries that came with it (a standalone build's `lib`), or None where that folder is
            not its own.
        base_prefix: Paths of the interpreter are shown relative to it, as `python/...`.
    """

    sources: tuple[ElfSource, ...]
    bundled: Path | None
    base_prefix: Path


def read_elf_facts(
    files: Sequence[ElfSource],
    interpreter: InterpreterElfs,
    *,
    aliases: Iterable[str] = (),
    read: Read = lambda _, read_at: read_elf(read_at),
) -> tuple[ElfFacts, tuple[Finding, ...]]:
    """Join the needs of all ELF files.

    Args:
        files: The environment's ELF files.
        interpreter: The interpreter's.
        aliases: Paths of symlinks in the environment: `libx.so.1` may be only a link to `libx.so.1.2`.
        read: Reads one file.

    Returns:
        The facts, and the findings `elf-unreadable`, `elf-foreign` (of another machine, such as a debugger's 32-bit
        helper: the interpreter can't load it), `host-driver-library` and `cpu-level`.
    """
    findings: list[Finding] = []
    own = _read_interpreter(interpreter, read, findings)
    everything = _read_all(files, read, findings)
    machine = next(iter(own.values())).machine if own else _commonest(everything)
    theirs = {path: elf for path, elf in everything.items() if elf.machine == machine}
    for path in sorted(everything.keys() - theirs.keys()):
        message = f"It is for another machine ({everything[path].machine}, not {machine}): its needs are not counted"
        findings.append(Finding(code="elf-foreign", message=message, path=path, level=FindingLevel.NOTE))
    by_interpreter = _names(own)
    by_anyone = by_interpreter | _names(theirs) | {alias.rpartition("/")[2] for alias in aliases}
    needs = _Needs()
    needs.add(own, by_interpreter)
    needs.add(theirs, by_anyone)
    sonames = sorted(needs.by_soname)
    findings.extend(_driver_finding(soname, needs.by_soname[soname]) for soname in sonames if _DRIVER.match(soname))
    facts = ElfFacts(
        needs=tuple(
            ElfNeed(soname=soname, needed_by=tuple(sorted(needs.by_soname[soname])))
            for soname in sonames
            if not _DRIVER.match(soname)
        ),
        glibc=_highest(needs.versions, _GLIBC),
        glibcxx=_highest(needs.versions, _GLIBCXX),
        files=len(own) + len(theirs),
        cpu=highest_level(elf.cpu for elf in (*own.values(), *theirs.values())),
    )
    findings += _cpu_findings({**own, **theirs}, facts.cpu)
    return facts, tuple(findings)


def find_interpreter_elfs(interpreter: InterpreterFacts) -> InterpreterElfs:
    """List the interpreter's ELF files by the places that its probe named."""
    base = interpreter.base_prefix
    places = [interpreter.executable]
    name = interpreter.config.get("INSTSONAME", "")
    if ".so" in name and "/" not in name:
        # A standalone build was moved since it was made: its LIBDIR names a folder of the machine that built it.
        places += [Path(interpreter.config.get("LIBDIR", "/nonexistent")) / name, base / "lib" / name]
    folder = Path(interpreter.paths.get("platstdlib") or interpreter.paths["stdlib"]) / "lib-dynload"
    with contextlib.suppress(OSError):  # a static build has no such folder
        places += sorted(path for path in folder.iterdir() if path.suffix == ".so")
    found: dict[str, ElfSource] = {}
    for place in places:
        if _is_file(place):
            found.setdefault(os.path.realpath(place), _interpreter_source(place, base))
    return InterpreterElfs(
        sources=tuple(found.values()), bundled=None if base in _SHARED_PREFIXES else base / "lib", base_prefix=base
    )


@dataclass(slots=True)
class _Needs:
    """Sonames wanted from outside with who wants them, and the symbol versions wanted of libraries from outside."""

    by_soname: dict[str, set[str]] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)

    def add(self, elfs: Mapping[str, ElfFile], provided: AbstractSet[str]) -> None:
        for path, elf in elfs.items():
            for soname in set(elf.needed) - provided:
                self.by_soname.setdefault(soname, set()).add(path)
            self.versions.update(version for library, version in elf.versions if library not in provided)


def _read_interpreter(interpreter: InterpreterElfs, read: Read, findings: list[Finding]) -> dict[str, ElfFile]:
    """Read the interpreter's files, and the bundled libraries that they need, and those that these need."""
    elfs = _read_all(interpreter.sources, read, findings)
    pending = [soname for elf in elfs.values() for soname in elf.needed]
    seen: set[str] = set()
    while interpreter.bundled is not None and pending and len(seen) < _MAX_BUNDLED:
        soname = pending.pop()
        place = interpreter.bundled / soname
        if soname not in seen and soname not in _names(elfs) and "/" not in soname and _is_file(place):
            more = _read_all([_interpreter_source(place, interpreter.base_prefix)], read, findings)
            elfs.update(more)
            pending += [needed for elf in more.values() for needed in elf.needed]
        seen.add(soname)
    return elfs


def _read_all(sources: Iterable[ElfSource], read: Read, findings: list[Finding]) -> dict[str, ElfFile]:
    elfs: dict[str, ElfFile] = {}
    for source in sources:
        try:
            elfs[source.path] = _read_one(source, read)
        except (OSError, ScanError) as error:
            reason = error.message if isinstance(error, ScanError) else error.strerror
            message = f"What it needs can't be told: {reason}"
            findings.append(Finding(code="elf-unreadable", message=message, path=source.path))
    return elfs


def _read_one(source: ElfSource, read: Read) -> ElfFile:
    descriptor = os.open(source.location, _FLAGS)
    try:
        return read(source.sha256, lambda offset, size: _read_at(descriptor, offset, size))
    finally:
        os.close(descriptor)


def _read_at(descriptor: int, offset: int, size: int) -> bytes:
    # An offset beyond what the kernel can count is just beyond the end.
    return os.pread(descriptor, size, offset) if 0 <= offset <= sys.maxsize - size else b""


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:  # a folder that this user may not enter
        return False


def _interpreter_source(place: Path, base: Path) -> ElfSource:
    shown = str(place.relative_to(base)) if place.is_relative_to(base) else place.name
    return ElfSource(path=f"python/{shown}", location=str(place))


def _names(elfs: Mapping[str, ElfFile]) -> set[str]:
    """Names under which files answer a DT_NEEDED: their own and their DT_SONAME."""
    return {path.rpartition("/")[2] for path in elfs} | {elf.soname for elf in elfs.values() if elf.soname}


def _commonest(elfs: Mapping[str, ElfFile]) -> str:
    counts = Counter(elf.machine for elf in elfs.values())
    return min(counts, key=lambda machine: (-counts[machine], machine), default="")


def _driver_finding(soname: str, needed_by: AbstractSet[str]) -> Finding:
    first = min(needed_by)
    message = f"{soname} comes with the driver of the host and never with the image (needed by {len(needed_by)} files)"
    return Finding(code="host-driver-library", message=message, path=first, level=FindingLevel.NOTE)


def _cpu_findings(elfs: Mapping[str, ElfFile], level: str) -> list[Finding]:
    """Name the files that need the highest level, so that one knows what to install anew for another machine."""
    paths = sorted(path for path, elf in elfs.items() if level and elf.cpu == level)
    if not paths:
        return []
    name = paths[0].rpartition("/")[2]
    who = f"{name} and {len(paths) - 1} more need" if len(paths) > 1 else f"{name} needs"
    weight = FindingLevel.NOTE if level == LEVELS[0] else FindingLevel.WARNING  # every server since 2009 has the lowest
    message = f"{who} a CPU of level {level} and can't run on another"
    return [Finding(code="cpu-level", message=message, path=paths[0], level=weight)]


def _highest(versions: Iterable[str], pattern: re.Pattern[str]) -> str:
    matches = (match[1] for match in map(pattern.match, versions) if match)
    return max(matches, key=lambda text: tuple(map(int, text.split("."))), default="")

"""Locking the OS packages of an environment: what its binaries need, and what makes its image livable."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from envcap.environment import ElfFacts, ElfNeed
from envcap.errors import EnvcapError, SystemPackageError
from envcap.finding import Finding
from envcap.lock.debian_base import BASE, INSTALLED, interpreter_packages
from envcap.lock.debian_closure import add_whole
from envcap.lock.debian_deb import ReadDeb
from envcap.lock.debian_installed import prefer_installed, version_findings
from envcap.lock.debian_need import NeedResolver
from envcap.lock.debian_rows import KIND, row_of, row_of_release, source_of
from envcap.lock.debian_selection import Selection, StalePinError
from envcap.lockfile.model import Source, SystemPackage
from envcap.sources.debian_archive import DebianSuite
from envcap.sources.debian_index import DebianPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNeeds:
    """What an environment asks of the operating system.

    Attributes:
        elf: What its binaries load.
        origin: Of the interpreter: `debian`, `standalone` or `captured`.
        version: Full version of the interpreter.
        requested: Packages that the user asked for (`--system`).
        site_packages: Cut off the paths in reasons.
        installed: Name and version of packages that are installed live and bring modules: wanted in that version.
    """

    elf: ElfFacts = field(default_factory=ElfFacts)
    origin: str = "captured"
    version: str = ""
    requested: tuple[str, ...] = ()
    site_packages: str = ""
    installed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """OS packages of an earlier lock of the same environment.

    Attributes:
        packages: Its `[[system]]` rows.
        sources: Its `[[sources]]` rows.
    """

    packages: tuple[SystemPackage, ...] = ()
    sources: tuple[Source, ...] = ()


NO_PINS = Pins()

_THREADS = 4
"""Packages fetched and unpacked at a time: two to wait for the mirror, two to keep the cores busy."""


def lock_system_packages(
    needs: SystemNeeds, *, suite: DebianSuite, platform: str, read_deb: ReadDeb, pins: Pins = NO_PINS
) -> tuple[tuple[SystemPackage, ...], tuple[Source, ...], tuple[Finding, ...]]:
    """Pin the OS packages that an environment needs.

    Args:
        needs: What it needs.
        suite: From `choose_suite`.
        platform: `linux/amd64`, `linux/arm64`: of the suite's architecture.
        read_deb: Tells what a .deb holds; called for the packages that are chosen.
        pins: Versions to keep while they serve; none with `--refresh-system`.

    Returns:
        Packages by name, the sources that they come from by name, and findings.

    Raises:
        SystemPackageError: The suite can't give what is needed.
        SourceError: A package can't be fetched.
    """
    findings: list[Finding] = list(suite.findings)
    rows, kept = _usable_pins(suite, platform, pins, read_deb, findings)
    kept = prefer_installed(suite, needs.installed, kept)
    while True:
        selection = Selection(suite, kept)
        try:
            resolved = _resolve(selection, needs, read_deb, platform)
        except StalePinError as error:
            # Siblings of one source are pinned to each other's versions: they go together.
            stale = kept[error.name].source
            kept = {name: package for name, package in kept.items() if package.source != stale}
            if error.name in rows:  # a version that is merely preferred is reported where another one is taken
                findings.append(
                    Finding(code="pin-dropped", message=f"The pin of Debian's {stale} was renewed: {error}")
                )
            continue
        findings += version_findings(needs.installed, selection.chosen)
        return (*_write(selection, rows, platform, pins.sources), (*findings, *resolved))


def _resolve(selection: Selection, needs: SystemNeeds, read_deb: ReadDeb, platform: str) -> list[Finding]:
    for name in BASE:
        add_whole(selection, name, "base")
    for name in interpreter_packages(needs.origin, needs.version):
        add_whole(selection, name, "interpreter")
    for name, _ in sorted(needs.installed):
        add_whole(selection, name, INSTALLED)
    for name in sorted(set(needs.requested)):
        add_whole(selection, name, "requested")
    # Fetched and unpacked many at a time; the resolver asks for each of them, one by one.
    chosen = [
        row_of_release(package, selection.suite.releases, platform=platform) for package in selection.chosen.values()
    ]
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        list(pool.map(read_deb, chosen if needs.elf.needs else ()))
    resolver = NeedResolver(selection, read_deb, platform=platform)
    for need in sorted(needs.elf.needs, key=lambda need: need.soname):
        resolver.add(_shorten(need, needs.site_packages))
    return sorted({*resolver.findings, *resolver.unknown()}, key=lambda finding: (finding.code, finding.message))


def _shorten(need: ElfNeed, site_packages: str) -> ElfNeed:
    prefix = f"{site_packages}/" if site_packages else ""
    return ElfNeed(soname=need.soname, needed_by=tuple(sorted(path.removeprefix(prefix) for path in need.needed_by)))


def _usable_pins(
    suite: DebianSuite, platform: str, pins: Pins, read_deb: ReadDeb, findings: list[Finding]
) -> tuple[dict[str, SystemPackage], dict[str, DebianPackage]]:
    """Return the earlier rows of this suite and platform by name, and each as the package that it is."""
    pockets = {release.suite for release in suite.releases}
    sources = {source.name: source for source in pins.sources if source.kind == KIND and source.suite in pockets}
    rows: dict[str, SystemPackage] = {}
    packages: dict[str, DebianPackage] = {}
    for row in pins.packages:
        if row.platform != platform or row.source not in sources:
            continue
        try:
            package = _describe_pin(row, suite, sources[row.source], read_deb)
        except EnvcapError as error:
            findings.append(
                Finding(code="pin-dropped", message=f"The pin of Debian's {row.name} was renewed: {error.message}")
            )
            continue
        rows[row.name], packages[row.name] = row, package
    return rows, packages


def _describe_pin(row: SystemPackage, suite: DebianSuite, source: Source, read_deb: ReadDeb) -> DebianPackage:
    """Describe a pinned package: from the index while it lists it, else from the .deb itself.

    Raises:
        EnvcapError: The .deb can't be had any more, or the index has other bytes for the same version.
    """
    for package in suite.versions(row.name):
        if package.sha256 == row.sha256:
            return package
        if package.version == row.version and package.architecture == row.architecture:
            raise SystemPackageError(f"{row.name} {row.version} is another file now")
    facts = read_deb(row)
    return DebianPackage(
        name=row.name,
        version=row.version,
        architecture=row.architecture,
        source=facts.source,
        pre_depends=facts.pre_depends,
        depends=facts.depends,
        file=row.file,
        size=row.size,
        sha256=row.sha256,
        suite=source.suite,
    )


def _write(
    selection: Selection, rows: Mapping[str, SystemPackage], platform: str, sources: Sequence[Source]
) -> tuple[tuple[SystemPackage, ...], tuple[Source, ...]]:
    """Write rows; a kept pin keeps its source, whose time is the one at which the snapshot archive has it."""
    current = {release.suite: source_of(release) for release in selection.suite.releases}
    known = {source.name: source for source in (*sources, *current.values())}
    packages = []
    for name, package in sorted(selection.chosen.items()):
        row = rows.get(name)
        source = row.source if row is not None and row.sha256 == package.sha256 else current[package.suite].name
        because = _reasons(selection.reasons[name])
        packages.append(row_of(package, platform=platform, source=source, because=because))
    used = {package.source for package in packages}
    return tuple(packages), tuple(known[name] for name in sorted(used))


def _reasons(reasons: set[str]) -> set[str]:
    """Leave out who depends on a package that is in every image: half of the lock would be about libc6."""
    return {reason for reason in reasons if not reason.startswith("dependency of ")} if "base" in reasons else reasons

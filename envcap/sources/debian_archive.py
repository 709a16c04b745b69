"""A Debian suite as resolving sees it: its pockets together, the suite, its updates, its security updates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from debian.debian_support import NativeVersion

from envcap.errors import MissingArtifactError, SourceError, SystemPackageError
from envcap.finding import Finding, FindingLevel
from envcap.sources import debian_contents, debian_index
from envcap.sources.debian_contents import LibraryContents, parse_contents
from envcap.sources.debian_download import open_index
from envcap.sources.debian_index import DebianPackage, PackageIndex, parse_packages
from envcap.sources.debian_release import IndexFile, Release, fetch_release, find_index
from envcap.sources.debian_settings import DebianMirrors
from envcap.sources.debian_signature import Runner
from envcap.sources.debian_table import IndexCache
from envcap.sources.debian_transport import Transport

POCKETS: Final = ("", "-updates", "-security")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianAccess:
    """What reading a mirror takes.

    Attributes:
        mirrors: The machine's mirrors.
        transport: Reads their files.
        cache: Keeps parsed indexes.
        run: Runs gpgv or sqv.
        now: Seconds since the epoch.
    """

    mirrors: DebianMirrors
    transport: Transport
    cache: IndexCache
    run: Runner
    now: int


class DebianSuite:
    """The packages of one suite for one architecture.

    Attributes:
        name: Codename, such as `bookworm`.
        architecture: `amd64` or `arm64`.
        releases: Release files of its pockets, the suite's own first.
        findings: What of it could not be taken for granted.
    """

    def __init__(
        self,
        name: str,
        architecture: str,
        *,
        pockets: tuple[tuple[Release, PackageIndex], ...],
        findings: tuple[Finding, ...] = (),
        read_contents: Callable[[], LibraryContents],
    ) -> None:
        self.name = name
        self.architecture = architecture
        self.releases = tuple(release for release, _ in pockets)
        self.findings = findings
        self._indexes = tuple(index for _, index in pockets)
        self._read_contents = read_contents
        self._contents: LibraryContents | None = None
        self._versions: dict[str, tuple[DebianPackage, ...]] = {}

    def versions(self, name: str) -> tuple[DebianPackage, ...]:
        """Return a package's versions over all pockets, highest first; of one version, the suite's own first."""
        if name not in self._versions:
            found = [package for index in self._indexes for package in index.packages(name)]
            found.sort(key=lambda package: compare_key(package.version), reverse=True)
            self._versions[name] = tuple(found)
        return self._versions[name]

    def providers(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the packages that provide a virtual one, with the version that they provide it in, or empty."""
        return tuple(sorted({row for index in self._indexes for row in index.providers(name)}))

    def library_packages(self, key: str) -> tuple[str, ...]:
        """Return the packages whose `library_key` is this, sorted."""
        return tuple(sorted({name for index in self._indexes for name in index.library_packages(key)}))

    def dependents(self, name: str) -> int:
        """Return how many dependencies of the suite name a package: what Debian itself builds against."""
        return self._indexes[0].dependents(name)

    def contents(self) -> LibraryContents:
        """Return the suite's shared libraries; fetched when first asked.

        Raises:
            SourceError: No mirror gives them.
        """
        if self._contents is None:
            self._contents = self._read_contents()
        return self._contents


def compare_key(version: str) -> NativeVersion:
    """Order a version as Debian does (policy §5.6.12).

    Raises:
        SystemPackageError: It is no Debian version.
    """
    try:
        # Never apt_pkg's, which python-debian takes where it is installed: one order on every machine.
        return NativeVersion(version)
    except ValueError as error:
        raise SystemPackageError(f"Unexpected Debian version {version[:60]!r}") from error


def open_suite(access: DebianAccess, suite: str, architecture: str) -> DebianSuite:
    """Open a suite with its updates and security updates.

    Args:
        access: The way to the mirrors.
        suite: Codename, such as `bookworm`.
        architecture: `amd64` or `arm64`; need not be this machine's.

    Raises:
        MissingArtifactError: No mirror has the suite.
        SourceError: A mirror fails, its signature is bad or its indexes are not what the Release file says.
        SystemPackageError: The suite has no such architecture.
    """
    pockets = []
    findings = list(access.mirrors.findings)
    for name in (suite + pocket for pocket in POCKETS):
        mirrors = access.mirrors.of_suite(name)
        try:
            release, found = fetch_release(access.transport, mirrors, name, run=access.run, now=access.now)
        except MissingArtifactError:
            if name == suite:
                raise
            findings.append(_pocket_missing(name, asked=bool(mirrors)))
            continue
        findings.extend(found)
        pockets.append((release, _read_packages(access, release, architecture)))
    main = pockets[0][0]
    return DebianSuite(
        suite,
        architecture,
        pockets=tuple(pockets),
        findings=tuple(findings),
        read_contents=lambda: _read_contents(access, main, architecture),
    )


def _pocket_missing(name: str, *, asked: bool) -> Finding:
    why = "no configured mirror has it" if asked else "no mirror for it is configured"
    return Finding(
        code="debian-pocket-missing",
        message=f"Debian {name} was not looked at: {why}",
        level=FindingLevel.NOTE if name.endswith("-updates") else FindingLevel.WARNING,
    )


def _read_packages(access: DebianAccess, release: Release, architecture: str) -> PackageIndex:
    base = f"main/binary-{architecture}/Packages"
    index = find_index(release, [f"{base}.xz", f"{base}.gz", base])
    data = _recall(access, debian_index.FORMAT, index, architecture)
    if data is None:
        with open_index(access.transport, release, index) as chunks:
            data = parse_packages(chunks, architecture=architecture, where=f"{release.suite} {index.path}")
        access.cache.put(_key(debian_index.FORMAT, index, architecture), data)
    return PackageIndex(release.suite, data)


def _read_contents(access: DebianAccess, release: Release, architecture: str) -> LibraryContents:
    base = f"main/Contents-{architecture}"
    try:
        index = find_index(release, [f"{base}.gz", f"{base}.xz", base])
    except SystemPackageError as error:
        raise SourceError(error.message, hint=error.hint) from error
    data = _recall(access, debian_contents.FORMAT, index, architecture)
    if data is None:
        with open_index(access.transport, release, index) as chunks:
            data = parse_contents(chunks, architecture=architecture)
        access.cache.put(_key(debian_contents.FORMAT, index, architecture), data)
    return LibraryContents(data)


def _recall(access: DebianAccess, kind: str, index: IndexFile, architecture: str) -> bytes | None:
    return access.cache.get(_key(kind, index, architecture))


def _key(kind: str, index: IndexFile, architecture: str) -> str:
    return f"{kind}:{architecture}:{index.sha256}"

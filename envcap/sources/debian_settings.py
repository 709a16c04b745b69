"""Which Debian mirrors this machine is set up for: apt's own configuration, or `ENVCAP_DEBIAN_MIRROR`.

envcap knows no mirror by itself: it asks the ones that the machine's owner chose. Read are deb822 `.sources`
files and one-line `.list` files (sources.list(5), deb822(5)). Only entries that look like a Debian archive
count, by the names of their suites and the component `main`; what passes for one here and isn't is seen
later by `Origin:` of its Release file. An entry of one suite serves the other suites, too: a Debian mirror
carries them all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.errors import SystemPackageError
from envcap.finding import Finding, FindingLevel
from envcap.secrets.urls import scrub_url

MIRROR_VARIABLE: Final = "ENVCAP_DEBIAN_MIRROR"
SNAPSHOT_VARIABLE: Final = "ENVCAP_DEBIAN_SNAPSHOT"
_SETTINGS_LIMIT: Final = 1 << 20
_SCHEMES: Final = ("http://", "https://", "file:/")
_CODENAMES: Final = "bullseye|bookworm|trixie|forky|duke|sid|stable|oldstable|oldoldstable|testing|unstable"
_SUITE: Final = re.compile(rf"(?:{_CODENAMES})(-updates|-security|/updates)?/?\Z")
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>.*)\Z")
_FIELD: Final = re.compile(r"(?P<name>[A-Za-z0-9-]+):[ \t]*(?P<value>.*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianMirror:
    """One place that carries a Debian archive.

    Attributes:
        uri: Base address without a trailing slash; may hold credentials, so it is shown through `scrub_url` only.
        keyrings: Files with the keys that its Release files may be signed with.
        key: An armoured key written into the settings themselves (`Signed-By` of deb822), or empty.
    """

    uri: str
    keyrings: tuple[Path, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianMirrors:
    """The mirrors of one machine, in the order of its settings.

    Attributes:
        main: Carry the suites and their `-updates`.
        security: Carry the `-security` suites.
        snapshot: Template of the snapshot archive with `@ARCHIVE@` and `@SNAPSHOTID@`, or empty.
        findings: What of the settings could not be used.
    """

    main: tuple[DebianMirror, ...]
    security: tuple[DebianMirror, ...] = ()
    snapshot: str = ""
    findings: tuple[Finding, ...] = ()

    def of_suite(self, suite: str) -> tuple[DebianMirror, ...]:
        """Tell which mirrors to ask for a suite such as `bookworm` or `bookworm-security`."""
        return self.security if suite.endswith("-security") else self.main


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def find_debian_mirrors(
    environ: Mapping[str, str],
    apt_root: Path = Path("/etc/apt"),
    keyring_folder: Path = Path("/usr/share/keyrings"),
) -> DebianMirrors:
    """Find the Debian mirrors of this machine.

    Args:
        environ: Environment variables; `ENVCAP_DEBIAN_MIRROR` (addresses with spaces between) comes before apt's
            settings, `ENVCAP_DEBIAN_SNAPSHOT` is the template of a snapshot archive.
        apt_root: apt's settings folder.
        keyring_folder: Where the package `debian-archive-keyring` puts its keys.

    Raises:
        SystemPackageError: No mirror is known.
    """
    keyrings = tuple(_default_keyrings(apt_root, keyring_folder))
    snapshot = environ.get(SNAPSHOT_VARIABLE, "").strip()
    if chosen := environ.get(MIRROR_VARIABLE, "").split():
        unusable = [uri for uri in chosen if not uri.startswith(_SCHEMES)]
        if unusable:
            raise SystemPackageError(
                f"Unexpected address in {MIRROR_VARIABLE} (expected http://, https:// or file:/): "
                f"{scrub_url(unusable[0])}",
                hint=f"set {MIRROR_VARIABLE} to the address of a folder that holds `dists` and `pool`",
            )
        mirrors = tuple(DebianMirror(uri=uri.rstrip("/"), keyrings=keyrings) for uri in dict.fromkeys(chosen))
        # Which of them carry the security suites is seen when they are asked.
        return DebianMirrors(main=mirrors, security=mirrors, snapshot=snapshot)
    main: dict[str, DebianMirror] = {}
    security: dict[str, DebianMirror] = {}
    findings: list[Finding] = []
    for entry in _read_entries(apt_root):
        kinds = {match[1] in ("-security", "/updates") for suite in entry.suites if (match := _SUITE.match(suite))}
        for uri in entry.uris if kinds and "main" in entry.components else ():
            if not uri.startswith(_SCHEMES):
                findings.append(_unsupported(uri))
                continue
            mirror = _make_mirror(uri, entry.signed_by, keyrings)
            for kind in sorted(kinds):
                (security if kind else main).setdefault(mirror.uri, mirror)
    if not main:
        raise SystemPackageError(
            f"No Debian mirror is known: none in {MIRROR_VARIABLE}, none in apt's settings",
            hint=f"set {MIRROR_VARIABLE} to the address of a Debian mirror",
        )
    return DebianMirrors(
        main=tuple(main.values()), security=tuple(security.values()), snapshot=snapshot, findings=tuple(findings)
    )


def _unsupported(uri: str) -> Finding:
    scheme = uri.partition(":")[0]
    return Finding(
        code="mirror-unsupported",
        message=f"apt's settings hold a Debian mirror that envcap can't read (`{scheme}:`); it was skipped",
        level=FindingLevel.NOTE,
    )


def _make_mirror(uri: str, signed_by: str, keyrings: tuple[Path, ...]) -> DebianMirror:
    uri = uri.rstrip("/")
    if "-----BEGIN" in signed_by:
        return DebianMirror(uri=uri, key=signed_by)
    named = tuple(Path(part) for part in re.split(r"[,\s]+", signed_by) if part.startswith("/"))
    # A fingerprint in place of a file restricts keys that apt trusts anyway: Debian's own are meant.
    return DebianMirror(uri=uri, keyrings=named or keyrings)


def _default_keyrings(apt_root: Path, keyring_folder: Path) -> Iterator[Path]:
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        if (path := keyring_folder / name).is_file():
            yield path
            return
    folder = apt_root / "trusted.gpg.d"
    yield from sorted(path for pattern in ("*.gpg", "*.asc") for path in folder.glob(pattern))


def _read_entries(apt_root: Path) -> Iterator[_Entry]:
    """Read all entries in apt's order: `sources.list`, then the folder by file name."""
    parts = apt_root / "sources.list.d"
    paths = [apt_root / "sources.list", *sorted([*parts.glob("*.list"), *parts.glob("*.sources")])]
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_SETTINGS_LIMIT)
        except OSError:
            continue  # absent, or not ours to read: apt itself would not use it for this user either
        yield from _parse_deb822(text) if path.suffix == ".sources" else _parse_one_line(text)


def _parse_one_line(text: str) -> Iterator[_Entry]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.partition("#")[0].strip()):
            options = dict(part.partition("=")[::2] for part in (match["options"] or "").split())
            yield _Entry(
                uris=(match["uri"],),
                suites=(match["suite"],),
                components=tuple(match["rest"].split()),
                signed_by=options.get("signed-by", ""),
            )


def _parse_deb822(text: str) -> Iterator[_Entry]:
    for stanza in _stanzas(text.splitlines()):
        off = stanza.get("enabled", "yes").strip().lower() in ("no", "false", "without", "off", "disable")
        if not off and "deb" in stanza.get("types", "").split():
            yield _Entry(
                uris=tuple(stanza.get("uris", "").split()),
                suites=tuple(stanza.get("suites", "").split()),
                components=tuple(stanza.get("components", "").split()),
                signed_by=stanza.get("signed-by", ""),
            )


def _stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Split into stanzas; a continued value keeps its lines, with the lone dots of empty ones taken off."""
    stanza: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("#"):
            continue
        if not line.strip():
            yield stanza
            stanza, name = {}, ""
        elif line[0] in " \t":
            if name:
                stanza[name] += "\n" + ("" if line.strip() == "." else line.strip())
        elif match := _FIELD.match(line):
            name = match["name"].lower()
            stanza[name] = match["value"]
    yield stanza

"""The Release file of a Debian suite: when it is of, and the hash of every index (Debian wiki, RepositoryFormat).

It is the root of trust of a lock's OS packages: signature -> Release -> Packages -> .deb.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from envcap.digest import is_sha256
from envcap.errors import MissingArtifactError, SourceError, SystemPackageError
from envcap.finding import Finding
from envcap.secrets.urls import scrub_url
from envcap.sources.debian_settings import DebianMirror
from envcap.sources.debian_signature import (
    BadSignatureError,
    CheckedText,
    Keyring,
    Runner,
    check_clearsigned,
    check_detached,
)
from envcap.sources.debian_transport import Transport, read_all

_RELEASE_LIMIT: Final = 8 << 20
_INDEX_LIMIT: Final = 1 << 30
_ROW: Final = re.compile(r" ([0-9a-f]{64}) +([0-9]{1,12}) +(\S{1,300})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One index as a Release file lists it.

    Attributes:
        path: Relative to the suite's folder.
        size: Bytes.
        sha256: 64 hex digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a Release file says.

    Attributes:
        suite: Codename, such as `bookworm` or `bookworm-security`.
        origin: `Debian` for Debian's own archive.
        date: Seconds since the epoch.
        valid_until: Seconds since the epoch, or None where it says nothing.
        snapshot: Template of the snapshot archive with `@SNAPSHOTID@`, or empty.
        by_hash: True where indexes can be asked for by their hash.
        files: Indexes by path.
        signature: `verified` or `unchecked`.
        uri: The mirror that it came from.
    """

    suite: str
    origin: str
    date: int
    valid_until: int | None = None
    snapshot: str = ""
    by_hash: bool = False
    files: Mapping[str, IndexFile]
    signature: str
    uri: str


def fetch_release(
    transport: Transport, mirrors: Sequence[DebianMirror], suite: str, *, run: Runner, now: int
) -> tuple[Release, tuple[Finding, ...]]:
    """Read a suite's Release file from the first mirror that has it.

    Args:
        transport: Reads files of mirrors.
        mirrors: Asked in order.
        suite: Codename with its pocket, such as `bookworm-updates`.
        run: Runs gpgv or sqv.
        now: Seconds since the epoch, for `Valid-Until`.

    Raises:
        MissingArtifactError: No mirror has the suite.
        SourceError: A signature is bad, or no mirror answers.
    """
    failures: list[SourceError] = []
    for mirror in mirrors:
        try:
            checked = _fetch_text(transport, mirror, suite, run)
        except BadSignatureError:
            raise
        except SourceError as error:
            failures.append(error)
            continue
        release = parse_release(checked, uri=mirror.uri, suite=suite)
        if release.origin == "Debian":
            return release, tuple(_judge(release, checked, now))
        failures.append(MissingArtifactError(f"{scrub_url(mirror.uri)} is of {release.origin[:40]!r}, not of Debian"))
    broken = [error for error in failures if not isinstance(error, MissingArtifactError)]
    if broken:
        raise broken[0]
    asked = ", ".join(scrub_url(mirror.uri) for mirror in mirrors) or "nobody"
    raise MissingArtifactError(
        f"No Debian mirror has the suite {suite} (asked: {asked})",
        hint="check the suite's name, or set ENVCAP_DEBIAN_MIRROR to a mirror that has it",
    )


def _fetch_text(transport: Transport, mirror: DebianMirror, suite: str, run: Runner) -> CheckedText:
    base = f"{mirror.uri}/dists/{suite}"
    keyring = Keyring(paths=mirror.keyrings, key=mirror.key)
    try:
        data = read_all(transport, f"{base}/InRelease", limit=_RELEASE_LIMIT)
    except MissingArtifactError:
        data = b""
    name = scrub_url(f"{base}/InRelease")
    if data:
        checked = check_clearsigned(data, keyring=keyring, run=run, name=name)
        if checked.unchecked != "gpgv is not installed":
            return checked
    # sqv of Debian 12 and 13 wants a detached signature; and old archives have no InRelease.
    try:
        plain = read_all(transport, f"{base}/Release", limit=_RELEASE_LIMIT)
        signature = read_all(transport, f"{base}/Release.gpg", limit=_RELEASE_LIMIT)
    except MissingArtifactError:
        if data:
            return check_clearsigned(data, keyring=keyring, run=run, name=name)
        raise
    return check_detached(plain, signature, keyring=keyring, run=run, name=scrub_url(f"{base}/Release"))


def parse_release(checked: CheckedText, *, uri: str, suite: str) -> Release:
    """Read a Release file's text.

    Args:
        checked: The text with the state of its signature.
        uri: Where it came from.
        suite: The codename that was asked for.

    Raises:
        SourceError: It is of another suite, or malformed.
    """
    fields, rows = _read_fields(checked.text.decode("utf-8", "replace"))
    where = scrub_url(f"{uri}/dists/{suite}")
    if fields.get("codename") != suite:
        raise SourceError(
            f"Unexpected codename in the Release file of {where} (expected {suite}, found"
            f" {fields.get('codename', '')[:60]!r})"
        )
    date = _parse_date(fields.get("date", ""))
    if date is None:
        raise SourceError(f"Unexpected date in the Release file of {where}: {fields.get('date', '')[:60]!r}")
    snapshot = fields.get("snapshots", "")
    return Release(
        suite=suite,
        origin=fields.get("origin", ""),
        date=date,
        valid_until=_parse_date(fields.get("valid-until", "")),
        snapshot=snapshot if snapshot.startswith(("https://", "http://")) and "@SNAPSHOTID@" in snapshot else "",
        by_hash=fields.get("acquire-by-hash") == "yes",
        files={row.path: row for row in rows},
        signature="unchecked" if checked.unchecked else "verified",
        uri=uri,
    )


def _read_fields(text: str) -> tuple[dict[str, str], list[IndexFile]]:
    fields: dict[str, str] = {}
    rows: list[IndexFile] = []
    name = ""
    for line in text.splitlines():
        if not line.startswith(" "):
            name, _, value = line.partition(":")
            name = name.lower()
            fields.setdefault(name, value.strip())
        elif name == "sha256" and (match := _ROW.match(line)) and is_sha256(match[1]):
            rows.append(IndexFile(path=match[3], size=min(int(match[2]), _INDEX_LIMIT), sha256=match[1]))
    return fields, rows


def _parse_date(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _judge(release: Release, checked: CheckedText, now: int) -> list[Finding]:
    findings = []
    if checked.unchecked:
        findings.append(
            Finding(
                code="debian-unchecked",
                message=f"The signature of Debian {release.suite} was not checked: {checked.unchecked}",
            )
        )
    if release.valid_until is not None and release.valid_until < now:
        days = (now - release.valid_until) // 86400
        findings.append(
            Finding(
                code="debian-outdated",
                message=f"The mirror's copy of Debian {release.suite} ran out {days} days ago;"
                " newer security updates may exist",
            )
        )
    return findings


def find_index(release: Release, names: Sequence[str]) -> IndexFile:
    """Return the first of some indexes that a Release file lists.

    Raises:
        SystemPackageError: It lists none of them: the suite has no such architecture.
    """
    for name in names:
        if name in release.files:
            return release.files[name]
    raise SystemPackageError(
        f"Debian {release.suite} has no {names[0]} (architecture or component missing)",
        hint="choose another platform or suite",
    )

"""What refers to a manifest: signatures, attestations, locks. Attached so that neither rivals nor collection lose it.

Where the registry keeps the list itself (it answers `OCI-Subject`), a referrer is put by digest and that is all. Else:
1. It gets a tag of its own first, `sha256-<12 hex of the subject>.<kind>.<12 hex of its own digest>`: a collection of
   untagged manifests spares it, and it is found again whatever happens to the list.
2. The fallback tag of the specification, `sha256-<hex of the subject>`, names an index; it is read, merged with what
   the tags say, put, and read again until it holds the referrer: two writers at once lose entries (docker-registry
   ignores `If-Match`; 5 of 20 survive naive writers).
A list is always read with the tags beside it, so it is complete even then.
Source: OCI distribution-spec 1.1, "Listing Referrers", "Referrers Tag Schema"; notes/sharing.md §2a.
"""

import re
from collections.abc import Mapping
from typing import Final

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.auth import pull_scope
from envcap.registry.connection import Connection
from envcap.registry.documents import MAX_ROWS, ImageIndex, ImageManifest, Row, read_document
from envcap.registry.manifests import fetch_manifest, head_manifest, list_tags, next_page, put_manifest
from envcap.registry.strict_json import MAX_MANIFEST

_KIND: Final = re.compile(r"[a-z0-9]{1,32}\Z")
_SHORT: Final = 12
_MERGES: Final = 24
_MAX_PAGES: Final = 100
_NO_API: Final = frozenset({400, 404, 405, 501})

_Rows = dict[Digest, Row]


def fallback_tag(subject: Digest) -> str:
    """Name the index of a subject's referrers (distribution-spec, "Referrers Tag Schema")."""
    return f"sha256-{subject.hex}"


def own_tag(subject: Digest, kind: str, referrer: Digest) -> str:
    """Name one referrer for itself."""
    return f"{_prefix(subject)}{kind}.{referrer.hex[:_SHORT]}"


def attach_referrer(connection: Connection, repository: str, data: bytes, *, kind: str) -> Digest:
    """Put a manifest with a `subject` so that it is found from its subject. Its blobs must be there.

    Args:
        connection: To the registry.
        repository: Name below it: the subject's.
        data: The manifest, an OCI one.
        kind: A short word for its own tag, `[a-z0-9]`: `sig`, `lock`, `rebuild`.

    Raises:
        RegistryError: It has no subject, or the registry refuses, doesn't answer, or answers wrongly.
    """
    digest = Digest.of(data)
    document = read_document(data, MEDIA_TYPE_MANIFEST, "The referrer")
    if not isinstance(document, ImageManifest) or document.subject is None:
        raise RegistryError("The referrer has no subject")
    if not _KIND.match(kind):
        raise RegistryError(f"Unexpected kind of referrer {kind[:40]!r} (expected lower-case letters and digits)")
    if put_manifest(connection, repository, str(digest), data, MEDIA_TYPE_MANIFEST):
        return digest
    subject = document.subject.digest
    tag = own_tag(subject, kind, digest)
    if head_manifest(connection, repository, tag) != digest:
        put_manifest(connection, repository, tag, data, MEDIA_TYPE_MANIFEST)
    _merge(connection, repository, subject, digest)
    return digest


def list_referrers(
    connection: Connection, repository: str, subject: Digest, *, artifact_type: str = ""
) -> tuple[Row, ...]:
    """List what refers to a manifest, sorted by digest.

    What a list says of an entry is a claim; that it refers to the subject is known once its manifest was fetched.

    Args:
        connection: To the registry.
        repository: Name below it.
        subject: The manifest's digest.
        artifact_type: List those of this type only; empty for all.

    Raises:
        RegistryError: The registry doesn't answer, or answers wrongly.
    """
    rows = _ask_api(connection, repository, subject)
    if rows is None:
        rows = _read_index(connection, repository, subject)
    rows |= _read_tags(connection, repository, subject, known=rows)
    wanted = (row for row in rows.values() if not artifact_type or row.artifact_type == artifact_type)
    return tuple(sorted(wanted, key=lambda row: row.descriptor.digest))


def _merge(connection: Connection, repository: str, subject: Digest, added: Digest) -> None:
    """Have a referrer in the fallback index, whoever else writes it now."""
    for attempt in range(_MERGES):
        rows = _read_index(connection, repository, subject)
        found = _read_tags(connection, repository, subject, known=rows)
        if not found and added in rows:
            return
        _put_index(connection, repository, subject, rows | found)
        # A rival that has read before us and puts after us takes our entry away: see what is there after a while.
        connection.pause(min(attempt, 3))
    if added not in _read_index(connection, repository, subject):
        raise RegistryError(
            f"{connection.host}/{repository} does not keep the list of what refers to {subject}: others write it too",
            hint="run it again",
        )


def _put_index(connection: Connection, repository: str, subject: Digest, rows: _Rows) -> None:
    try:
        put_manifest(connection, repository, fallback_tag(subject), _index(rows), MEDIA_TYPE_INDEX)
    except RegistryAnswerError as error:
        if error.code not in {"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"}:
            raise
        # Something was deleted and the index names it still: a registry may refuse the whole index then.
        kept = {digest: row for digest, row in rows.items() if head_manifest(connection, repository, str(digest))}
        put_manifest(connection, repository, fallback_tag(subject), _index(kept), MEDIA_TYPE_INDEX)


def _index(rows: Mapping[Digest, Row]) -> bytes:
    manifests = [rows[digest].to_json() for digest in sorted(rows)]
    return canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": manifests})


def _ask_api(connection: Connection, repository: str, subject: Digest) -> _Rows | None:
    """Ask the referrers API, or give None where there is none."""
    rows: _Rows = {}
    target = f"/v2/{repository}/referrers/{subject}"
    for page in range(_MAX_PAGES):
        try:
            with connection.open("GET", target, scope=pull_scope(repository)) as response:
                data = connection.read(response, limit=MAX_MANIFEST)
                link = response.headers.get("link", "")
                media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        except RegistryAnswerError as error:
            if page == 0 and error.status in _NO_API:
                return None
            raise
        if page == 0 and media_type != MEDIA_TYPE_INDEX:
            return None  # some answer unknown paths with a page of their own
        rows |= _index_rows(data, f"The referrers of {connection.host}/{repository}@{subject}")
        if len(rows) > MAX_ROWS:
            break
        following = next_page(connection, target, link)
        if following is None:
            return rows
        target = following
    raise RegistryError(f"{connection.host} lists more than {MAX_ROWS} referrers of {subject}")


def _read_index(connection: Connection, repository: str, subject: Digest) -> _Rows:
    try:
        found = fetch_manifest(connection, repository, fallback_tag(subject))
    except RegistryAnswerError as error:
        if error.is_not_found:
            return {}
        raise
    if not isinstance(found.document, ImageIndex):
        raise RegistryError(f"{connection.host}/{repository}:{fallback_tag(subject)} is no index")
    return {row.descriptor.digest: row for row in found.document.manifests}


def _index_rows(data: bytes, what: str) -> _Rows:
    document = read_document(data, MEDIA_TYPE_INDEX, what)
    return {row.descriptor.digest: row for row in document.manifests} if isinstance(document, ImageIndex) else {}


def _read_tags(connection: Connection, repository: str, subject: Digest, *, known: _Rows) -> _Rows:
    """Read the referrers that have tags of their own and aren't known yet."""
    prefix = _prefix(subject)
    short = {digest.hex[:_SHORT] for digest in known}
    tags = [tag for tag in list_tags(connection, repository) if tag.startswith(prefix)]
    rows: _Rows = {}
    for tag in [tag for tag in tags if tag.rpartition(".")[2] not in short][:MAX_ROWS]:
        try:
            found = fetch_manifest(connection, repository, tag)
        except RegistryAnswerError as error:
            if error.is_not_found:  # deleted since the list
                continue
            raise
        document = found.document
        # 12 digits are no proof: the manifest says what it refers to.
        if isinstance(document, ImageManifest) and document.subject and document.subject.digest == subject:
            rows[found.descriptor.digest] = Row(
                descriptor=found.descriptor, artifact_type=document.artifact_type, annotations=document.annotations
            )
    return rows


def _prefix(subject: Digest) -> str:
    return f"sha256-{subject.hex[:_SHORT]}."

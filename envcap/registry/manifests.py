"""Manifests: asked for, checked by digest, and put. A tag is resolved once; from then on only digests are asked for.

Source: OCI distribution-spec 1.1, "Pulling manifests", "Pushing Manifests", "Content Discovery".
"""

import re
from dataclasses import dataclass
from typing import Final

from envcap.digest import Digest
from envcap.errors import DigestError, RegistryError
from envcap.oci.image import Descriptor
from envcap.registry.answer import NOT_FOUND, RegistryAnswerError
from envcap.registry.auth import pull_scope, push_scope
from envcap.registry.connection import COMMIT_TIMEOUT, TRIES, Connection
from envcap.registry.documents import ACCEPT, ImageIndex, ImageManifest, is_media_type, read_document
from envcap.registry.request import Payload
from envcap.registry.strict_json import MAX_MANIFEST, read_json

DIGEST_HEADER: Final = "docker-content-digest"
MAX_TAGS: Final = 100_000
_MAX_PAGES: Final = 1000
_NEXT: Final = re.compile(r'\s*<([^<>\s]{1,2048})>\s*;[^,]{0,200}?rel="?next"?', re.IGNORECASE)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundManifest:
    """A manifest or index as a registry sent it, hashed.

    Attributes:
        descriptor: Media type, digest and size of the bytes.
        data: The bytes.
        document: What they say.
    """

    descriptor: Descriptor
    data: bytes
    document: ImageManifest | ImageIndex


def fetch_manifest(connection: Connection, repository: str, target: str) -> FoundManifest:
    """Fetch a manifest or an index.

    Args:
        connection: To the registry.
        repository: Name below it.
        target: A tag or a digest.

    Raises:
        RegistryAnswerError: There is none, or the registry doesn't answer.
        RegistryError: The bytes aren't those of the digest that was asked for or that the registry says, or are no
            manifest.
    """
    what = f"{connection.host}/{repository}{'@' if ':' in target else ':'}{target}"
    path = f"/v2/{repository}/manifests/{target}"
    with connection.open("GET", path, scope=pull_scope(repository), headers={"Accept": ACCEPT}) as response:
        data = connection.read(response, limit=MAX_MANIFEST)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        said = response.headers.get(DIGEST_HEADER, "")
    digest = Digest.of(data)
    if ":" in target and str(digest) != target:
        raise RegistryError(f"{connection.host} sent another manifest (expected {target}, found {digest})")
    if said and said != str(digest):
        raise RegistryError(f"{connection.host} says {said[:100]!r} of a manifest whose digest is {digest}")
    if not is_media_type(media_type):
        raise RegistryError(f"{what} came without a media type (found {media_type[:40]!r})")
    return FoundManifest(
        descriptor=Descriptor(media_type=media_type, digest=digest, size=len(data)),
        data=data,
        document=read_document(data, media_type, what),
    )


def head_manifest(connection: Connection, repository: str, target: str) -> Digest | None:
    """Tell the digest of what a tag or digest names, as the registry says, or None if there is nothing.

    The answer is a claim: whoever needs the content asks for it by this digest, and so sees if the tag has moved.

    Raises:
        RegistryAnswerError: The registry doesn't answer.
        RegistryError: It answers something else than a digest.
    """
    path = f"/v2/{repository}/manifests/{target}"
    accept = (200, NOT_FOUND)
    scope = pull_scope(repository)
    with connection.open("HEAD", path, scope=scope, accept=accept, headers={"Accept": ACCEPT}) as response:
        if response.status_code == NOT_FOUND:
            return None
        said = response.headers.get(DIGEST_HEADER, "")
    if not said:  # distribution-spec: the header is only recommended
        return fetch_manifest(connection, repository, target).descriptor.digest
    try:
        found = Digest.parse(said)
    except DigestError as error:
        raise RegistryError(f"{connection.host}: {error.message}") from None
    if ":" in target and str(found) != target:
        raise RegistryError(f"{connection.host} names another manifest (expected {target}, found {found})")
    return found


def put_manifest(connection: Connection, repository: str, target: str, data: bytes, media_type: str) -> bool:
    """Put a manifest or an index under a tag or its digest.

    Returns:
        Whether the registry says that it keeps the list of what refers to its subject (`OCI-Subject`).

    Raises:
        RegistryAnswerError: The registry refuses it: a blob is missing, for one.
        RegistryError: It is too large, or the registry claims to have another digest.
    """
    digest = Digest.of(data)
    if len(data) > MAX_MANIFEST:
        raise RegistryError(f"The manifest has {len(data)} bytes (expected at most {MAX_MANIFEST})")
    said, keeps = "", False
    for attempt in range(TRIES):
        try:
            said, keeps = _put(connection, repository, target, data, media_type)
            break
        except RegistryAnswerError as error:
            # docker-registry 2.8 reads what another publisher of the same blobs is writing, and takes it for ours.
            if error.code != "DIGEST_INVALID" or attempt == TRIES - 1:
                raise
            connection.pause(attempt)
    if said and said != str(digest):
        raise RegistryError(f"{connection.host} took {digest} and says that it is {said[:100]!r}")
    return keeps


def _put(connection: Connection, repository: str, target: str, data: bytes, media_type: str) -> tuple[str, bool]:
    path = f"/v2/{repository}/manifests/{target}"
    with connection.open(
        "PUT",
        path,
        scope=push_scope(repository),
        accept=(201,),
        headers={"Content-Type": media_type},
        payload=Payload.of(data),
        timeout=COMMIT_TIMEOUT,
    ) as response:
        said = response.headers.get(DIGEST_HEADER, "")
        keeps = bool(response.headers.get("oci-subject", ""))
    return said, keeps


def list_tags(connection: Connection, repository: str) -> tuple[str, ...]:
    """List all tags, sorted; a repository that isn't there has none.

    Raises:
        RegistryAnswerError: The registry doesn't answer.
        RegistryError: It answers no list of tags, or an endless one.
    """
    found: set[str] = set()
    target = f"/v2/{repository}/tags/list?n=1000"
    for _ in range(_MAX_PAGES):
        try:
            with connection.open("GET", target, scope=pull_scope(repository)) as response:
                data = connection.read(response, limit=MAX_MANIFEST)
                link = response.headers.get("link", "")
        except RegistryAnswerError as error:
            if error.is_not_found:
                break
            raise
        tags = read_json(data, f"The tags of {connection.host}/{repository}").get("tags") or []
        if not isinstance(tags, list):
            raise RegistryError(f"{connection.host} answered no list of tags of {repository}")
        # What is no tag can't be asked for: such a name would lead elsewhere.
        found |= {tag for tag in tags if isinstance(tag, str) and _TAG.match(tag)}
        if len(found) > MAX_TAGS:
            raise RegistryError(f"{connection.host}/{repository} has more than {MAX_TAGS} tags")
        following = next_page(connection, target, link)
        if following is None:
            return tuple(sorted(found))
        target = following
    return tuple(sorted(found))


def next_page(connection: Connection, target: str, link: str) -> str | None:
    """Give the URL of a list's next page, or None (RFC 8288: `Link: <…>; rel="next"`).

    Raises:
        RegistryError: It is no URL that we ask.
    """
    match = _NEXT.match(link[:4096])
    return connection.follow(target, match[1]) if match else None

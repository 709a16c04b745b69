"""A small lock of which every byte is made up here, its image, and its publication."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

from envcap.bundle.contents import BLOB_LAYER, Piece, bundle_pieces
from envcap.digest import Digest
from envcap.lockfile.model import Lockfile
from envcap.rebuild import recorded
from envcap.registry.connection import Connection
from envcap.registry.journal import NoJournal
from envcap.registry.reference import Reference
from envcap.sharing.artifact import read_claim
from envcap.sharing.publish import Manifest, Publication, Published, check_target, send_image, send_lock
from envcap.trust.claims import LockFacts, lock_facts
from tests.bundle.tiny import BLOBS, tiny_lock
from tests.oci.images import SMALL, silent

LOCK = replace(tiny_lock(), expected=(recorded(SMALL),))
FACTS = lock_facts(LOCK)


@dataclass
class Pieces:
    """Gives pinned files, and counts how often it was asked for any."""

    asked: int = 0
    damaged: bool = False

    def __call__(self) -> Callable[[Piece], BinaryIO]:
        self.asked += 1
        return self._open

    def _open(self, piece: Piece) -> BinaryIO:
        out = BytesIO()
        BLOBS.copy_to(Digest(piece.sha256), out)
        return BytesIO(out.getvalue()[::-1] if self.damaged else out.getvalue())


def kept_pieces(lockfile: Lockfile = LOCK) -> tuple[Piece, ...]:
    return tuple(piece for piece in bundle_pieces(lockfile) if piece.media_type == BLOB_LAYER)


def publish(
    connection: Connection,
    tag: str = "1",
    *,
    lockfile: Lockfile = LOCK,
    with_sources: bool = False,
    image: bool = True,
    said: tuple[bytes, ...] = (),
    pieces: Pieces | None = None,
    repository: str = "lab/ml",
) -> Published:
    reference = check_target(Reference.parse(f"{connection.host}/{repository}:{tag}"))
    facts: LockFacts = lock_facts(lockfile)
    manifest: Manifest | None = None
    if image:
        manifest, _ = send_image(connection, reference, SMALL, journal=NoJournal(), progress=silent)
    return send_lock(
        connection,
        reference,
        Publication(
            lockfile=lockfile,
            pieces=bundle_pieces(lockfile) if with_sources else kept_pieces(lockfile),
            attestations=tuple((data, read_claim(data, facts)) for data in said),
        ),
        manifest,
        have_pieces=pieces or Pieces(),
        journal=NoJournal(),
        progress=silent,
    )


def where(connection: Connection, rest: str = ":1", repository: str = "lab/ml") -> Reference:
    return Reference.parse(f"{connection.host}/{repository}{rest}")

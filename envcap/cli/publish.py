"""`envcap publish`: parse, have the image and what is kept with the lock, and put all of it into a registry."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from platformdirs import user_cache_path

from envcap.blobs import LockFolder
from envcap.bundle.contents import BLOB_LAYER, Piece, bundle_pieces
from envcap.cli.bundle import fetch_pieces
from envcap.cli.locks import is_one_registry, open_lock
from envcap.cli.machine import this_machine
from envcap.cli.rebuild import check_level, repairing
from envcap.cli.registries import open_registry
from envcap.cli.talk import Talk, print_data
from envcap.cli.trust import attestations_of
from envcap.digest import Digest
from envcap.errors import DifferenceError, DigestError, TrustError, UsageError
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Expected, Lockfile
from envcap.oci.contents import FoundImage, open_image
from envcap.oci.image import Image, Layer
from envcap.rebuild import choose_platform, rebuild_lock
from envcap.registry.connection import Connection
from envcap.registry.journal import FileJournal
from envcap.registry.mounts import MountMemory
from envcap.registry.reference import Reference
from envcap.registry.upload import Outcome
from envcap.render import counted
from envcap.sharing.artifact import Claim, read_claim
from envcap.sharing.publish import (
    Manifest,
    OpenPiece,
    Publication,
    Published,
    check_target,
    known_image,
    send_image,
    send_lock,
)
from envcap.trust.claims import lock_facts
from envcap.world import World, open_world

T = TypeVar("T")

_MOUNTS = 3
"""Repositories asked for a blob before it is sent: each that is asked in vain costs a request a blob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """The command's options, as given."""

    lock: Path
    reference: str
    image: Path | None
    no_image: bool
    with_sources: bool
    platform: str
    plain_http: bool
    index: tuple[str, ...]
    store: Path | None
    as_json: bool


def publish_command(options: PublishOptions) -> None:
    """Publish a lock.

    Raises:
        UsageError: The reference can't be published to, or options exclude each other.
        DifferenceError: The image is not the one that the lock expects.
        EnvcapError: Something can't be had, built or sent.
    """
    started = time.monotonic()
    if options.no_image and (options.image or options.platform):
        raise UsageError("`--no-image` excludes `--image` and `--platform`")
    reference = check_target(Reference.parse(options.reference))
    talk = Talk()
    plain = options.plain_http and is_one_registry(options.lock, options.reference)
    folder = open_lock(options.lock, store=options.store, plain_http=plain)
    said = _claims(folder, talk)
    machine = this_machine(store=options.store, index=options.index)
    with (
        open_world(machine, held=folder.held) as world,
        open_registry(reference.host, machine, plain_http=options.plain_http) as connection,
    ):
        publisher = _Publisher(folder, reference, options, world, connection, talk)
        published, moved = publisher.publish(said)
    _report(folder, reference, published, moved, said, time.monotonic() - started, options, talk)


class _Publisher:
    """One run: what `publish_command` gathered, and what its steps share."""

    def __init__(
        self,
        folder: LockFolder,
        reference: Reference,
        options: PublishOptions,
        world: World,
        connection: Connection,
        talk: Talk,
    ) -> None:
        self._folder = folder
        self._reference = reference
        self._options = options
        self._world = world
        self._connection = connection
        self._talk = talk
        self._opened: set[Digest] = set()
        self._sent: set[Digest] = set()
        self._memory = MountMemory(world.store.actions, reference.host)
        self._journal = FileJournal(user_cache_path("envcap") / "uploads")

    def publish(self, said: tuple[tuple[bytes, Claim], ...]) -> tuple[Published, list[Outcome]]:
        """Send all of it; what turns out to be damaged in the store is made anew."""
        lockfile = self._folder.lockfile
        pieces = bundle_pieces(lockfile)
        if not self._options.with_sources:
            pieces = tuple(piece for piece in pieces if piece.media_type == BLOB_LAYER)
        publication = Publication(lockfile=lockfile, pieces=pieces, attestations=said)

        def attempt() -> tuple[Published, list[Outcome]]:
            image, outcomes = (None, ()) if self._options.no_image else self._image(lockfile)
            with self._talk.step("Publishing the lock") as step:
                published = send_lock(
                    self._connection,
                    self._reference,
                    publication,
                    image,
                    have_pieces=partial(self._pieces, pieces),
                    mounts=self._mounts(Digest(piece.sha256) for piece in pieces),
                    journal=self._journal,
                    progress=step,
                )
            for digest in self._sent:
                self._memory.note(digest, self._reference.repository)
            return published, [*outcomes, *published.outcomes]

        return repairing(partial(self._blaming, attempt), self._world, self._talk)

    def _blaming(self, attempt: Callable[[], T]) -> T:
        """Try; if bytes were not those of their digest, find which object of the store is damaged.

        Raises:
            DamagedObjectError: One is; it was set aside, and the next attempt makes it anew.
            DigestError: None is.
        """
        try:
            return attempt()
        except DigestError:
            for digest in self._opened:
                self._world.store.blobs.verified(digest)
            raise

    def _image(self, lockfile: Lockfile) -> tuple[Manifest, tuple[Outcome, ...]]:
        """Have the image in the registry: as it is there, from a layout, or built."""
        platform = choose_platform(lockfile, self._options.platform)
        expected = next((row for row in lockfile.expected if row.platform == platform), None)
        if expected and expected.manifest and not self._options.image:
            digest = Digest.parse(expected.manifest)
            if known := known_image(self._connection, self._reference.repository, digest):
                return known, ()
        with self._local_image(lockfile, platform, expected) as image:
            if known := known_image(self._connection, self._reference.repository, image.descriptor.digest):
                return known, ()
            with self._talk.step("Publishing the image") as step:
                digests = [layer.digest for layer in image.layers]
                self._sent |= set(digests)
                return send_image(
                    self._connection,
                    self._reference,
                    image,
                    mounts=self._mounts(digests),
                    journal=self._journal,
                    progress=step,
                )

    def _mounts(self, digests: Iterable[Digest]) -> tuple[str, ...]:
        """Name repositories of the registry that had some of these blobs, but for the one that is published to."""
        found = dict.fromkeys(name for digest in digests for name in self._memory.find(digest))
        return tuple(name for name in found if name != self._reference.repository)[:_MOUNTS]

    @contextmanager
    def _local_image(self, lockfile: Lockfile, platform: str, expected: Expected | None) -> Iterator[Image]:
        if self._options.image:
            with open_image(self._options.image) as found:
                yield _image_of(found, platform, expected, self._options.image)
            return
        rebuilt = rebuild_lock(
            lockfile, blobs=self._folder.blobs, platform=platform, world=self._world, talk=self._talk
        )
        check_level(rebuilt)
        self._opened |= {layer.digest for layer in rebuilt.image.layers}
        yield rebuilt.image

    def _pieces(self, pieces: tuple[Piece, ...]) -> OpenPiece:
        """Have the pinned files in the store."""
        fetch_pieces(self._folder, pieces, self._world, self._talk)
        self._opened |= {Digest(piece.sha256) for piece in pieces}
        self._sent |= {Digest(piece.sha256) for piece in pieces}
        return lambda piece: self._world.store.blobs.open(Digest(piece.sha256))


class _LayoutBlobs:
    """The layers of an image that was found, by digest."""

    def __init__(self, found: FoundImage) -> None:
        self._layers = {layer.digest: layer for layer in found.layers}

    def open(self, digest: Digest) -> BinaryIO:
        """Open a layer, unchecked: it is hashed as it is sent."""
        return self._layers[digest].open()

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        """Not needed to push."""
        raise NotImplementedError


def _image_of(found: FoundImage, platform: str, expected: Expected | None, path: Path) -> Image:
    """Take an image from a layout, if it is the one that the lock expects, wrapped as envcap wraps it."""
    if expected is None or str(found.image_id) != expected.image_id:
        raise DifferenceError(
            f"{path} is not the image that the lock expects on {platform} "
            f"(expected {expected.image_id if expected else 'none: nothing is recorded'}, found {found.image_id})",
            hint="leave out `--image`: then it is rebuilt" if expected else "record it with `envcap rebuild --record`",
        )
    layers = tuple(
        Layer(diff_id=diff_id, digest=layer.digest, size=layer.size, what=f"layer {number + 1}")
        for number, (layer, diff_id) in enumerate(zip(found.layers, found.diff_ids, strict=False))
        if layer.digest is not None and layer.size is not None
    )
    image = Image(platform=platform, config=found.config, layers=layers, blobs=_LayoutBlobs(found))
    if image.descriptor.digest != found.manifest:
        raise DifferenceError(
            f"{path} is wrapped in another way than envcap does (expected the manifest {image.descriptor.digest}, "
            f"found {found.manifest or 'none'})",
            hint="leave out `--image`: then it is rebuilt",
        )
    return image


def _claims(folder: LockFolder, talk: Talk) -> tuple[tuple[bytes, Claim], ...]:
    """Read what is said of the lock; only what is about it is published."""
    facts = lock_facts(folder.lockfile)
    rows = []
    for attestation in attestations_of(folder):
        try:
            rows.append((attestation.data, read_claim(attestation.data, facts)))
        except TrustError as error:
            talk.warn(f"{attestation.name} is not published: {error.message}")
    return tuple(rows)


def _report(
    folder: LockFolder,
    reference: Reference,
    published: Published,
    moved: list[Outcome],
    said: tuple[tuple[bytes, Claim], ...],
    seconds: float,
    options: PublishOptions,
    talk: Talk,
) -> None:
    if published.lost:
        platforms, own = " and ".join(published.lost), published.lost[0].rpartition("/")[2]
        talk.warn(
            f"{reference} named an image for {platforms} and does not any more: a tag names one platform's. Publish "
            f"each under a tag of its own, such as {reference.name}:{reference.tag}-{own}"
        )
    sent, mounted = (sum(outcome is kind for outcome in moved) for kind in (Outcome.SENT, Outcome.MOUNTED))
    lock, root = published.lock, published.root
    if options.as_json:
        found = {
            "reference": str(reference),
            "digest": str(root),
            "image": None if options.no_image else str(root),
            "lock": str(lock),
            "environment": str(environment_digest(folder.lockfile)),
            "attestations": len(said),
            "sent": sent,
            "mounted": mounted,
            "moved_tag": published.is_news,
            "before": str(published.before) if published.before else None,
            "lost": list(published.lost),
        }
        print_data(json.dumps(found))
        return
    rows = [("published", str(reference))]
    rows += [] if options.no_image else [("image", str(root))]
    rows += [("lock", str(lock)), ("attested", counted(len(said), "attestation"))]
    print_data("\n".join(f"{name:10}{text}" for name, text in rows))
    how = f"{counted(sent, 'blob')} sent" if moved else "The registry had all of it"
    how += f", {mounted} taken from other repositories" if mounted else ""
    tag = "the tag is set" if published.is_news else "the tag named it before"
    if published.is_news and published.before:
        tag = f"the tag, which named {published.before}, is moved"
    talk.say(f"{how}, {tag}: {seconds:.1f} s. Next, for good: envcap rebuild {reference.name}@{lock}")

"""`envcap bundle`: parse, have everything in the store, and write one file of it."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envcap.blobs import LockFolder
from envcap.bundle.contents import Piece, bundle_pieces
from envcap.bundle.write import Bundle, check_bundle_place, write_bundle
from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.digest import Digest
from envcap.errors import DamagedObjectError, StoreError
from envcap.lockfile.model import CAPTURED, Artifact, SystemPackage
from envcap.oci.image import Image
from envcap.pinned import PinnedArtifacts
from envcap.rebuild import choose_platform, rebuild_lock
from envcap.render import counted, human_size
from envcap.world import World, open_world

_REPAIRS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOptions:
    """The command's options, as given."""

    lock: Path
    output: Path | None
    image: bool
    platform: str
    index: tuple[str, ...]
    offline: bool
    store: Path | None
    as_json: bool


def bundle_command(options: BundleOptions) -> None:
    """Write a bundle of a lock.

    Raises:
        EnvcapError: Something that the lock pins can't be had, or the file can't be written.
    """
    started = time.monotonic()
    talk = Talk()
    folder = open_lock(options.lock, store=options.store, offline=options.offline)
    output = options.output or Path(f"{folder.lockfile.name}.envcap")
    check_bundle_place(output)
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    with open_world(machine, held=folder.held) as world:
        bundle = _write(folder, output, options, world, talk)
    size = output.stat().st_size
    image_id = str(bundle.image.image_id) if bundle.image else None
    digest = str(Digest.of(bundle.manifest))
    if options.as_json:
        kinds = {"files": len(bundle.pieces), "size": size, "image_id": image_id}
        print_data(json.dumps({"bundle": str(output), "digest": digest, **kinds}))
        return
    print_data(f"bundle    {visible(str(output))}, {human_size(size)}\ncontent   {digest}")
    if image_id:
        print_data(f"image ID  {image_id}")
    files = f"{counted(len(bundle.pieces), 'file')} that the lock pins"
    talk.say(
        f"Bundled {files}{' and the image' if image_id else ''} in {time.monotonic() - started:.1f} s. "
        f"Next, without any network: envcap rebuild {visible(str(output))}"
    )


def _write(folder: LockFolder, output: Path, options: BundleOptions, world: World, talk: Talk) -> Bundle:
    """Fetch, build the image if it is wanted, and write; what turns out to be damaged is had anew."""
    pieces = bundle_pieces(folder.lockfile)
    for _ in range(_REPAIRS):
        try:
            fetch_pieces(folder, pieces, world, talk)
            bundle = Bundle(
                lockfile=folder.lockfile,
                pieces=pieces,
                blobs=world.store.blobs,
                image=_image(folder, options, world, talk) if options.image else None,
                tag=f"{folder.lockfile.name.lower()}:envcap",
            )
            with talk.step("Writing") as step:
                write_bundle(bundle, output, progress=step)
        except DamagedObjectError as error:
            talk.warn(f"{error.message}; it is made anew")
        else:
            return bundle
    raise StoreError(
        f"The store at {world.store.root} keeps giving damaged objects",
        hint="check the disk, or use another `--store`",
    )


def fetch_pieces(folder: LockFolder, pieces: Sequence[Piece], world: World, talk: Talk) -> None:
    """Have pinned files in the store.

    Raises:
        MissingArtifactError: One of them can't be had.
    """
    with talk.step("Fetching") as step:
        pinned = PinnedArtifacts(world, sources=folder.lockfile.sources, blobs=folder.blobs)
        pinned.fetch_all([(piece.title.rpartition("/")[2], _pinned(piece)) for piece in pieces], step)


def _pinned(piece: Piece) -> Artifact | SystemPackage:
    kept = Artifact(
        platform="", source=CAPTURED, file=f"blob {piece.sha256[:12]}", size=piece.size, sha256=piece.sha256
    )
    return piece.pinned or kept


def _image(folder: LockFolder, options: BundleOptions, world: World, talk: Talk) -> Image:
    platform = choose_platform(folder.lockfile, options.platform)
    return rebuild_lock(folder.lockfile, blobs=folder.blobs, platform=platform, world=world, talk=talk).image

"""`envcap rebuild`: parse, build, hand the image to its sinks, and say which level was reached."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from envcap.blobs import LockFolder, rewrite_lock
from envcap.cli.facts import warn_of_weak_cpu
from envcap.cli.gpu import warn_of_gpu
from envcap.cli.locks import is_one_registry, open_lock
from envcap.cli.machine import this_machine
from envcap.cli.rebuild_options import RebuildOptions, check_options
from envcap.cli.rebuild_report import Written, rebuilt_table, report_rebuilt
from envcap.cli.talk import Talk, print_data, visible
from envcap.cli.virtual import warn_of_virtual
from envcap.errors import DamagedObjectError, DifferenceError, StoreError, UsageError
from envcap.lockfile.model import Lockfile
from envcap.oci.image import Layer
from envcap.oci.layout import write_tar
from envcap.oci.layout_folder import NewLayout, new_layout
from envcap.rebuild import Rebuilt, choose_platform, expected_on, rebuild_lock, recorded
from envcap.verify import Level
from envcap.world import World, open_world

if TYPE_CHECKING:
    from envcap.cli.push import Offers, Registries
    from envcap.registry.push import NewPush

_REPAIRS = 20

T = TypeVar("T")


def rebuild_command(options: RebuildOptions) -> None:
    """Rebuild a lock and write the image.

    Raises:
        EnvcapError: It can't be built or written.
    """
    started = time.monotonic()
    check_options(options)
    talk = Talk()
    plain = options.plain_http and is_one_registry(options.lock, options.push, options.source)
    folder = open_lock(options.lock, store=options.store, offline=options.offline, plain_http=plain)
    if options.record and folder.bundle:
        raise UsageError(f"`--record` can't write into {options.lock}, which is a bundle or lies in a registry")
    platform = choose_platform(folder.lockfile, options.platform)
    options = _with_its_image(options, folder, platform)
    attest = _attester(options.key, folder, platform, talk) if options.attest and options.key else None
    warn_of_weak_cpu(folder.lockfile, platform, talk)
    machine = this_machine(store=options.store, offline=options.offline, index=options.index, jobs=options.jobs)
    warn_of_virtual(folder.lockfile, machine, talk)
    warn_of_gpu(folder.lockfile, machine, talk)
    with open_world(machine, held=folder.held) as world:
        if options.push or options.source:
            rebuilt, written = _rebuild_with_registries(folder, platform, options, world, talk)
        else:
            rebuilt, written = _rebuild(folder, platform, options, world, talk)
    for problem in rebuilt.problems:
        talk.warn(f"{problem}; it was built")
    if options.record:
        _record(rebuilt, folder, talk)
    attestation = attest(rebuilt) if attest else None
    if options.as_json:
        print_data(
            json.dumps(rebuilt_table(rebuilt, written, options) | ({"attestation": str(attestation)} if attest else {}))
        )
    else:
        report_rebuilt(rebuilt, written, options, time.monotonic() - started, talk)
        if attestation:
            talk.say(f"Attested: {visible(str(attestation))}")
    if not options.record:
        check_level(rebuilt)


def _with_its_image(options: RebuildOptions, folder: LockFolder, platform: str) -> RebuildOptions:
    """Take layers from the image that was published with a lock, unless what is built here is what counts."""
    if folder.bundle is None or options.source or options.record or options.attest:
        return options
    from envcap.cli.registries import remote_files  # noqa: PLC0415  # most locks are files

    remote = remote_files(folder)
    if remote is None or remote.lock.image is None or expected_on(folder.lockfile, platform) is None:
        return options
    return replace(options, source=str(remote.lock.image))


def check_level(rebuilt: Rebuilt) -> None:
    """Refuse an image that is not the one that its lock expects.

    Raises:
        DifferenceError: It is another.
    """
    if rebuilt.level is Level.NONE:
        raise DifferenceError(
            f"The image is not the one that the lock expects (expected {_expected_id(rebuilt)}, "
            f"found {rebuilt.image.image_id})",
            hint="see which files differ with `envcap verify` on an image made where the lock was, or accept this one "
            "with `envcap rebuild --record`",
        )


def _attester(key: Path, folder: LockFolder, platform: str, talk: Talk) -> Callable[[Rebuilt], object]:
    """Prepare to attest before anything is built: a passphrase is asked for, and a key that is no use refused, now."""
    from envcap.cli.trust import attest_rebuild, attestable, load_signing_key  # noqa: PLC0415  # seldom asked for

    facts, signing = attestable(folder, platform), load_signing_key(key, talk)
    return lambda rebuilt: attest_rebuild(folder, facts, rebuilt, signing)


def _rebuild_with_registries(
    folder: LockFolder, platform: str, options: RebuildOptions, world: World, talk: Talk
) -> tuple[Rebuilt, Written]:
    """Rebuild, with what registries have already; an image that is there and goes nowhere else is not built."""
    from envcap.cli import push  # noqa: PLC0415  # most rebuilds need no registry

    machine, alone = world.machine, not (options.output or options.load or options.rootfs)
    with push.open_registries(options.push, options.source, machine, plain_http=options.plain_http) as registries:
        offers = push.Offers()
        if not (options.record or options.attest):
            with talk.step("Asking the registry"):
                offers = push.look_around(registries, folder.lockfile, platform, talk)
        if alone and (done := push.push_unbuilt(registries, offers, folder.lockfile, platform, world, talk)):
            return done[0], Written(pushed=done[1])
        return _rebuild(folder, platform, options, world, talk, registries=registries, offers=offers)


def _rebuild(
    folder: LockFolder,
    platform: str,
    options: RebuildOptions,
    world: World,
    talk: Talk,
    *,
    registries: "Registries | None" = None,
    offers: "Offers | None" = None,
) -> tuple[Rebuilt, Written]:
    """Build and write."""
    offer = (offers.there or offers.source) if offers else None

    def attempt() -> tuple[Rebuilt, Written]:
        with _folder(options.output, world) as layout, _push(registries, world) as push:

            def ready(layer: Layer) -> None:
                if layout:
                    layout.add(layer)
                if push and not (offers and offers.there):
                    push.add(layer)

            rebuilt = rebuild_lock(
                folder.lockfile,
                blobs=folder.blobs,
                platform=platform,
                world=world,
                talk=talk,
                ready=ready,
                offer=offer,
                from_source=options.record or options.attest,
            )
            places = _write(rebuilt, options, folder.lockfile, layout, world, talk)
            pushed = None
            if push and rebuilt.level is Level.NONE and not options.record:
                talk.warn(f"Nothing is pushed to {options.push}: the image is not the one that the lock expects")
            elif push:
                with talk.step("Pushing") as step:
                    pushed = push.publish(rebuilt.image, progress=step)
            return rebuilt, Written(places=places, pushed=pushed)

    return repairing(attempt, world, talk)


def _push(registries: "Registries | None", world: World) -> "AbstractContextManager[NewPush | None]":
    """Begin the push that was asked for, if one was: layers go there while others are being built."""
    if registries is None or registries.push is None:
        return nullcontext()
    from envcap.cli.push import pushing  # noqa: PLC0415  # most rebuilds need no registry

    return pushing(registries, world)


def repairing(attempt: Callable[[], T], world: World, talk: Talk) -> T:
    """Build, and build again where something in the store turns out to be damaged: it was set aside, and is made anew.

    Raises:
        StoreError: The store keeps giving damaged objects.
    """
    for _ in range(_REPAIRS):
        try:
            return attempt()
        except DamagedObjectError as error:
            talk.warn(f"{error.message}; it is made anew")
    raise StoreError(
        f"The store at {world.store.root} keeps giving damaged objects",
        hint="check the disk, or use another `--store`",
    )


def _folder(output: Path | None, world: World) -> AbstractContextManager[NewLayout | None]:
    """Begin the layout folder that was asked for, if one was: layers go there while others are being built."""
    return new_layout(output, world.store.blobs) if output and output.suffix != ".tar" else nullcontext()


def _write(
    rebuilt: Rebuilt, options: RebuildOptions, lockfile: Lockfile, layout: NewLayout | None, world: World, talk: Talk
) -> list[str]:
    image, written = rebuilt.image, []
    tag = options.tag or f"{lockfile.name.lower()}:envcap"
    if options.output:
        with talk.step("Writing") as step:
            if layout:
                layout.publish(image, tag=tag, progress=step)
            else:
                write_tar(image, options.output, tag=tag, progress=step)
        written.append(str(options.output))
    if options.load:
        from envcap.oci.docker import load_image  # noqa: PLC0415  # most rebuilds need no docker

        with talk.step("Loading into docker") as step:
            load_image(image, tag=tag, progress=step)
        written.append(f"docker:{tag}")
    if options.rootfs:
        from envcap.oci.rootfs import write_rootfs  # noqa: PLC0415  # seldom asked for

        with talk.step("Writing files") as step:
            scratch = world.store.root / "tmp"
            write_rootfs(image, options.rootfs, epoch=lockfile.image.epoch, scratch=scratch, progress=step)
        written.append(str(options.rootfs))
    return written


def _record(rebuilt: Rebuilt, folder: LockFolder, talk: Talk) -> None:
    row = recorded(rebuilt.image)
    others = [other for other in folder.lockfile.expected if other.platform != row.platform]
    expected = tuple(sorted([*others, row], key=lambda other: other.platform))
    if rebuilt.level is Level.NONE:
        talk.warn(f"The lock expected {_expected_id(rebuilt)}; it expects {row.image_id} now")
    rewrite_lock(folder, replace(folder.lockfile, expected=expected))


def _expected_id(rebuilt: Rebuilt) -> str:
    return rebuilt.expected.image_id if rebuilt.expected else "nothing"

"""`--push`, `--from` and registry references as images: connections by this machine's settings, and what was done."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from platformdirs import user_cache_path

from envcap.cli.locks import is_one_registry
from envcap.cli.registries import open_registry as connect_to
from envcap.cli.talk import Talk
from envcap.digest import Digest
from envcap.errors import RegistryError, UsageError
from envcap.lockfile.model import Lockfile
from envcap.oci.contents import FoundImage
from envcap.offered import fits
from envcap.plan import plan_image
from envcap.rebuild import Rebuilt, choose_platform, expected_on, reached_level
from envcap.registry.connection import Connection
from envcap.registry.found import find_image
from envcap.registry.journal import FileJournal
from envcap.registry.mounts import MountMemory
from envcap.registry.offer import Offer, OfferError, find_offer, offered_image
from envcap.registry.push import NewPush, PushedImage, new_push, tag_known
from envcap.registry.reference import Reference
from envcap.registry.upload import Outcome
from envcap.render import counted, human_size
from envcap.store import open_store
from envcap.world import Machine, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """What a rebuild has to do with registries; made by `open_registries`.

    Attributes:
        push: Where the image goes to, with its connection, or None.
        source: Where layers may come from, with its connection, or None.
    """

    push: tuple[Reference, Connection] | None = None
    source: tuple[Reference, Connection] | None = None


@contextmanager
def open_registry(reference: Reference, machine: Machine, *, plain_http: bool) -> Iterator[Connection]:
    """Connect to a reference's registry as this machine's logins, proxies and certificates say.

    Raises:
        UsageError: The machine is to ask nobody.
        RegistryError: A setting can't be read.
    """
    if machine.offline:
        raise UsageError(f"{reference} is in a registry, and `--offline` asks nobody")
    with connect_to(reference.host, machine, plain_http=plain_http) as connection:
        yield connection


@contextmanager
def open_registries(push: str, source: str, machine: Machine, *, plain_http: bool) -> Iterator[Registries]:
    """Connect to the registries of `--push` and `--from`; one registry is one connection.

    Raises:
        UsageError: A reference is none.
        RegistryError: A setting can't be read.
    """
    with ExitStack() as stack:
        found: dict[str, Connection] = {}

        def connect(text: str, *, plain: bool) -> tuple[Reference, Connection] | None:
            if not text:
                return None
            reference = Reference.parse(text)
            if reference.host not in found:
                found[reference.host] = stack.enter_context(open_registry(reference, machine, plain_http=plain))
            return reference, found[reference.host]

        # The source may be where the lock came from: no registry that `--plain-http` was said of.
        plain = plain_http and is_one_registry(source, push)
        yield Registries(push=connect(push, plain=plain_http), source=connect(source, plain=plain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Where the image that the lock expects was found: by digest in the repository of `--push`, and by `--from`."""

    there: Offer | None = None
    source: Offer | None = None


def look_around(registries: Registries, lockfile: Lockfile, platform: str, talk: Talk) -> Offers:
    """Ask who has the expected image; a source that can't be asked is no reason not to build.

    Raises:
        RegistryError: The registry of `--push` refuses or doesn't answer: said before anything is built.
    """
    expected = expected_on(lockfile, platform)
    if expected is None:
        if registries.source:
            talk.warn(f"The lock expects nothing on {platform}, so {registries.source[0]} is not asked")
        return Offers()
    image_id = Digest.parse(expected.image_id)
    manifest = Digest.parse(expected.manifest) if expected.manifest else None
    there = source = None
    if registries.push and manifest is not None:
        reference, connection = registries.push
        there = find_offer(connection, reference, platform=platform, image_id=image_id, manifest=manifest)
    if registries.source and there is None:
        reference, connection = registries.source
        try:
            source = find_offer(connection, reference, platform=platform, image_id=image_id, manifest=manifest)
            if source is None:
                talk.warn(f"{reference.name} doesn't have the image that the lock expects; it is built")
        except RegistryError as error:
            talk.warn(f"{error.message}; the image is built")
    return Offers(there=there, source=source)


def push_unbuilt(
    registries: Registries, offers: Offers, lockfile: Lockfile, platform: str, world: World, talk: Talk
) -> tuple[Rebuilt, PushedImage] | None:
    """Push an image that a registry has, by the digest that the lock names: nothing is built.

    Where the repository has it, only the tag is set; from another repository its layers are mounted, or copied.

    Returns:
        What was done, or None if it must be built.

    Raises:
        RegistryError: The registry of `--push` refuses, doesn't answer, or answers wrongly.
    """
    offer, expected = offers.there or offers.source, expected_on(lockfile, platform)
    if registries.push is None or offer is None or expected is None or not expected.manifest:
        return None
    plan = plan_image(lockfile, platform)
    image = offered_image(offer, plan, world.store)
    if image is None or not fits(plan, offer):
        return None
    rebuilt = Rebuilt(image=image, expected=expected, level=reached_level(image, expected), built=False)
    reference, connection = registries.push
    if offers.there:
        return rebuilt, tag_known(connection, reference, image.manifest, image.layers)
    try:
        with pushing(registries, world) as push, talk.step("Pushing") as step:
            return rebuilt, push.publish(image, progress=step)
    except OfferError as error:
        talk.warn(f"{error.message}; the image is built")
        return None


@contextmanager
def pushing(registries: Registries, world: World) -> Iterator[NewPush]:
    """Begin the push of `--push`; what the repository of `--from` has is mounted, if it is in the same registry.

    Raises:
        UsageError: There is none.
    """
    if registries.push is None:
        raise UsageError("Nothing is to be pushed")
    reference, connection = registries.push
    source = registries.source[0] if registries.source else None
    mounts = (source.repository,) if source and source.host == reference.host else ()
    memory = MountMemory(world.store.actions, reference.host)
    journal = FileJournal(user_cache_path("envcap") / "uploads")
    with new_push(connection, reference, world.store.blobs, memory=memory, mounts=mounts, journal=journal) as push:
        yield push


@contextmanager
def found_in_registry(text: str, lockfile: Lockfile, machine: Machine, *, plain_http: bool) -> Iterator[FoundImage]:
    """Open an image in a registry to check it; its layers are streamed as they are read.

    Raises:
        UsageError: The reference is none.
        RegistryError: There is no such image, or the registry answers wrongly.
    """
    reference = Reference.parse(text)
    store = open_store(machine.store)
    with open_registry(reference, machine, plain_http=plain_http) as connection, store.in_use():
        yield find_image(connection, reference, store.blobs, platform=choose_platform(lockfile, ""))


def pushed_table(pushed: PushedImage) -> dict[str, object]:
    """Write what a push did as JSON."""
    rows = {
        outcome.value: [str(layer.digest) for layer, how in pushed.outcomes if how is outcome] for outcome in Outcome
    }
    return {"reference": str(pushed.reference), "manifest": "present" if pushed.known else "sent", **rows}


def pushed_text(pushed: PushedImage) -> str:
    """Write what a push did for people."""
    name = replace(pushed.reference, digest=None) if pushed.reference.tag else pushed.reference
    if pushed.known:
        return f"pushed    {name}: the registry had it"
    parts = []
    for outcome, said in ((Outcome.PRESENT, "there"), (Outcome.MOUNTED, "mounted"), (Outcome.SENT, "sent")):
        layers = {layer.digest: layer for layer, how in pushed.outcomes if how is outcome}.values()
        if layers:
            parts.append(f"{counted(len(layers), 'layer')} {said} ({human_size(sum(row.size for row in layers))})")
    return f"pushed    {name}: {', '.join(parts)}"


def taken_text(rebuilt: Rebuilt, source: str) -> str:
    """Write for people what a registry gave."""
    size = human_size(sum(layer.size for layer in rebuilt.taken))
    return f"taken     {counted(len(rebuilt.taken), 'layer')} ({size}) from {source}"

"""`envcap verify`: parse, check the image's own digests, compare it with the lock, and say what differs."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from envcap.blobs import LockFolder
from envcap.cli.conda import has_patches
from envcap.cli.locks import is_one_registry, open_lock
from envcap.cli.machine import this_machine
from envcap.cli.patches import SHORT, local_patches, patched_files, table_of
from envcap.cli.talk import Talk, print_data
from envcap.digest import Digest
from envcap.errors import BuildError, DifferenceError, UsageError
from envcap.oci.contents import FoundImage, open_archive, open_image
from envcap.oci.docker import docker_reference, save_image
from envcap.oci.image import Image
from envcap.oci.layers import FileFacts, FoundLayer, read_files
from envcap.patched import list_patches, patch_labels
from envcap.rebuild import choose_platform, rebuild_lock
from envcap.render import columns
from envcap.store import open_store
from envcap.verify import Level, Verdict, check_integrity, compare_images, expected_level, label_differences
from envcap.world import Machine, open_world

_SHOWN = 40


def verify_command(
    lock: Path,
    image: str,
    *,
    policy: Path | None,
    plain_http: bool,
    index: tuple[str, ...],
    offline: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Verify a lock against a policy, then an image against the lock.

    Raises:
        UsageError: Neither an image nor a policy is given.
        DifferenceError: The policy is not met, or the image does not hold what the lock says.
        EnvcapError: The policy, the image or what the lock pins can't be read.
    """
    if not image and policy is None:
        raise UsageError("Nothing to verify: name an IMAGE, a `--policy`, or both", hint="see `envcap verify --help`")
    talk = Talk()
    plain = plain_http and is_one_registry(lock, registry_reference(image))
    folder = open_lock(lock, store=store, offline=offline, plain_http=plain)
    held = _hold_policy(folder, policy, last=not image, as_json=as_json) if policy else {}
    if not image:
        return
    machine = this_machine(store=store, offline=offline, index=index)
    reference = registry_reference(image)
    with _opened(image, reference, folder, machine, plain_http=plain_http) as found:
        verdict = _by_manifest(folder, found) if reference else None
        if verdict:
            talk.say("No layer was read: the manifest's digest names them all")
        else:
            with talk.step("Reading the image"):
                layers = check_integrity(found, jobs=machine.jobs)
            verdict = _by_digests(folder, found) or _by_files(folder, found, layers, machine, talk)
    if as_json:
        print_data(json.dumps(_as_json(verdict) | {"patched": table_of(list_patches(folder.lockfile))} | held))
    else:
        _report(verdict)
        if has_patches(folder.lockfile):
            print_data(f"\n{patched_files(local_patches(folder, SHORT, store=store))}")
    if verdict.level is Level.NONE:
        raise DifferenceError(
            f"{image} does not hold what the lock says: {len(verdict.differences)} files differ",
            hint="rebuild it from the lock with `envcap rebuild`",
        )


def _hold_policy(folder: LockFolder, policy: Path, *, last: bool, as_json: bool) -> dict[str, object]:
    """Check the policy first: an image of a lock that nobody vouches for is not looked at."""
    from envcap.cli.trust import check_policy, policy_table, policy_text, refuse_unmet  # noqa: PLC0415  # seldom

    judgement = check_policy(folder, policy)
    held: dict[str, object] = {"policy": policy_table(judgement)}
    if not as_json:
        print_data(policy_text(judgement))
    elif last or judgement.unmet:
        print_data(json.dumps(held))
    refuse_unmet(judgement, folder, policy)
    return held


def registry_reference(image: str) -> str:
    """Give the reference of an image in a registry, or an empty string for a path or `docker:NAME`.

    What lies on the disk is meant before a registry; a name whose first part has a dot, a colon or is `localhost` is a
    host, unless it is spelt as a path (`./`, `/`).
    """
    host, slash, _ = image.partition("/")
    if image.startswith((".", "/", "docker:")) or not slash or Path(image).exists():
        return ""
    return image if host.lower() == "localhost" or "." in host or ":" in host else ""


@contextmanager
def _opened(image: str, remote: str, folder: LockFolder, machine: Machine, *, plain_http: bool) -> Iterator[FoundImage]:
    if remote:
        from envcap.cli.push import found_in_registry  # noqa: PLC0415  # most images are elsewhere

        with found_in_registry(remote, folder.lockfile, machine, plain_http=plain_http) as found:
            yield found
        return
    reference = docker_reference(image)
    if not reference:
        with open_image(Path(image)) as found:
            yield found
        return
    # The store has room for images; the machine's folder for temporary files may lie in memory.
    store = open_store(machine.store)
    with tempfile.TemporaryFile(dir=store.root / "tmp") as file:
        save_image(reference, file)
        file.flush()
        with open_archive(file, name=image) as found:
            yield found


def _by_manifest(folder: LockFolder, found: FoundImage) -> Verdict | None:
    """Judge an image in a registry by its manifest: its digest names the config and every layer's blob.

    No layer is read: whoever pulls one hashes it. Of anything else the layers are read.
    """
    verdict = _by_digests(folder, found)
    return verdict if verdict is not None and verdict.level is Level.MANIFEST else None


def _by_digests(folder: LockFolder, found: FoundImage) -> Verdict | None:
    for expected in folder.lockfile.expected:
        manifest = Digest.parse(expected.manifest) if expected.manifest else None
        verdict = expected_level(found, image_id=Digest.parse(expected.image_id), manifest=manifest)
        if verdict is not None:
            return verdict
    return None


def _by_files(
    folder: LockFolder, found: FoundImage, layers: list[dict[str, FileFacts]], machine: Machine, talk: Talk
) -> Verdict:
    """Rebuild what the lock says, and compare file by file."""
    platform = choose_platform(folder.lockfile, "")
    with open_world(machine, held=folder.held) as world:
        rebuilt = rebuild_lock(folder.lockfile, blobs=folder.blobs, platform=platform, world=world, talk=talk)
        image = rebuilt.image
        verdict = expected_level(found, image_id=image.image_id, manifest=image.descriptor.digest)
        if verdict is not None:
            return verdict
        with talk.step("Comparing files"):
            verdict = compare_images(found, layers, image, *_reference(image, found, layers))
            return label_differences(verdict, patch_labels(folder.lockfile))


def _reference(
    image: Image, found: FoundImage, layers: list[dict[str, FileFacts]]
) -> tuple[list[dict[str, FileFacts]], dict[str, str]]:
    """Read the files of the rebuilt image, and who brings them; layers that both images have are read once."""
    known = dict(zip(found.diff_ids, layers, strict=True))
    reference: list[dict[str, FileFacts]] = []
    owners: dict[str, str] = {}
    for layer in image.layers:
        files = known.get(layer.diff_id)
        if files is None:
            opened = FoundLayer(digest=layer.digest, open=partial(image.blobs.open, layer.digest))
            diff_id, files = read_files(opened, name=layer.what)
            if diff_id != layer.diff_id:
                raise BuildError(
                    f"{layer.what}: the store's layer is damaged (expected {layer.diff_id}, found {diff_id})"
                )
        owners |= dict.fromkeys(files, layer.what)
        reference.append(files)
    return reference, owners


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "level": verdict.level.value,
        "image_id": str(verdict.image_id),
        "expected": str(verdict.expected),
        "reasons": list(verdict.reasons),
        "differences": [{"path": row.path, "what": row.what, "cause": row.cause} for row in verdict.differences],
    }


def _report(verdict: Verdict) -> None:
    print_data(f"level     {_LEVELS[verdict.level]}")
    print_data(f"image ID  {verdict.image_id}")
    if verdict.expected != verdict.image_id:
        print_data(f"expected  {verdict.expected}")
    for reason in verdict.reasons:
        print_data(f"because   {reason}")
    if verdict.differences:
        rows = [(row.what, f"/{row.path}", row.cause) for row in verdict.differences[:_SHOWN]]
        print_data("\n" + columns(rows))
        if len(verdict.differences) > _SHOWN:
            print_data(f"... and {len(verdict.differences) - _SHOWN} more (all of them with `--json`)")


_LEVELS = {
    Level.MANIFEST: "manifest: the same blobs as the lock expects",
    Level.CONFIG: "config: the same image ID as the lock expects",
    Level.CONTENT: "content: the same files as the lock gives, wrapped otherwise",
    Level.NONE: "none",
}

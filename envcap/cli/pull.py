"""`envcap pull`: parse, find a published lock, and write its folder, whole or not at all."""

import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from envcap import blobs
from envcap.blobs import LOCK_NAME, check_lock_place, kept_hashes, pinned_hashes, write_lock_folder
from envcap.cli.locks import check_name
from envcap.cli.machine import this_machine
from envcap.cli.registries import open_registry, tell_digest
from envcap.cli.talk import Talk, print_data, visible
from envcap.digest import Digest
from envcap.errors import DifferenceError, LockfileError
from envcap.lockfile.document import environment_digest, write_lockfile
from envcap.oci.image import Descriptor
from envcap.registry.connection import Connection
from envcap.registry.reference import Reference
from envcap.registry.transfer import fetch_blobs
from envcap.render import counted, human_size
from envcap.sharing.find import FoundLock, find_lock
from envcap.sharing.history import Said, claims_of
from envcap.store import open_store
from envcap.store.blobs import BlobStore
from envcap.trust import ATTESTATIONS
from envcap.trust.claims import lock_facts
from envcap.trust.folder import keep_attestation

_SHORT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """The command's options, as given."""

    reference: str
    output: Path
    name: str
    with_sources: bool
    force: bool
    plain_http: bool
    store: Path | None
    as_json: bool


def pull_command(options: PullOptions) -> None:
    """Pull a lock.

    Raises:
        UsageError: The name can't be one of a lock.
        DifferenceError: Another lock lies where it would go.
        EnvcapError: The registry has none or answers wrongly, or the folder can't be written.
    """
    started = time.monotonic()
    if options.name:
        check_name(options.name)
    reference = Reference.parse(options.reference)
    talk = Talk()
    machine = this_machine(store=options.store)
    with open_registry(reference.host, machine, plain_http=options.plain_http) as connection:
        lock = find_lock(connection, reference)
        folder = options.output / (options.name or lock.lockfile.name)
        _check_place(folder, lock, force=options.force)
        if not options.as_json:
            tell_digest(reference, lock, talk)
        wanted = _wanted(lock, with_sources=options.with_sources)
        store = open_store(machine.store)
        with store.in_use():
            said = _write(connection, lock, folder, wanted, store.blobs, talk)
    size = sum(row.size for row in wanted)
    if options.as_json:
        found = {
            "lock": str(folder / LOCK_NAME),
            "name": lock.lockfile.name,
            "digest": str(environment_digest(lock.lockfile)),
            "resolved": str(lock.reference.at(lock.root.digest)),
            "artifact": str(lock.artifact.digest),
            "image": str(lock.root.digest) if lock.has_image else None,
            "blobs": len(wanted),
            "size": size,
            "attestations": len(said),
        }
        print_data(json.dumps(found))
        return
    rows = [("lock", visible(str(folder / LOCK_NAME))), ("digest", str(environment_digest(lock.lockfile)))]
    rows += [("image", str(lock.root.digest))] if lock.has_image else []
    rows += [("blobs", f"{len(wanted)}, {human_size(size)}")]
    rows += [("attested", f"{counted(len(said), 'attestation')}, not checked here")] if said else []
    print_data("\n".join(f"{name:10}{text}" for name, text in rows))
    talk.say(f"Pulled in {time.monotonic() - started:.1f} s. Next: envcap rebuild {visible(str(folder))}")


def _check_place(folder: Path, lock: FoundLock, *, force: bool) -> None:
    """Refuse to replace another lock unasked."""
    check_lock_place(folder)
    if force or not folder.exists():
        return
    try:
        found = write_lockfile(blobs.open_lock(folder).lockfile)
    except LockfileError:
        found = ""
    if found != write_lockfile(lock.lockfile):
        raise DifferenceError(
            f"{folder} holds another lock than {lock.reference}",
            hint=f"compare them with `envcap diff {folder} {lock.pinned}`; then choose another `--name`, or `--force`",
        )


def _wanted(lock: FoundLock, *, with_sources: bool) -> list[Descriptor]:
    """Choose what lies beside the lock: what only it has, and what it pins if that was asked for; nothing else."""
    names = pinned_hashes(lock.lockfile) if with_sources else set(kept_hashes(lock.lockfile))
    return [row for sha256, row in sorted(lock.layers.items()) if sha256 in names]


def _write(
    connection: Connection, lock: FoundLock, folder: Path, wanted: list[Descriptor], store: BlobStore, talk: Talk
) -> list[Said]:
    """Have all bytes in the store, checked; then write the folder, then what is said of the lock."""
    with talk.step("Pulling") as step:
        fetch_blobs(connection, lock.reference.repository, wanted, store, progress=step)
    said, passed = claims_of(connection, lock, lock_facts(lock.lockfile))
    write_lock_folder(folder, lock.lockfile, [(row.digest.hex, partial(_copy, store, row.digest)) for row in wanted])
    for reason in passed:
        talk.warn(f"An attestation was passed over: {reason}")
    kept = []
    for row in said:
        if row.claim is None:
            talk.warn(f"{row.attestation.name} is passed over: {row.refusal}")
            continue
        name = _free_name(folder / ATTESTATIONS, row.claim.file_name, row.attestation.data)
        keep_attestation(folder / LOCK_NAME, name, row.attestation.data)
        kept.append(row)
    return kept


def _free_name(folder: Path, name: str, data: bytes) -> str:
    """Choose a file's name: whoever may push can name another's key, and must not replace what that key signed."""
    path = folder / name
    if not os.path.lexists(path) or (path.is_file() and path.read_bytes() == data):
        return name
    return f"{path.stem}-{Digest.of(data).hex[:_SHORT]}.json"


def _copy(store: BlobStore, digest: Digest, file: BinaryIO) -> None:
    store.copy_to(digest, file)

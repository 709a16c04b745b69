"""Connections to registries as the command line makes them: with this machine's logins, closed when it ends."""

import atexit
from functools import cache
from pathlib import Path

from envcap.blobs import LockFolder
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk
from envcap.errors import RegistryError, UsageError
from envcap.registry.connection import Connection
from envcap.registry.credentials import run_helper
from envcap.registry.reference import Reference
from envcap.registry.request import OFFLINE_HINT
from envcap.registry.settings import find_registry_settings
from envcap.sharing.find import FoundLock, find_lock
from envcap.sharing.held import RegistryFiles
from envcap.store import open_store
from envcap.world import Machine

PLAIN_HTTP_VARIABLE = "ENVCAP_PLAIN_HTTP"
"""Registries (`host:port`, separated by commas) that may be asked over http, for commands without `--plain-http`."""


def open_registry(host: str, machine: Machine, *, plain_http: bool = False) -> Connection:
    """Prepare to ask a registry; close it, or use it in a `with` statement.

    Raises:
        RegistryError: No registry may be asked, or a setting can't be read.
    """
    if machine.offline:
        raise RegistryError(f"{host} was not asked (offline)", hint=OFFLINE_HINT)
    plain = plain_http or host in machine.environ.get(PLAIN_HTTP_VARIABLE, "").split(",")
    settings = find_registry_settings(machine.environ, machine.home, run=run_helper(machine.environ), plain_http=plain)
    return Connection(host, settings)


def as_reference(path: Path) -> Reference | None:
    """Read a LOCK that is no path as a reference with a tag or a digest, or give None.

    A name without either would be taken for one by mistake: `lockfiles.old/ml` is a folder that isn't there.
    """
    try:
        reference = Reference.parse(str(path))
    except UsageError:
        return None
    return reference if reference.tag or reference.digest else None


def open_remote_lock(
    reference: Reference, *, store: Path | None, offline: bool, plain_http: bool = False
) -> LockFolder:
    """Read a lock of a registry; its other bytes are fetched when they are needed.

    Raises:
        RegistryError: There is none, or the registry answers wrongly or not at all.
        LockfileError: The lock can't be read.
    """
    machine = this_machine(store=store, offline=offline)
    connection = open_registry(reference.host, machine, plain_http=plain_http)
    atexit.register(connection.close)
    lock = find_lock(connection, reference)
    tell_digest(reference, lock, Talk())
    files = RegistryFiles(lock, connection, cache(lambda: open_store(machine.store).blobs))
    return LockFolder(path=Path(str(lock.reference)), lockfile=lock.lockfile, bundle=files)


def tell_digest(reference: Reference, lock: FoundLock, talk: Talk) -> None:
    """Say what a tag was resolved to: it may name something else tomorrow."""
    if reference.digest is None:
        talk.say(f"{reference} is {lock.root.digest} now, its lock {lock.artifact.digest}")


def remote_files(folder: LockFolder) -> RegistryFiles | None:
    """Give the registry's side of a lock, or None for one that lies on this machine."""
    return folder.bundle if isinstance(folder.bundle, RegistryFiles) else None

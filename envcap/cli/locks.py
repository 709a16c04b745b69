"""Opening what a command line calls LOCK: a lockfile, its folder, a bundle, or a reference to a registry."""

import os
from pathlib import Path

from envcap.blobs import LockFolder
from envcap.bundle.read import is_bundle, open_bundle
from envcap.cli.near import open_local_lock
from envcap.errors import UsageError
from envcap.lockfile.check import is_lock_name


def is_one_registry(reference: Path | str, *others: str) -> bool:
    """Tell whether a LOCK or reference is in the registry of all others that are named: `--plain-http` is for one.

    A registry that isn't meant must not be asked without TLS: whoever listens would see the login.
    """
    host = str(reference).partition("/")[0].lower()
    return all(other.partition("/")[0].lower() == host for other in others if other)


def open_lock(path: Path, *, store: Path | None = None, offline: bool = False, plain_http: bool = False) -> LockFolder:
    """Read a lock, given as the file, its folder, a bundle that holds it, or where it was published.

    Args:
        path: A path; if nothing is there, it may be a reference such as `registry.example.org/lab/ml:2026-11`.
        store: Where the bytes of a published lock go [default: the user's store].
        offline: Ask no registry.
        plain_http: Ask its registry over http.

    Raises:
        LockfileError: There is none, or it can't be read.
        RegistryError: A registry has none, or answers wrongly.
        UsageError: It is a reference with a password.
    """
    if is_bundle(path):
        return open_bundle(path)
    if os.path.lexists(path):
        return open_local_lock(path)
    from envcap.cli.registries import as_reference, open_remote_lock  # noqa: PLC0415  # most locks are files
    from envcap.registry.reference import refuse_userinfo  # noqa: PLC0415

    refuse_userinfo(str(path))
    if reference := as_reference(path):
        return open_remote_lock(reference, store=store, offline=offline, plain_http=plain_http)
    return open_local_lock(path)


def check_name(name: str) -> None:
    """Refuse what can't be the name of a lock, before anything is done for it.

    Raises:
        UsageError: It is too long, or holds another character.
    """
    if not is_lock_name(name):
        expected = "at most 128 letters, digits, `.`, `_` and `-`, with a letter or digit at each end"
        raise UsageError(f"Unexpected name {name[:100]!r} (expected {expected})", hint="give another with `--name`")

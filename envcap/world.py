"""This machine, as an argument: what the verbs may ask of it, gathered once by the command line.

Environment variables, home, clock, network and store enter here and nowhere else.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from envcap.archives.held import Held
from envcap.digest import Digest
from envcap.errors import SourceError, StoreError
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine
from envcap.interpreter import find_python_mirror
from envcap.secrets.urls import scrub_url
from envcap.sources.conda_settings import CondaSettings, find_conda_settings
from envcap.sources.debian_archive import DebianAccess
from envcap.sources.debian_settings import DebianMirrors, find_debian_mirrors
from envcap.sources.debian_signature import run_command
from envcap.sources.debian_transport import MirrorTransport, Transport
from envcap.sources.http import OFFLINE_HINT, Session
from envcap.sources.settings import find_index_settings
from envcap.store import Store, open_store
from envcap.store.actions import action_key


class Reporter(Protocol):
    """Shows what is being done."""

    def step(self, title: str) -> AbstractContextManager[Callable[[str, int, int], None]]:
        """Open one step; it gives a function that takes what is done, how far, and of how much."""


def no_gpu() -> tuple[GpuMachine, tuple[Finding, ...]]:
    """Answer for a machine of whose GPUs nothing shall be known."""
    return GpuMachine(), ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the process was started with.

    Attributes:
        environ: Environment variables.
        home: The user's home.
        cwd: The current folder.
        store: Where the content store is.
        offline: Ask nobody.
        indexes: Package indexes named on the command line.
        jobs: Threads for work that keeps a core busy.
        now: Seconds since the epoch.
        virtual: Gives conda's virtual packages of the machine: version, and build behind a space. Empty: not known.
        gpu: Asks for the machine's GPUs and drivers, and what is odd about them.
    """

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    store: Path
    offline: bool = False
    indexes: tuple[str, ...] = ()
    jobs: int = 2
    now: int = 0
    virtual: Callable[[], Mapping[str, str]] = dict
    gpu: Callable[[], tuple[GpuMachine, tuple[Finding, ...]]] = no_gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An open store and open connections.

    Attributes:
        machine: What it was made from.
        store: The store.
        session: Package indexes and their credentials.
        transport: Debian mirrors.
        conda: conda's channels and package caches.
        held: Bundles, which are asked before any server.
    """

    machine: Machine
    store: Store
    session: Session
    transport: Transport
    conda: CondaSettings = field(default_factory=CondaSettings)
    held: tuple[Held, ...] = ()

    def debian_mirrors(self) -> DebianMirrors:
        """Find the machine's Debian mirrors.

        Raises:
            SystemPackageError: None is known.
        """
        return find_debian_mirrors(self.machine.environ)

    def debian_access(self) -> DebianAccess:
        """Give what reading a Debian archive takes."""
        return DebianAccess(
            mirrors=self.debian_mirrors(),
            transport=self.transport,
            cache=StoredCache(self.store),
            run=run_command,
            now=self.machine.now,
        )


@contextmanager
def open_world(machine: Machine, *, prefix: Path | None = None, held: tuple[Held, ...] = ()) -> Iterator[World]:
    """Open the store and the connections, and close them again.

    Args:
        machine: This machine.
        prefix: An environment whose own `pip.conf` counts, if any.
        held: Bundles at hand.

    Raises:
        StoreError: The store can't be used.
        UsageError: A setting makes no sense.
    """
    with ExitStack() as stack:
        store = open_store(machine.store)
        stack.enter_context(store.in_use())
        settings = find_index_settings(
            machine.environ, machine.home, machine.cwd, extra_indexes=machine.indexes, prefix=prefix
        )
        conda = find_conda_settings(machine.environ, machine.home, machine.cwd, prefix=prefix)
        rules = (*settings.credentials.rules, *conda.credentials)
        settings = replace(settings, credentials=replace(settings.credentials, rules=rules))
        mirrors = [find_python_mirror(machine.environ), *conda.urls]
        session = Session(settings, mirrors=mirrors, offline=machine.offline, sleep=time.sleep)
        stack.enter_context(session)
        transport = SessionTransport(session)
        yield World(machine=machine, store=store, session=session, transport=transport, conda=conda, held=held)


class SessionTransport:
    """Reads mirrors through a session's client, which is made when a server is first asked; none is asked offline."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        """Yield the bytes in order; see `Transport`."""
        if self._session.offline and not url.startswith("file:"):
            raise SourceError(f"{scrub_url(url)} was not asked (offline)", hint=OFFLINE_HINT)
        return MirrorTransport(self._session.client).stream(url, limit=limit)


class StoredCache:
    """Parsed indexes, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> bytes | None:
        """Recall a table, or None."""
        record = self._store.recall(_key(key))
        if record is None:
            return None
        try:
            with self._store.blobs.open_verified(Digest.parse(str(record["blob"]))) as file:
                return file.read()
        except StoreError:
            return None  # damaged: it was set aside, and is parsed anew

    def put(self, key: str, data: bytes) -> None:
        """Keep a table."""
        digest = self._store.blobs.add_bytes(data)
        self._store.actions.put(_key(key), {"blob": str(digest)}, blobs=[digest])


def _key(key: str) -> Digest:
    return action_key("index", {"key": key})

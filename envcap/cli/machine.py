"""The machine as the command line finds it: the one place that reads environment variables, home and clock."""

import os
import time
from functools import partial
from pathlib import Path

from platformdirs import user_cache_path

from envcap.cpu import level_of_machine
from envcap.errors import UsageError
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine
from envcap.scan.conda_virtual import detect_virtual
from envcap.store import default_store_path
from envcap.world import Machine

_CPUINFO = Path("/proc/cpuinfo")


def this_machine(*, store: Path | None, offline: bool = False, index: tuple[str, ...] = (), jobs: int = 0) -> Machine:
    """Gather what the process was started with.

    Raises:
        UsageError: The user has no home folder.
    """
    return Machine(
        environ=dict(os.environ),
        home=_home(),
        cwd=Path.cwd(),
        store=store.absolute() if store else store_location(),
        offline=offline,
        indexes=index,
        jobs=jobs or len(os.sched_getaffinity(0)),
        now=int(time.time()),
        virtual=partial(detect_virtual, dict(os.environ)),
        gpu=partial(_ask_gpu, dict(os.environ)),
    )


def _ask_gpu(environ: dict[str, str]) -> tuple[GpuMachine, tuple[Finding, ...]]:
    from envcap.driver import Asker, ProgramRunner, capture_gpu  # noqa: PLC0415  # most environments have no GPU code

    return capture_gpu(Path("/"), environ, asker=Asker(run=ProgramRunner(environ=environ)))


def store_location() -> Path:
    """Tell where the store is when no option says."""
    return default_store_path(os.environ, user_cache_path("envcap"))


def cpu_level() -> str | None:
    """Tell this machine's level of x86-64, or None where nobody says it."""
    try:
        return level_of_machine(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError("The user has no home folder", hint="set HOME, and name a store with `--store`") from error

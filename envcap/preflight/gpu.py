"""Whether a lock's GPU code runs on a machine, and whether that is a reason to stop. Pure."""

from envcap.gpu.model import GpuMachine
from envcap.gpu.preflight import RUNS, Level, Preflight
from envcap.gpu.table import gpu_table
from envcap.gpu.verdict import judge
from envcap.lockfile.model import Lockfile


def preflight(lockfile: Lockfile, machine: GpuMachine, *, cdi: bool | None = None) -> Preflight | None:
    """Judge a machine for a lock; None for a lock that wants no GPU.

    Args:
        lockfile: The lock.
        machine: What `capture_gpu` found, or `imagine_machine` made up.
        cdi: As for `judge`.
    """
    if not (lockfile.gpu.code or lockfile.gpu.libraries or lockfile.gpu.frameworks):
        return None
    found = judge(lockfile.gpu, machine, gpu_table(), cdi=cdi)
    return found if found.vendors else None


def refuses(found: Preflight, lockfile: Lockfile) -> bool:
    """Tell whether the environment will not run on the machine as it ran where it was locked.

    What runs on a CPU too does so on a machine without a GPU; it is refused there only if the machine of the snapshot
    had one, so that results came from it. What is not known is no refusal: it is said.
    """
    if found.cpu_only:
        return bool(lockfile.session.gpu.devices)
    return found.best not in RUNS and found.best is not Level.UNKNOWN

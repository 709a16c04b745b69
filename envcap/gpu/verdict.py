"""Judge whether an environment runs on a machine, and propose what to do if it doesn't. Pure."""

from dataclasses import replace

from envcap.gpu.fix import find_fix
from envcap.gpu.judge import judge_machine
from envcap.gpu.model import AMD, NVIDIA, GpuDevice, GpuDriver, GpuMachine, GpuStack
from envcap.gpu.models import find_model
from envcap.gpu.preflight import Preflight
from envcap.gpu.table import GpuTable


def judge(stack: GpuStack, machine: GpuMachine, table: GpuTable, *, cdi: bool | None = None) -> Preflight:
    """Judge each library of an environment on each kind of device, the worst wins.

    A machine without a GPU gets `will-not-run` with `cpu_only` set: the caller knows whether a GPU is expected of it.

    Args:
        stack: The lock's `[gpu]`.
        machine: What `capture_gpu` found, or `imagine_machine` made up.
        table: The compatibility table, `gpu_table()`.
        cdi: Whether containers of the machine can be given its GPUs (a CDI specification or NVIDIA's runtime); None if
            nobody looked, or the environment is used without a container.

    Returns:
        The verdict, with at most one fix, which was judged anew: it does lead to a better one.
    """
    preflight = judge_machine(stack, machine, table, cdi=cdi)
    return replace(preflight, fix=find_fix(stack, machine, table, preflight, cdi=cdi))


def imagine_machine(gpu: str, driver: str, table: GpuTable) -> GpuMachine:
    """Make up a machine of which a user asks by the names of a GPU and a driver.

    Args:
        gpu: Any name of a model: `H100`, `NVIDIA H100 80GB HBM3`.
        driver: Version or branch: `580.95.05`, `580`, `R580`; empty for the newest that drives the GPU.
        table: The compatibility table.

    Raises:
        UsageError: No model, or more than one, has that name.
    """
    model = find_model(gpu, table)
    version = driver.strip().removeprefix("R").removeprefix("r")
    if not version and model.vendor == NVIDIA:
        last = [row.last_branch for row in table.capabilities if ".".join(map(str, row.version)) == model.arch]
        version = str((last and last[0]) or table.branches[-1].number)
    elif not version and model.vendor == AMD:
        version = ".".join(map(str, table.rocm[-1].driver))
    return GpuMachine(
        context="jetson" if model.kind == "jetson" else "bare",
        drivers=(GpuDriver(vendor=model.vendor, version=version),),
        devices=(GpuDevice(vendor=model.vendor, name=model.name, arch=model.arch),),
    )

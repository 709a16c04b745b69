"""GPUs on the command line: rows of a summary, the preflight of a machine, and `envcap gpu where`."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from envcap.cli.locks import open_lock
from envcap.cli.talk import Talk, print_data, visible
from envcap.errors import DifferenceError, UsageError
from envcap.gpu.model import GpuDevice, GpuMachine, GpuStack
from envcap.gpu.preflight import RUNS, Level, Preflight
from envcap.gpu.table import gpu_table
from envcap.gpu.verdict import imagine_machine
from envcap.gpu.where import WhereRow, where
from envcap.gpu.words import say_needs, say_preflight
from envcap.gpu_preflight import preflight, refuses
from envcap.lockfile.model import Lockfile
from envcap.render import columns, counted
from envcap.world import Machine

_WIDTH = 100
_SHOWN = 4
_PACKAGES_SHOWN = 3
_MAIN = ("cuda", "cudart", "cudnn", "nccl", "rocm", "tensorrt")
"""Libraries that a summary names; the lock has them all."""


def gpu_rows(lockfile: Lockfile) -> list[tuple[str, str]]:
    """Say what an environment needs of a GPU, brings, and hides, and what the snapshot's machine had."""
    stack, machine = lockfile.gpu, lockfile.session.gpu
    if stack == GpuStack():
        return []
    needs = say_needs(stack, gpu_table()) or "no code for GPUs that needs a certain driver"
    return [
        *_wrapped("GPU", needs),
        *_wrapped("", "; ".join(filter(None, (_libraries(stack), _frameworks(stack), _code(stack))))),
        *_wrapped("not seen", "; ".join(stack.blind)),
        *_wrapped("GPU here", say_machine(machine)),
    ]


def say_machine(machine: GpuMachine) -> str:
    """Say what a machine has: `2 x NVIDIA H100 80GB HBM3 (9.0, 81559 MiB), NVIDIA driver 580.95.05 for CUDA 13.0`."""
    devices = [_device(device) for device in machine.devices]
    drivers = [
        f"{row.vendor} driver {row.version or row.user or 'unknown'}"
        + (f" ({row.flavour})" if row.flavour else "")
        + (f" for CUDA {row.api}" if row.api else "")
        for row in machine.drivers
    ]
    where_it_is = [f"in {machine.context}"] if machine.context not in {"", "bare"} else []
    return ", ".join([*devices, *drivers, *where_it_is])


def warn_of_gpu(lockfile: Lockfile, machine: Machine, talk: Talk) -> None:
    """Say, before anything is fetched, that what is built will not run here; it may be for another machine."""
    if lockfile.gpu == GpuStack():
        return
    found = preflight(lockfile, machine.gpu()[0])
    if found and not found.cpu_only and found.best not in RUNS:
        talk.warn("This machine's GPU will not do for the image, which can be built here all the same:")
        for line in say_preflight(found):
            talk.say(f"  {visible(line)}")


def preflight_of(
    lockfile: Lockfile, machine: Machine, *, gpu: str, driver: str
) -> tuple[Preflight | None, GpuMachine, tuple[str, ...]]:
    """Judge this machine, or one that is only named; gives the verdict, the machine, and what is odd about it.

    Raises:
        UsageError: No model has that name.
    """
    if driver and not gpu:
        raise UsageError("`--driver` says which driver a GPU has that one asks about", hint="name it with `--gpu`")
    if lockfile.gpu == GpuStack():
        return None, GpuMachine(), ()
    if gpu:
        imagined = imagine_machine(gpu, driver, gpu_table())
        return preflight(lockfile, imagined), imagined, ()
    here, findings = machine.gpu()
    return preflight(lockfile, here), here, tuple(row.message for row in findings)


def report_preflight(found: Preflight | None, machine: GpuMachine, odd: tuple[str, ...], talk: Talk) -> None:
    """Say a verdict."""
    if found is None:
        return
    for message in odd:
        talk.warn(message)
    if machine.devices or machine.drivers:
        print_data(f"GPU: {visible(say_machine(machine))}")
    for line in say_preflight(found):
        print_data(f"  {visible(line)}")


def judge_preflight(found: Preflight | None, lockfile: Lockfile, *, asked: bool) -> None:
    """End with status 3 if the environment will not run.

    Args:
        found: The verdict.
        lockfile: The lock.
        asked: A GPU was named, so that one is expected.

    Raises:
        DifferenceError: It will not run.
    """
    if found and (refuses(found, lockfile) or (asked and found.level not in RUNS and found.level is not Level.UNKNOWN)):
        weakest = f" ({found.weakest.name} decides)" if found.weakest else ""
        raise DifferenceError(
            f"The lock's GPU code will not run on {'such a' if asked else 'this'} machine{weakest}",
            hint="see where it runs with `envcap gpu where LOCK`",
        )


def preflight_table(found: Preflight | None) -> dict[str, object]:
    """Write a verdict as JSON."""
    return {"gpu": asdict(found) | {"best": found.best.value}} if found else {}


def where_command(lock: Path, *, as_json: bool) -> None:
    """List the GPU models and driver branches on which a lock runs.

    Raises:
        LockfileError: It can't be read.
    """
    lockfile = open_lock(lock).lockfile
    rows = where(lockfile.gpu, gpu_table()) if lockfile.gpu != GpuStack() else ()
    if as_json:
        print_data(json.dumps({"rules": gpu_table().rules, "rows": [asdict(row) for row in rows]}))
        return
    if not rows:
        print_data("The lock has no code for a GPU of which this version knows: it runs wherever its CPU code does")
        return
    print_data(f"{say_needs(lockfile.gpu, gpu_table())}\n")
    runs = [row for row in rows if row.level in RUNS or row.level is Level.COMPAT]
    print_data(columns([("runs on", "driver", ""), *(_where(row) for row in runs)]) if runs else "It runs on none.")
    for compat in sorted({row.compat for row in runs if row.compat}):
        print_data(f"* also R{', R'.join(map(str, compat))}, with NVIDIA's package cuda-compat in the image")
    if others := [row for row in rows if row not in runs]:
        print_data("")
        print_data(
            columns(
                [("not on", "for lack of code in", ""), *((row.arch, _excluded(row), _models(row)) for row in others)]
            )
        )
    for text in lockfile.gpu.blind:
        Talk().say(f"not seen: {visible(text)}")


def _where(row: WhereRow) -> tuple[str, str, str]:
    driver = f"{row.at_least} or newer" if row.at_least else "any"
    driver = f"{row.at_least} to R{row.at_most}" if row.at_most else driver
    level = "" if row.level is Level.OK else row.level.value
    notes = "; ".join(filter(None, (level, f"best from {row.at_best}" if row.at_best else "", row.why)))
    return row.arch, driver + (" *" if row.compat else ""), _models(row) + (f" ({notes})" if notes else "")


def _excluded(row: WhereRow) -> str:
    names = ", ".join(row.excluded_by[:_PACKAGES_SHOWN]) or row.why or row.level.value
    more = f" and {len(row.excluded_by) - _PACKAGES_SHOWN} more" if len(row.excluded_by) > _PACKAGES_SHOWN else ""
    return names + more


def _models(row: WhereRow) -> str:
    more = f" and {len(row.models) - _SHOWN} more" if len(row.models) > _SHOWN else ""
    return ", ".join(row.models[:_SHOWN]) + more


def _device(device: GpuDevice) -> str:
    count = f"{device.count} x " if device.count > 1 else ""
    facts = [device.arch, f"{device.memory_mib} MiB" if device.memory_mib else ""]
    facts += [f"{name} {value}" for name, value in sorted(device.traits.items()) if name in {"mig", "mig-devices"}]
    told = ", ".join(filter(None, facts))
    return f"{count}{device.name}" + (f" ({told})" if told else "")


def _libraries(stack: GpuStack) -> str:
    named: Mapping[str, list[str]] = {name: [] for name in _MAIN}
    for row in stack.libraries:
        if row.name in named and row.version and row.version not in named[row.name]:
            named[row.name].append(row.version)
    return ", ".join(f"{name} {', '.join(versions)}" for name, versions in named.items() if versions)


def _frameworks(stack: GpuStack) -> str:
    return ", ".join(f"{row.name} {row.version} for {row.built_for}" for row in stack.frameworks)


def _code(stack: GpuStack) -> str:
    return f"GPU code in {counted(len(stack.code), 'library')}".replace("librarys", "libraries") if stack.code else ""


def _wrapped(name: str, text: str) -> Iterator[tuple[str, str]]:
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return ((name if number == 0 else "", line) for number, line in enumerate(lines))

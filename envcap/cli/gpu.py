"""GPUs on the command line: rows of a summary, the preflight of a machine, and `envcap gpu where`."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from envcap.cli.locks import open_lock
from envcap.cli.talk import Talk, print_data, visible, visible_lines
from envcap.errors import DifferenceError, UsageError
from envcap.few import few
from envcap.gpu.model import VENDOR_NAMES, GpuDevice, GpuDriver, GpuMachine, GpuStack
from envcap.gpu.preflight import RUNS, Level, Preflight
from envcap.gpu.table import gpu_table
from envcap.gpu.verdict import imagine_machine
from envcap.gpu.where import WhereRow, where
from envcap.gpu.words import say_needs, say_preflight
from envcap.lockfile.model import Lockfile
from envcap.preflight.gpu import preflight, refuses
from envcap.render import columns, counted, wrap, wrapped_rows
from envcap.world import Machine

_WIDTH = 100
_NARROWEST = 32
_SHOWN = 4
_PACKAGES_SHOWN = 3
_MAIN = ("cuda", "cudart", "cudnn", "nccl", "rocm", "tensorrt")
"""Libraries that a summary names; the lock has them all."""
_BLIND_SHOWN = 8
_FRAMEWORKS_SHOWN = 12
_CONTEXTS = {
    "container": "seen from a container",
    "wsl2": "under WSL2",
    "jetson": "a Jetson",
    "vgpu": "a virtual GPU",
}


def gpu_rows(lockfile: Lockfile) -> list[tuple[str, str]]:
    """Say what an environment needs of a GPU, brings, and hides, and what the snapshot's machine had."""
    stack, machine = lockfile.gpu, lockfile.session.gpu
    if stack == GpuStack():
        return []
    needs = say_needs(stack, gpu_table()) or "no code for GPUs that needs a certain driver"
    return [
        *wrapped_rows("GPU", needs),
        *wrapped_rows("", "; ".join(filter(None, (_libraries(stack), _frameworks(stack), _code(stack))))),
        *wrapped_rows("not seen", _capped(stack.blind, _BLIND_SHOWN, "; ")),
        *wrapped_rows("locked on", say_machine(machine)),
    ]


def say_machine(machine: GpuMachine) -> str:
    """Say what a machine has: `2 x NVIDIA H100 80GB HBM3 (9.0, 81559 MiB), NVIDIA driver 580.95.05 for CUDA 13.0`."""
    devices = [_device(device) for device in machine.devices]
    where_it_is = [_CONTEXTS[machine.context]] if machine.context in _CONTEXTS else []
    return ", ".join([*devices, *map(_driver, machine.drivers), *where_it_is])


def warn_of_gpu(lockfile: Lockfile, machine: Machine, talk: Talk) -> None:
    """Say, before anything is fetched, that what is built will not run here; it may be for another machine."""
    if lockfile.gpu == GpuStack():
        return
    found = preflight(lockfile, machine.gpu()[0])
    if found and not found.cpu_only and found.best not in RUNS:
        told = "It can't be told whether this machine's GPU will do for the image"
        said = told if found.best is Level.UNKNOWN else "This machine's GPU will not do for the image"
        talk.warn(f"{said}, which can be built here all the same:")
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


def report_preflight(
    found: Preflight | None, machine: GpuMachine, odd: tuple[str, ...], talk: Talk, *, here: bool = False
) -> None:
    """Say a verdict; `here` if the question was about an environment, and the machine is only where it is."""
    if found is None:
        return
    for message in odd:
        talk.warn(message)
    if here and found.cpu_only:
        # An environment is compared on laptops too: that is one remark there, and no verdict of its own.
        vendors = " or ".join(VENDOR_NAMES[vendor] for vendor in found.vendors)
        talk.say(
            f"No {vendors} GPU here: what the lock has for one was not judged (`envcap check LOCK --machine` does)"
        )
        return
    if machine.devices or machine.drivers:
        said = f"GPU: {visible(say_machine(machine))}"
        width = shutil.get_terminal_size((_WIDTH, 0)).columns
        print_data("\n".join(wrap(said, width, indent="     ")))
    for line in say_preflight(found):
        print_data(f"  {visible(line)}")


def judge_preflight(found: Preflight | None, lockfile: Lockfile, *, asked: bool, here: bool = False) -> None:
    """End with status 3 if the environment will not run.

    Args:
        found: The verdict.
        lockfile: The lock.
        asked: A GPU was named, so that one is expected.
        here: The question was about an environment: that its machine has no GPU is no drift.

    Raises:
        DifferenceError: It will not run.
    """
    if found and here and found.cpu_only:
        return
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
    platforms = {package.platform for package in lockfile.system}
    rows = where(lockfile.gpu, gpu_table(), platforms) if lockfile.gpu != GpuStack() else ()
    if as_json:
        print_data(json.dumps({"rules": gpu_table().rules, "rows": [asdict(row) for row in rows]}))
        return
    if not rows:
        print_data(
            "The lock's GPU code is made when it runs, so that no table can tell where it does"
            if lockfile.gpu.blind
            else "The lock has no code for a GPU of which this version knows: it runs wherever its CPU code does"
        )
        _say_blind(lockfile.gpu)
        return
    width = shutil.get_terminal_size((_WIDTH, 0)).columns
    needs = wrap(visible(say_needs(lockfile.gpu, gpu_table())), width)
    print_data("\n".join([*needs, ""]) + "\n")
    runs = [row for row in rows if row.level in RUNS or row.level is Level.COMPAT]
    print_data(_table([("runs on", "driver", ""), *map(_where, runs)], width) if runs else "It runs on none.")
    for compat in sorted({row.compat for row in runs if row.compat}):
        print_data(f"* also R{', R'.join(map(str, compat))}, with NVIDIA's package cuda-compat in the image")
    if others := [row for row in rows if row not in runs]:
        print_data("")
        head = ("not on", "because of", "")
        print_data(_table([head, *((row.arch, _excluded(row), _models(row)) for row in others)], width))
    _say_blind(lockfile.gpu)


def say_unjudged(stack: GpuStack) -> str:
    """Say why there is no verdict: the lock wants no GPU, or only its programs will tell which."""
    if not stack.blind:
        return "The lock wants no GPU"
    return f"No verdict: only programs can tell which GPU they need ({_capped(stack.blind, _BLIND_SHOWN, '; ')})"


def _say_blind(stack: GpuStack) -> None:
    talk = Talk()
    for text in stack.blind[:_BLIND_SHOWN]:
        talk.say(f"not seen: {visible(text)}")
    if len(stack.blind) > _BLIND_SHOWN:
        talk.say(f"not seen: and {len(stack.blind) - _BLIND_SHOWN} more (`envcap show LOCK --json` has them)")


def _table(rows: Sequence[tuple[str, str, str]], width: int) -> str:
    """Align rows, and wrap the last column into what is left of a terminal's width, if that holds a few words."""
    left = sum(max(len(row[index]) for row in rows) + 2 for index in (0, 1))
    wrapped: list[tuple[str, str, str]] = []
    for arch, what, models in rows:
        lines = wrap(models, max(width - left, _NARROWEST))
        wrapped += [(arch, what, (lines or [""])[0]), *(("", "", line) for line in lines[1:])]
    return visible_lines(columns(wrapped))


def _where(row: WhereRow) -> tuple[str, str, str]:
    driver = f"{row.at_least} or newer" if row.at_least else "any"
    driver = f"{row.at_least} to R{row.at_most}" if row.at_most else driver
    level = "" if row.level is Level.OK else row.level.value
    notes = "; ".join(filter(None, (level, f"best with {row.at_best} or newer" if row.at_best else "", row.why)))
    return row.arch, driver + (" *" if row.compat else ""), _models(row) + (f" ({notes})" if notes else "")


def _excluded(row: WhereRow) -> str:
    return few(row.excluded_by, _PACKAGES_SHOWN) or row.why or row.level.value


def _models(row: WhereRow) -> str:
    return few(row.models, _SHOWN)


def _driver(driver: GpuDriver) -> str:
    version = driver.version or driver.user or "of unknown version"
    flavour = f" ({driver.flavour})" if driver.flavour else ""
    return f"{VENDOR_NAMES[driver.vendor]} driver {version}{flavour}" + (
        f" for CUDA {driver.api}" if driver.api else ""
    )


def _device(device: GpuDevice) -> str:
    count = f"{device.count} x " if device.count > 1 else ""
    facts = [device.arch, f"{device.memory_mib} MiB" if device.memory_mib else ""]
    split = device.traits.get("mig-devices", "") or ("on" if device.traits.get("mig") == "on" else "")
    facts += [f"MIG: {split}" if split else ""]
    told = ", ".join(filter(None, facts))
    return f"{count}{device.name}" + (f" ({told})" if told else "")


def _libraries(stack: GpuStack) -> str:
    named: Mapping[str, list[str]] = {name: [] for name in _MAIN}
    for row in stack.libraries:
        if row.name in named and row.version and row.version not in named[row.name]:
            named[row.name].append(row.version)
    return ", ".join(f"{name} {', '.join(versions)}" for name, versions in named.items() if versions)


def _frameworks(stack: GpuStack) -> str:
    said = [f"{row.name} {row.version} for {row.built_for}" for row in stack.frameworks]
    return _capped(said, _FRAMEWORKS_SHOWN, ", ")


def _code(stack: GpuStack) -> str:
    return f"GPU code in {counted(len(stack.code), 'library')}".replace("librarys", "libraries") if stack.code else ""


def _capped(texts: Sequence[str], shown: int, between: str) -> str:
    more = [f"and {len(texts) - shown} more"] if len(texts) > shown else []
    return between.join([*texts[:shown], *more])

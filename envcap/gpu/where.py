"""On which GPU models and driver branches an environment runs, and what excludes the others. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from envcap.gpu.brief import Brief, abridge
from envcap.gpu.judge import judge_machine
from envcap.gpu.lookup import capability_of, floor_of, native_driver
from envcap.gpu.model import AMD, NVIDIA, GpuDevice, GpuDriver, GpuMachine, GpuStack
from envcap.gpu.preflight import RUNS, DeviceVerdict, Level, Preflight, rank
from envcap.gpu.runtimes import cuda_runtimes, wanted_vendors
from envcap.gpu.table import GpuModel, GpuTable
from envcap.gpu.targets import parse_capability
from envcap.gpu.versions import dotted, parse_version

_NO_RELEASE = 999
"""Stands for the newest release of a branch, whose every floor is behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereRow:
    """Models of one kind and architecture, which run or don't alike.

    Attributes:
        vendor: `nvidia` or `amd`.
        arch: `9.0` or `gfx942`.
        models: As their maker sells them.
        level: The best over the drivers that the table knows.
        at_least: Lowest driver that runs, `580.65.06`; empty where none does or the vendor's drivers don't decide.
        at_most: Last driver branch that runs, `580`; empty if newer ones do.
        at_best: Lowest driver on which the level is reached, where that is newer than `at_least`.
        compat: Older branches that run with the package `cuda-compat-…` in the image.
        excluded_by: Packages without code for the architecture; `CUDA 13.2` for the runtime. Empty where it runs.
        why: What is to be said of the first of them, or of the best level.
    """

    vendor: str
    arch: str
    models: tuple[str, ...]
    level: Level
    at_least: str = ""
    at_most: str = ""
    at_best: str = ""
    compat: tuple[int, ...] = ()
    excluded_by: tuple[str, ...] = ()
    why: str = ""


def where(stack: GpuStack, table: GpuTable, platforms: Collection[str] = ()) -> tuple[WhereRow, ...]:
    """List models by whether, and from which driver on, an environment runs on them.

    Args:
        stack: The lock's.
        table: The compatibility table.
        platforms: That the lock serves, `linux/amd64`; none leaves CPUs out of account.

    Returns:
        Rows in the table's order of models: by vendor, then by architecture; those that run and those that don't.
        Empty for an environment that wants no GPU of a vendor that the table knows.
    """
    groups: dict[tuple[str, str], dict[tuple[str, str], list[GpuModel]]] = {}
    vendors = wanted_vendors(stack)
    for model in table.models:
        if model.vendor in vendors:
            groups.setdefault((model.vendor, model.arch), {}).setdefault((model.kind, model.cpu), []).append(model)
    kinds = sorted(
        (table.models.index(models[0]), models, brief)
        for (vendor, arch), by_kind in groups.items()
        for brief in [abridge(stack, arch, table) if vendor == NVIDIA else Brief(stack=stack)]
        for models in by_kind.values()
    )
    rows = (_foreign(models, platforms) or _row(brief, models, table) for _, models, brief in kinds)
    return tuple(_merged(rows))


def _foreign(models: list[GpuModel], platforms: Collection[str]) -> WhereRow | None:
    """Exclude models that come only with a CPU on which the image does not run."""
    model = models[0]
    if not platforms or not model.cpu or f"linux/{model.cpu}" in platforms:
        return None
    return WhereRow(
        vendor=model.vendor,
        arch=model.arch,
        models=tuple(one.name for one in models),
        level=Level.WILL_NOT_RUN,
        why=f"its {model.cpu} CPU",
    )


def _row(brief: Brief, models: list[GpuModel], table: GpuTable) -> WhereRow:
    stack, model = brief.stack, models[0]
    verdicts = dict(sorted(_by_branch(stack, model, table)))
    best = min((one.level for one in verdicts.values()), key=rank)
    # Where all of it runs, a driver with which some of it does is too old.
    good = RUNS if best == Level.PARTIAL else RUNS - {Level.PARTIAL}
    runs = {branch: one for branch, one in verdicts.items() if one.level in good}
    shown = max(
        (one.devices[0] for one in verdicts.values() if one.level == best),
        key=lambda one: -len(brief.excluding(one)),
    )
    newest = table.branches[-1].number
    if model.kind == "jetson":
        text = "" if runs else _why(shown)
        return WhereRow(
            vendor=model.vendor,
            arch=model.arch,
            models=tuple(one.name for one in models),
            level=best,
            excluded_by=() if runs else brief.excluding(shown),
            why=text or "drivers of Jetson are numbered otherwise: JetPack brings its own",
        )
    return WhereRow(
        vendor=model.vendor,
        arch=model.arch,
        models=tuple(one.name for one in models),
        level=best,
        at_least=_lowest(stack, min(runs), table) if runs and model.vendor == NVIDIA else "",
        at_most=str(max(runs)) if runs and model.vendor == NVIDIA and max(runs) != newest else "",
        at_best=_from(stack, runs, best, table) if runs and model.vendor == NVIDIA else "",
        compat=tuple(branch for branch, one in verdicts.items() if one.level == Level.COMPAT),
        excluded_by=() if runs else brief.excluding(shown),
        why=_why(shown),
    )


def _by_branch(stack: GpuStack, model: GpuModel, table: GpuTable) -> Iterator[tuple[int, Preflight]]:
    device = GpuDevice(vendor=model.vendor, name=model.name, arch=model.arch)
    if model.vendor == AMD:
        driver = GpuDriver(vendor=AMD, version=dotted(table.rocm[-1].driver))
        yield 0, judge_machine(stack, GpuMachine(context="bare", drivers=(driver,), devices=(device,)), table)
        return
    capability = capability_of(parse_capability(model.arch) or (), table)
    last = (capability.last_branch if capability else 0) or table.branches[-1].number
    known = [branch for branch in table.branches if branch.number <= last]
    later = [branch for branch in table.branches if branch.number > last]
    for branch in (known[-1], *known[:-1], *later):
        driver = GpuDriver(vendor=NVIDIA, version=f"{branch.number}.{_NO_RELEASE}", api=dotted(branch.cuda))
        machine = GpuMachine(context="bare", drivers=(driver,), devices=(device,))
        verdict = judge_machine(stack, machine, table)
        yield branch.number, verdict
        if branch == known[-1] and verdict.level == Level.WILL_NOT_RUN:
            # The newest driver that there is for it does not help: no older one does.
            return


def _lowest(stack: GpuStack, branch: int, table: GpuTable) -> str:
    """Give the lowest release of a branch that runs: that of a floor within it, else the first that a toolkit had."""
    runtimes = cuda_runtimes(stack.libraries, stack.frameworks, stack.code, table)
    floors = [floor.driver for one in runtimes if (floor := floor_of(one.version[0], table))]
    within = [text for text in floors if (parse_version(text) or (0,))[0] == branch]
    return max(within, key=lambda text: parse_version(text) or ()) if within else str(branch)


def _from(stack: GpuStack, verdicts: dict[int, Preflight], best: Level, table: GpuTable) -> str:
    """Give the driver from which the best level holds, where a lower one runs less well."""
    first = next((branch for branch, one in verdicts.items() if one.level == best), 0)
    if first == min(verdicts):
        return ""
    runtimes = cuda_runtimes(stack.libraries, stack.frameworks, stack.code, table)
    native = native_driver(runtimes[0].version, table) if runtimes else ""
    return native if (parse_version(native) or (0,))[0] == first else str(first)


def _why(verdict: DeviceVerdict) -> str:
    findings = (*(one for part in verdict.libraries[:1] for one in part.findings), *verdict.findings)
    return findings[0].words if findings else ""


def _merged(rows: Iterator[WhereRow]) -> Iterator[WhereRow]:
    """Join kinds of one architecture that do alike in everything."""
    seen: dict[tuple[object, ...], WhereRow] = {}
    for row in rows:
        key = (row.vendor, row.arch, row.level, row.at_least, row.at_most, row.at_best, row.compat, row.excluded_by)
        before = seen.get(key)
        models = (*before.models, *row.models) if before else row.models
        seen[key] = replace(row, models=models)
    yield from seen.values()

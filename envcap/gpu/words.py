"""GPU stacks in words that a researcher understands: needs and verdicts. Pure."""

from collections.abc import Iterable, Iterator

from envcap.gpu.model import GpuNeed, GpuStack
from envcap.gpu.models import representative
from envcap.gpu.needs import AMDGPU, CAPABILITY, DRIVER, GFX, JIT, capabilities_of, required_groups
from envcap.gpu.preflight import RUNS, DeviceVerdict, Level, Preflight, Reason
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import TEGRA, format_capability, parse_capability
from envcap.gpu.versions import Version, two_components

_MODELS_SHOWN = 5
_REASONS_SHOWN = 20
"""Of one device, the worst first."""
_WORDS = {
    Level.OK: "runs",
    Level.MINOR: "runs, by minor-version compatibility",
    Level.JIT: "runs, after the driver has compiled some of the code",
    Level.PARTIAL: "runs in part",
    Level.COMPAT: "needs forward compatibility",
    Level.UNKNOWN: "can't be told",
    Level.WILL_NOT_RUN: "will not run",
}


def say_needs(stack: GpuStack, table: GpuTable) -> str:
    """Say in one sentence what an environment needs of a server; empty where it needs no GPU."""
    needs = {need.subject: need for need in stack.needs}
    parts = [text for subject in (DRIVER, AMDGPU) if subject in needs and (text := say_need(needs[subject], table))]
    if CAPABILITY in needs:
        parts.append(say_need(needs[CAPABILITY], table))
    if GFX in needs:
        parts.append(say_need(needs[GFX], table))
    if not parts:
        return ""
    jit = [say_need(need, table) for need in stack.needs if need.subject == JIT]
    excluded = [f"{name} excludes {', '.join(models)}" for name, models in exclusions(stack, table)]
    return "; ".join(["needs " + " and ".join(parts), *jit, *excluded])


def say_need(need: GpuNeed, table: GpuTable) -> str:
    """Say one need, such as `an NVIDIA driver 580.65 or newer`."""
    match need.subject:
        case "nvidia-driver":
            ceiling = f", not newer than R{need.at_most}" if need.at_most else ""
            return f"an NVIDIA driver {_at_least(need.at_least)}".rstrip() + ceiling
        case "compute-capability":
            return _say_capability(need, table)
        case "nvidia-driver-jit":
            driver = two_components(need.at_least)
            return f"on {say_capabilities(need.one_of, table)} a driver {driver} or newer, which compiles PTX"
        case "amdgpu":
            return f"the kernel's own amdgpu driver or AMD's {_either(need.one_of)}"
        case "gfx":
            return f"an AMD GPU {_either(need.one_of)}" if need.one_of else "a GPU that no AMD model known to envcap is"
        case _:
            bounds = [f"at least {need.at_least}" if need.at_least else "", _either(need.one_of)]
            return " ".join([need.subject, *filter(None, bounds)])


def say_capabilities(texts: Iterable[str], table: GpuTable) -> str:
    """Say compute capabilities as ranges over those of cards that exist: `7.5 to 10.3, 12.0 and 12.1`.

    Jetson's lie between those of cards and belong to no card: they are said where they run, and part no range.
    """
    found = sorted({version for text in texts if (version := parse_capability(text))})
    known = [row.version for row in table.capabilities if row.version in found or row.version not in TEGRA]
    runs: list[list[Version]] = []
    for version in found:
        place = known.index(version) if version in known else -1
        if runs and place > 0 and runs[-1][-1] == known[place - 1]:
            runs[-1].append(version)
        else:
            runs.append([version])
    spans = [text for run in runs for text in _span(run)]
    return " and ".join([", ".join(spans[:-1]), spans[-1]]) if len(spans) > 1 else "".join(spans)


def exclusions(stack: GpuStack, table: GpuTable) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List packages that alone keep an environment from GPUs newer than those it runs on, and models of these."""
    groups = required_groups(stack.code, table)
    failing: dict[Version, set[str]] = {row.version: set() for row in table.capabilities}
    names = dict.fromkeys(_name(group[0].provider, group[0].file) for group in groups)
    for group in groups:
        runs = capabilities_of((group,), table)
        for version in failing.keys() - runs:
            failing[version].add(_name(group[0].provider, group[0].file))
    newest = max((version for version, by in failing.items() if not by), default=())
    alone: dict[str, list[str]] = {}
    for version, by in failing.items() if len(names) > 1 else ():
        if len(by) == 1 and version > newest and version not in TEGRA:
            alone.setdefault(min(by), []).append(representative("nvidia", format_capability(version), table))
    return tuple((name, tuple(dict.fromkeys(alone[name]))[:_MODELS_SHOWN]) for name in names if name in alone)


def say_preflight(preflight: Preflight) -> tuple[str, ...]:
    """Say a preflight in lines: each kind of device, its reasons, what is to be said of the machine, the fix."""
    said = [f"{finding.reason}: {finding.words}" for finding in preflight.findings]
    errors = [line for line in said if line.startswith("E_")]
    lines = [*errors, *(line for device in preflight.devices for line in _say_device(device))]
    lines += [line for line in said if line not in errors]
    if preflight.fix:
        lines.append(f"fix: {preflight.fix.words}")
    return tuple(lines)


def _say_device(verdict: DeviceVerdict) -> Iterator[str]:
    device = verdict.device
    count = f"{device.count} x " if device.count > 1 else ""
    weakest = f" ({verdict.weakest.name})" if verdict.weakest and verdict.level not in RUNS else ""
    yield f"{count}{device.name}: {_WORDS[verdict.level]}{weakest}"
    yield from (f"  {finding.reason}: {finding.words}" for finding in verdict.findings)
    said: dict[tuple[Reason, str], list[tuple[str, str]]] = {}
    for part in verdict.libraries:
        for finding in part.findings:
            rows = said.setdefault((finding.reason, part.name), [])
            if finding.words not in {words for words, _ in rows}:
                rows.append((finding.words, part.file.rpartition("/")[2]))
    lines = [
        # A package whose libraries differ needs their names.
        f"  {reason}: {name}{f' ({file})' if len(rows) > 1 and file and file not in words else ''}: {words}"
        for (reason, name), rows in said.items()
        for words, file in rows
    ]
    yield from lines[:_REASONS_SHOWN]
    if len(lines) > _REASONS_SHOWN:
        yield f"  ... and {len(lines) - _REASONS_SHOWN} more (all of them with `--json`)"


def _say_capability(need: GpuNeed, table: GpuTable) -> str:
    if need.at_least and need.at_most:
        same = need.at_least == need.at_most
        return f"a GPU of compute capability {need.at_least}" + ("" if same else f" to {need.at_most}")
    if need.at_least:
        return f"a GPU of compute capability {need.at_least} or newer"
    if need.one_of:
        return f"a GPU of compute capability {say_capabilities(need.one_of, table)}"
    return "a GPU on which all of its code runs, which none is"


def _span(run: list[Version]) -> list[str]:
    texts = [format_capability(version) for version in run]
    return texts if len(texts) < 3 else [f"{texts[0]} to {texts[-1]}"]  # noqa: PLR2004


def _at_least(version: str) -> str:
    return f"{two_components(version)} or newer" if version else ""


def _either(texts: tuple[str, ...]) -> str:
    return " or ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def _name(provider: str, file: str) -> str:
    return provider or file.rpartition("/")[2]

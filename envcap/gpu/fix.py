"""The cheapest change that makes an environment run better on a machine. Pure.

Changes are tried in the order of what they cost people: restart the machine, mend the loader's path or the container
toolkit, add a package to the image, another driver, another build of a package, another machine. Each is made to the
machine or the stack and judged anew, so that nothing is proposed that doesn't help; if none helps alone, two are tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from envcap.gpu.judge import judge_machine
from envcap.gpu.lookup import capability_of, compat_package
from envcap.gpu.model import NVIDIA, CodeSet, GpuCode, GpuDevice, GpuDriver, GpuGap, GpuMachine, GpuStack
from envcap.gpu.models import kind_of_device
from envcap.gpu.nvidia_driver import compat_name, is_nvml_mismatch
from envcap.gpu.preflight import RUNS, Fix, Level, Preflight, Reason, rank
from envcap.gpu.runtimes import cuda_runtimes, wanted_vendors
from envcap.gpu.table import GpuModel, GpuTable
from envcap.gpu.targets import parse_capability
from envcap.gpu.versions import Version, dotted, parse_version, two_components
from envcap.gpu.words import say_need

_PACKAGES_SHOWN = 3
_UNREAD = GpuGap(fact="nvml", why="not asked yet")
_ONE = "both halves of the driver are of one version"


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What is judged."""

    stack: GpuStack
    machine: GpuMachine
    cdi: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A candidate: what to do, and what it changes."""

    kind: str
    words: str
    stack: GpuStack | None = None
    driver: GpuDriver | None = None
    machine: GpuMachine | None = None
    cdi: bool | None = None


def find_fix(
    stack: GpuStack, machine: GpuMachine, table: GpuTable, preflight: Preflight, *, cdi: bool | None = None
) -> Fix | None:
    """Find the cheapest change that leads to a better verdict.

    Args:
        stack: The lock's.
        machine: As judged.
        table: The compatibility table.
        preflight: The verdict on them.
        cdi: As judged.

    Returns:
        A fix, or None: the environment runs, nothing helps, or what is wrong can't be told.
    """
    if preflight.level in RUNS or preflight.level == Level.UNKNOWN:
        return None
    if preflight.cpu_only:
        return _another_machine(stack, table)
    world = _World(stack=stack, machine=machine, cdi=cdi)
    changes = list(_changes(world, preflight, table))
    for size in (1, 2):
        for chosen in combinations(changes, size):
            if len({change.kind for change in chosen}) == size and (fix := _try(world, chosen, preflight, table)):
                return fix
    return None


def _try(world: _World, changes: Sequence[_Change], before: Preflight, table: GpuTable) -> Fix | None:
    """Judge a changed world: better is one in which no kind of device is worse off, and one or the whole is better."""
    after = judge_machine(*_apply(world, changes), table, cdi=next((one.cdi for one in changes if one.cdi), world.cdi))
    pairs = list(zip(before.devices, after.devices, strict=False))
    worse = any(rank(new.level) > rank(old.level) for old, new in pairs)
    # What is wrong with the machine as a whole leaves no device better off.
    gain = after.best in RUNS and any(old.level not in RUNS and new.level in RUNS for old, new in pairs)
    # Without devices to compare, a machine that can be read again is better than one that surely fails.
    runs = after.level in RUNS or not before.devices
    if worse or not (gain or (runs and rank(after.level) < rank(before.level))):
        return None
    return Fix(
        kind=" and ".join(change.kind for change in changes),
        words=", and ".join(change.words for change in changes),
        level=after.level,
    )


def _apply(world: _World, changes: Sequence[_Change]) -> tuple[GpuStack, GpuMachine]:
    stack, machine = world.stack, world.machine
    for change in changes:
        stack = change.stack or stack
        machine = change.machine or machine
        if change.driver:
            rest = [driver for driver in machine.drivers if driver.vendor != change.driver.vendor]
            machine = replace(machine, drivers=(*rest, change.driver))
    return stack, machine


def _changes(world: _World, preflight: Preflight, table: GpuTable) -> Iterator[_Change]:
    """Yield candidates, the cheapest first."""
    driver = next((one for one in world.machine.drivers if one.vendor == NVIDIA), None)
    reasons = {finding.reason for finding in preflight.findings}
    if driver and Reason.MISMATCH in reasons:
        told = bool(driver.version and driver.user)
        where, what = ("", "the kernel loads the driver that is installed") if told else (", or the container", _ONE)
        words = f"restart the machine{where}, so that {what}"
        # NVML will answer then; what, nobody knows yet.
        rest = tuple(_UNREAD if is_nvml_mismatch(gap) else gap for gap in world.machine.gaps)
        restarted = replace(driver, version=driver.user, api="")
        yield _Change(kind="restart", words=words, driver=restarted, machine=replace(world.machine, gaps=rest))
    if driver and driver.library == "compat":
        words = "take the libcuda of cuda-compat off the loader's path (`LD_LIBRARY_PATH`, `/etc/ld.so.conf.d`)"
        yield _Change(kind="loader", words=words, driver=replace(driver, library="host", user="", api=""))
    if Reason.NO_CDI in reasons:
        words = "install NVIDIA's container toolkit and run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
        yield _Change(kind="container", words=words, cdi=True)
    if driver:
        yield from _compat(world, driver, table)
        yield from _drivers(world, driver, table)
    yield from _pins(world, preflight)


def _compat(world: _World, driver: GpuDriver, table: GpuTable) -> Iterator[_Change]:
    """Yield the package of forward compatibility, where its maker surely supports it on each device."""
    runtimes = cuda_runtimes(world.stack.libraries, world.stack.frameworks, world.stack.code, table)
    kinds = {
        table.compat_kinds.get(kind_of_device(one.name, world.machine.context, table))
        for one in world.machine.devices
        if one.vendor == NVIDIA
    }
    package = compat_package(runtimes[0].version, table) if runtimes else None
    if package and kinds == {"yes"} and driver.library != "compat":
        words = f"add NVIDIA's package {compat_name(package.cuda)} to the image"
        changed = replace(driver, library="compat", api=dotted(package.cuda), user="")
        yield _Change(kind="compat", words=words, driver=changed)


def _drivers(world: _World, driver: GpuDriver, table: GpuTable) -> Iterator[_Change]:
    """Yield newer drivers, the lowest first, then the newest that still drives an old device."""
    version = parse_version(driver.version)
    if world.machine.context == "wsl2":
        for api in dict.fromkeys(branch.cuda for branch in table.branches):
            words = f"update NVIDIA's driver on Windows to one that speaks CUDA {dotted(api)} or newer"
            yield _Change(kind="driver", words=words, driver=replace(driver, api=dotted(api), library="wsl"))
    if version is None or world.machine.context in {"wsl2", "jetson"}:
        return
    ceiling = _ceiling(world.machine.devices, table)
    known = {row.driver for row in table.floors} | {row.driver for row in table.toolkits}
    numbered = {text.partition(".")[0] for text in known}
    known |= {str(row.number) for row in table.branches if str(row.number) not in numbered}
    for text in sorted(known, key=lambda one: parse_version(one) or ()):
        newer = parse_version(text) or ()
        if newer <= version or (ceiling and newer[0] > ceiling):
            continue
        limit = f", but not above R{ceiling}" if ceiling else ""
        words = f"install an NVIDIA driver {two_components(text)} or newer{limit}"
        yield _Change(kind="driver", words=words, driver=_driver(driver, text))
    if ceiling and version[0] > ceiling:
        words = f"install an NVIDIA driver of branch R{ceiling}, the last for this GPU"
        # Any release of that branch that is current has its every floor behind it.
        lowest = max((row.driver for row in table.floors if row.driver.startswith(f"{ceiling}.")), default=str(ceiling))
        yield _Change(kind="older-driver", words=words, driver=_driver(driver, lowest))


def _driver(driver: GpuDriver, version: str) -> GpuDriver:
    return replace(driver, version=version, user="", api="", library="host")


def _ceiling(devices: Sequence[GpuDevice], table: GpuTable) -> int:
    """Give the last branch that drives all devices; 0 if none is the last."""
    rows = [capability_of(version, table) for one in devices if (version := parse_capability(one.arch))]
    return min((row.last_branch for row in rows if row and row.last_branch), default=0)


def _pins(world: _World, preflight: Preflight) -> Iterator[_Change]:
    """Yield other builds: of packages without code for a device, or for an older CUDA."""
    bad = [
        (device.device, part)
        for device in preflight.devices
        for part in device.libraries
        if part.file and part.level not in RUNS and part.level != Level.UNKNOWN
    ]
    for kind in dict.fromkeys(device.arch for device, _ in bad):
        mine = {part.file: part.name for device, part in bad if device.arch == kind}
        names = list(dict.fromkeys(mine.values()))
        shown = " and ".join(names) if len(names) <= _PACKAGES_SHOWN else ", ".join([*names[:_PACKAGES_SHOWN], "…"])
        what = kind if kind.startswith("gfx") else f"compute capability {kind}"
        build = "another build" if len(names) == 1 else "other builds"
        words = f"pin {build} of {shown}, with code for {what}"
        yield _Change(kind="pin", words=words, stack=_with_code(world.stack, frozenset(mine), kind))
    yield from _older_toolkits(world)


def _with_code(stack: GpuStack, files: frozenset[str], arch: str) -> GpuStack:
    """Give a stack in which some files have code for an architecture."""
    version = parse_capability(arch)
    target = arch if version is None else f"sm_{version[0]}{version[1]}"
    return replace(stack, code=tuple(_more(code, target) if code.file in files else code for code in stack.code))


def _more(code: GpuCode, target: str) -> GpuCode:
    sets = tuple(CodeSet(count=row.count, targets=(*row.targets, target)) for row in code.sets)
    return replace(code, sets=sets)


def _older_toolkits(world: _World) -> Iterator[_Change]:
    """Yield builds for an older major of CUDA, whose floor is lower; their code is taken for the same."""
    majors = {version[0] for one in world.stack.libraries if (version := _cuda_major(one.name, one.version))}
    majors |= {
        version[0]
        for one in world.stack.frameworks
        if one.built_for.startswith("cuda ") and (version := parse_version(one.built_for.partition(" ")[2]))
    }
    for major in range(max(majors, default=0) - 1, 10, -1):
        words = f"pin packages that are built for CUDA {major}"
        libraries = tuple(
            replace(one, version=f"{major}.0") if _cuda_major(one.name, one.version) else one
            for one in world.stack.libraries
        )
        frameworks = tuple(
            replace(one, built_for=f"cuda {major}.0") if one.built_for.startswith("cuda ") else one
            for one in world.stack.frameworks
        )
        yield _Change(
            kind="pin-cuda", words=words, stack=replace(world.stack, libraries=libraries, frameworks=frameworks)
        )


def _cuda_major(name: str, version: str) -> Version | None:
    return parse_version(version) if name.partition(" ")[0] in {"cuda", "cudart"} else None


def _another_machine(stack: GpuStack, table: GpuTable) -> Fix | None:
    """Describe a machine on which the environment runs, if there is one."""
    newest = table.branches[-1].number
    # Models of one architecture do alike with the newest driver: judging each of them takes a minute for a large lock.
    kinds: dict[tuple[str, str], GpuModel] = {}
    for model in table.models:
        if model.vendor in wanted_vendors(stack):
            kinds.setdefault((model.vendor, model.arch), model)
    for model in kinds.values():
        known = capability_of(parse_capability(model.arch) or (), table)
        for branch in dict.fromkeys((newest, (known.last_branch if known else 0) or newest)):
            device = GpuDevice(vendor=model.vendor, name=model.name, arch=model.arch)
            machine = GpuMachine(
                context="bare", drivers=(GpuDriver(vendor=model.vendor, version=f"{branch}.999"),), devices=(device,)
            )
            found = judge_machine(stack, machine, table)
            if found.level in RUNS and not found.cpu_only:
                needs = [say_need(need, table) for need in stack.needs if not need.subject.endswith("-jit")]
                words = " and ".join(needs) or f"a GPU such as {model.name}"
                return Fix(kind="machine", words=f"take a machine with {words}", level=found.level)
    return None

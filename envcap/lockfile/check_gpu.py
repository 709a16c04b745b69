"""What a lock's `[gpu]` and `[session.gpu]` must satisfy beyond their types.

Both end up in terminals, in variables and labels of images, and in decisions, so each kind of text has one alphabet. No
alphabet of a machine's facts has room for a UUID or a bus address (`notes/security.md`: those never leave).
"""

import re

from envcap.errors import LockfileError
from envcap.gpu.model import AMD, INTEL, NVIDIA, GpuCode, GpuDevice, GpuDriver, GpuMachine, GpuNeed, GpuStack
from envcap.lockfile.rules import between, matches, one_of, relative_path, sorted_unique

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_LIBRARY = re.compile(r"[a-z][a-z0-9-]{0,63}(?: \(static\))?\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,63}\Z")
_TARGET = re.compile(r"[a-z][a-z0-9_.@:+-]{1,63}\Z")
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}\Z")
_ARCH = re.compile(r"(?:[0-9]{1,3}\.[0-9]{1,2}|gfx[0-9a-f]{3,5})\Z")
_TEXT = re.compile(r".{1,400}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_BUS = re.compile(r"[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)
_A_WORD, _A_VERSION, _A_TEXT = "a lower-case word", "a version", "at most 400 characters"
_MOST_ROWS = {"code": 5000, "libraries": 1000, "frameworks": 200, "needs": 200, "blind": 1000}
"""Rows of `[gpu]`: the largest environments seen have a tenth of it, and each is judged for each kind of device."""
_MOST_CONTAINERS = 1 << 24
_MOST_DEVICES = 1 << 16
_MOST_MEMORY_MIB = 1 << 30
_VENDORS = frozenset({NVIDIA, AMD, INTEL})
_CONTEXTS = frozenset({"", "bare", "container", "wsl2", "jetson", "vgpu"})


def check_gpu_stack(stack: GpuStack) -> None:
    """Refuse a `[gpu]` that envcap does not write.

    Raises:
        LockfileError: Says which field of which row.
    """
    for name, most in _MOST_ROWS.items():
        between(0, most, len(getattr(stack, name)), f"gpu.{name}")
    if stack.rules:
        matches(_VERSION, stack.rules, "gpu.rules", _A_VERSION)
    for index, library in enumerate(stack.libraries):
        where = f"gpu.libraries[{index}]"
        matches(_LIBRARY, library.name, f"{where}.name", "a name such as `cudnn` or `cudart (static)`")
        _version(library.version, f"{where}.version")
        matches(_TEXT, library.provider, f"{where}.provider", _A_TEXT)
    for index, framework in enumerate(stack.frameworks):
        where = f"gpu.frameworks[{index}]"
        matches(_WORD, framework.name, f"{where}.name", _A_WORD)
        _version(framework.version, f"{where}.version")
        matches(_TEXT, framework.built_for, f"{where}.built-for", _A_TEXT)
    for index, code in enumerate(stack.code):
        _code(code, f"gpu.code[{index}]")
    for index, need in enumerate(stack.needs):
        _need(need, f"gpu.needs[{index}]")
    for text in stack.blind:
        matches(_TEXT, text, "gpu.blind", _A_TEXT)
    sorted_unique(stack.libraries, lambda row: (row.name, row.provider, row.version), "gpu.libraries")
    sorted_unique(stack.frameworks, lambda row: row.name, "gpu.frameworks")
    sorted_unique(stack.code, lambda row: row.file, "gpu.code")
    sorted_unique(sorted(stack.needs, key=_bounds), _bounds, "gpu.needs")
    subjects = [row.subject for row in stack.needs]
    if subjects != sorted(subjects):  # within a subject they are in the order of its versions
        raise LockfileError("Unexpected order in 'gpu.needs' (expected rows sorted by subject)")
    sorted_unique(stack.blind, lambda text: text, "gpu.blind")


def check_gpu_machine(machine: GpuMachine) -> None:
    """Refuse a `[session.gpu]` that envcap does not write, or that names one device among all.

    Raises:
        LockfileError: Says which field of which row.
    """
    one_of(_CONTEXTS, machine.context, "session.gpu.context")
    for index, driver in enumerate(machine.drivers):
        _driver(driver, f"session.gpu.drivers[{index}]")
    for index, device in enumerate(machine.devices):
        _device(device, f"session.gpu.devices[{index}]")
    for index, gap in enumerate(machine.gaps):
        _anonymous(gap.fact, f"session.gpu.gaps[{index}].fact")
        _anonymous(gap.why, f"session.gpu.gaps[{index}].why")
    sorted_unique(machine.drivers, lambda row: row.vendor, "session.gpu.drivers")
    sorted_unique(
        machine.devices,
        lambda row: (row.vendor, row.name, row.arch, row.pci, row.memory_mib, sorted(row.traits.items())),
        "session.gpu.devices",
    )
    sorted_unique(machine.gaps, lambda row: (row.fact, row.why), "session.gpu.gaps")


def _code(code: GpuCode, where: str) -> None:
    relative_path(code.file, f"{where}.file")
    if code.provider:
        matches(_TEXT, code.provider, f"{where}.provider", _A_TEXT)
    for row in code.sets:
        between(1, _MOST_CONTAINERS, row.count, f"{where}.sets.count")
        for target in row.targets:
            matches(_TARGET, target, f"{where}.sets.targets", "a target such as `sm_90a`")
        sorted_unique(row.targets, str, f"{where}.sets.targets")
    for kind in code.jit:
        matches(_WORD, kind, f"{where}.jit", _A_WORD)
    sorted_unique(code.sets, lambda row: row.targets, f"{where}.sets")
    sorted_unique(code.jit, str, f"{where}.jit")


def _need(need: GpuNeed, where: str) -> None:
    matches(_WORD, need.subject, f"{where}.subject", _A_WORD)
    for value in (*filter(None, (need.at_least, need.at_most)), *need.one_of):
        matches(_VERSION, value, where, _A_VERSION)
    for reason in need.because:
        matches(_TEXT, reason, f"{where}.because", _A_TEXT)
    sorted_unique(need.because, str, f"{where}.because")


def _bounds(need: GpuNeed) -> tuple[object, ...]:
    return need.subject, need.at_least, need.at_most, need.one_of


def _version(text: str, where: str) -> None:
    """Refuse what is no version; an empty one says that nobody told."""
    if text:
        matches(_VERSION, text, where, _A_VERSION)


def _driver(driver: GpuDriver, where: str) -> None:
    one_of(_VENDORS, driver.vendor, f"{where}.vendor")
    for version in filter(None, (driver.version, driver.user, driver.api, *driver.sources.values())):
        matches(_VERSION, version, where, _A_VERSION)
    for word in filter(None, (driver.flavour, driver.library)):
        matches(_WORD, word, where, _A_WORD)
    for source in driver.sources:
        _anonymous(source, f"{where}.sources")


def _device(device: GpuDevice, where: str) -> None:
    one_of(_VENDORS, device.vendor, f"{where}.vendor")
    _anonymous(device.name, f"{where}.name")
    if device.arch:
        matches(_ARCH, device.arch, f"{where}.arch", "`9.0` or `gfx942`")
    if device.pci:
        matches(_PCI, device.pci, f"{where}.pci", "vendor and device as `10de:2330`")
    between(1, _MOST_DEVICES, device.count, f"{where}.count")
    between(0, _MOST_MEMORY_MIB, device.memory_mib, f"{where}.memory-mib")
    for trait, value in device.traits.items():
        matches(_WORD, trait, f"{where}.traits", _A_WORD)
        _anonymous(value, f"{where}.traits.{trait}")


def _anonymous(text: str, where: str) -> None:
    """Refuse what names one device among all; the text is not repeated."""
    matches(_TEXT, text[:1000], where, _A_TEXT)
    if _UUID.search(text) or _BUS.search(text):
        raise LockfileError(
            f"Unexpected identifier of one device in {where!r} (expected words that many machines share)"
        )

"""The compatibility table: facts about drivers, toolkits and GPUs, each with the source that says so.

The facts are in `table.toml`, which ships with the package; here they become values, strictly: a key that nobody knows,
a source that isn't named, or rows out of order are errors, since a wrong table gives wrong verdicts quietly.
Questions to it are in `envcap/gpu/lookup.py`.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from envcap.errors import EnvcapError
from envcap.gpu.versions import Version, parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Lowest driver on which the runtime of a CUDA major starts."""

    major: int
    driver: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """A toolkit and the driver packaged with it, which speaks the toolkit's whole API."""

    cuda: Version
    driver: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A driver branch.

    Attributes:
        number: 580 of `580.65.06`.
        cuda: Highest CUDA that it speaks.
        kind: `long-term`, `production`, `new-feature`, or empty.
        until: Month to which its maker supports it, `2028-06`, or empty.
    """

    number: int
    cuda: Version
    source: str
    kind: str = ""
    until: str = ""
    until_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PtxIsa:
    """A PTX ISA version and the first CUDA whose driver compiles it."""

    isa: Version
    cuda: Version
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """A compute capability, the first CUDA that knows it, and the last branch that drives it (0: no last one)."""

    version: Version
    cuda: Version
    source: str
    last_branch: int = 0
    ceiling_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatPackage:
    """A package `cuda-compat-MAJOR-MINOR` and the branches on which its maker lets it run."""

    cuda: Version
    branches: tuple[int, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLibrary:
    """A library that chooses code by device itself.

    Attributes:
        name: Name of the file up to the soname's version, with `*` for any letters.
        dispatches: Containers without code for a device are normal in it.
        optional: What carries it runs without it, less some features.
    """

    name: str
    source: str
    dispatches: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Generic:
    """A generic target of AMD and the processors that run it."""

    target: str
    processors: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RocmPair:
    """A kernel driver and the versions of ROCm that were tested with it."""

    driver: Version
    rocm: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A model as it is sold.

    Attributes:
        kind: `datacenter`, `workstation`, `consumer` or `jetson`.
        cpu: Architecture of the CPU with which alone it comes, `arm64`; empty where machines differ.
    """

    vendor: str
    name: str
    arch: str
    kind: str
    cpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTable:
    """All facts; rows are in ascending order.

    Attributes:
        rules: Version of the facts, `2026.11.1`.
        compat_kinds: Whether forward compatibility is allowed, by kind of GPU: `yes`, `some` or `no`.
    """

    rules: str
    sources: Mapping[str, str]
    floors: tuple[Floor, ...]
    toolkits: tuple[Toolkit, ...]
    branches: tuple[Branch, ...]
    ptx: tuple[PtxIsa, ...]
    capabilities: tuple[Capability, ...]
    compat: tuple[CompatPackage, ...]
    compat_kinds: Mapping[str, str]
    libraries: tuple[KnownLibrary, ...]
    generics: tuple[Generic, ...]
    rocm: tuple[RocmPair, ...]
    models: tuple[GpuModel, ...]


@cache
def gpu_table() -> GpuTable:
    """Give the table that ships with this version of envcap; read at the first call.

    Raises:
        EnvcapError: The installed table is damaged.
    """
    return parse_table((files("envcap.gpu") / "table.toml").read_text(encoding="utf-8"))


def parse_table(text: str) -> GpuTable:
    """Read a table.

    Raises:
        EnvcapError: It is no TOML, or a row is not as its class says; the message names the row.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnvcapError(f"The GPU table is no TOML: {error}") from error
    known = {"rules", "sources", "compat-classes", *_ROWS}
    if extra := sorted(document.keys() - known) or sorted(known - document.keys()):
        raise EnvcapError(f"The GPU table has, or lacks, {extra[0]!r}")
    sources = {key: _text(value) for key, value in document["sources"].items()}
    rows = {key: _rows(key, document[key], sources) for key in _ROWS}
    kinds = {key: _text(value) for key, value in document["compat-classes"].items()}
    _known_source(kinds.pop("source", ""), sources, "compat-classes")
    return GpuTable(
        rules=_text(document["rules"]),
        sources=sources,
        floors=rows["floor"],
        toolkits=rows["toolkit"],
        branches=rows["branch"],
        ptx=rows["ptx"],
        capabilities=rows["capability"],
        compat=rows["compat"],
        compat_kinds=kinds,
        libraries=rows["library"],
        generics=rows["generic"],
        rocm=rows["rocm"],
        models=tuple(
            GpuModel(vendor=row.vendor, name=name, arch=row.arch, kind=row.kind, cpu=row.cpu)
            for row in rows["models"]
            for name in row.names
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """Models that have their architecture and their kind in common."""

    vendor: str
    arch: str
    kind: str
    names: tuple[str, ...]
    source: str
    cpu: str = ""
    cpu_source: str = ""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise EnvcapError(f"The GPU table expects text, found {value!r}")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EnvcapError(f"The GPU table expects a number, found {value!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise EnvcapError(f"The GPU table expects true or false, found {value!r}")
    return value


def _version(value: object) -> Version:
    version = parse_version(_text(value))
    if version is None:
        raise EnvcapError(f"The GPU table expects a version, found {value!r}")
    return version


def _driver(value: object) -> str:
    _version(value)
    return _text(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(_number(item) for item in _list(value))


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise EnvcapError(f"The GPU table expects a list, found {value!r}")
    return value


_CONVERTERS: dict[object, Callable[[object], object]] = {
    str: _text,
    int: _number,
    bool: _flag,
    tuple[str, ...]: _texts,
}
_BY_NAME: dict[str, Callable[[object], object]] = {
    "cuda": _version,
    "isa": _version,
    "version": _version,
    "branches": _numbers,
}
_OWN: dict[tuple[type, str], Callable[[object], object]] = {
    (Floor, "driver"): _driver,
    (Toolkit, "driver"): _driver,
    (RocmPair, "driver"): _version,
}
_ROWS: dict[str, type] = {
    "floor": Floor,
    "toolkit": Toolkit,
    "branch": Branch,
    "ptx": PtxIsa,
    "capability": Capability,
    "compat": CompatPackage,
    "library": KnownLibrary,
    "generic": Generic,
    "rocm": RocmPair,
    "models": _Models,
}
_ORDERED = {
    "floor": "major",
    "toolkit": "cuda",
    "branch": "number",
    "ptx": "isa",
    "capability": "version",
    "compat": "cuda",
    "rocm": "driver",
}
_NAMES = {"class": "kind"}
"""Keys of the file that are no names in Python."""


def _rows(key: str, value: object, sources: Mapping[str, str]) -> tuple[Any, ...]:
    rows = tuple(_row(key, index, row, sources) for index, row in enumerate(_list(value)))
    if order := _ORDERED.get(key):
        marks = [getattr(row, order) for row in rows]
        if any(one >= other for one, other in pairwise(marks)):
            raise EnvcapError(f"The GPU table's rows of {key!r} are out of order, or one is there twice")
    return rows


def _row(key: str, index: int, value: object, sources: Mapping[str, str]) -> object:
    row, where = _ROWS[key], f"{key}[{index}]"
    if not isinstance(value, dict):
        raise EnvcapError(f"The GPU table expects a table in {where}, found {value!r}")
    given = {_NAMES.get(name, name.replace("-", "_")): item for name, item in value.items()}
    wanted = {field.name: field for field in fields(row)}
    if extra := sorted(given.keys() - wanted):
        raise EnvcapError(f"The GPU table has an unknown key {extra[0]!r} in {where}")
    if lacking := [name for name, field in wanted.items() if field.default is MISSING and name not in given]:
        raise EnvcapError(f"The GPU table lacks {lacking[0]!r} in {where}")
    values = {name: _converter(row, name, wanted[name].type)(item) for name, item in given.items()}
    for name, item in values.items():
        if name.endswith("source"):
            _known_source(str(item), sources, where)
    return row(**values)


def _converter(row: type, name: str, kind: object) -> Callable[[object], object]:
    return _OWN.get((row, name)) or _BY_NAME.get(name) or _CONVERTERS[kind]


def _known_source(source: str, sources: Mapping[str, str], where: str) -> None:
    if source not in sources:
        raise EnvcapError(f"The GPU table names no source {source!r}, which {where} cites")

"""Finds the GPU code in the ELF files of an environment, and what of it can't be told.

Each file costs a few small reads: its section table says whether there is any. Only where there is, the file is
mapped, and its headers are hopped through (`envcap.gpu.fatbin`, `.hip`, `.sycl`). A file that is cut while it is
mapped ends the program, as it ends any program that has loaded it.
"""

import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.environment import Environment, InstalledFile
from envcap.errors import ScanError
from envcap.finding import Finding
from envcap.gpu import fatbin, hip, sycl
from envcap.gpu.model import GpuCode, GpuLibrary
from envcap.gpu.sections import Section, is_wide_elf, read_sections
from envcap.gpu.tally import FoundCode, damaged, join_code
from envcap.scan.gpu_files import newest, provided_files

RELOCATABLE: Final = "relocatable"

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_RODATA: Final = ".rodata"
_CODE_SECTIONS: Final = (fatbin.SECTION, fatbin.RELOCATABLE_SECTION, hip.SECTION, sycl.SECTION)
_STATIC_CUDART: Final = re.compile(rb"/cudart\.shm\.")
_MAX_SECTIONS: Final = 64
_SMALLEST: Final = 512
_LARGEST_STRIPPED: Final = 4 << 30
_LARGEST_RODATA: Final = 1 << 30
_TEXT: Final = frozenset(
    (
        "a", "c", "cc", "cfg", "cmake", "cpp", "csv", "css", "cu", "cuh", "cxx", "f90", "gif", "gz", "h", "hpp", "html",
        "inc", "ipynb", "jpg", "js", "json", "md", "npy", "npz", "o", "png", "pxd", "pxi", "py", "pyc", "pyi", "pyx",
        "rst", "svg", "tcl", "toml", "txt", "xml", "yaml", "yml", "zip",
    )
)  # fmt: skip
"""Suffixes of what nobody loads as a library: most files of an environment, which are not even opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCodeFacts:
    """The GPU code of an environment.

    Attributes:
        code: Sorted by file.
        static: CUDA runtimes that are linked into libraries, named `cudart (static)`, one a package, sorted by it.
            The version is that of the newest compiler that made the package's code, where it says it, else empty.
        findings: `gpu-code-unreadable`: damaged, or unlike what compilers write.
    """

    code: tuple[GpuCode, ...] = ()
    static: tuple[GpuLibrary, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """What one file holds: code, whether a CUDA runtime is linked into it, and the compiler's version."""

    code: FoundCode
    static: bool = False
    toolkit: str = ""


_NOTHING: Final = _Read(FoundCode())


def find_gpu_code(environment: Environment) -> GpuCodeFacts:
    """Look into each ELF file of an environment, once for each content."""
    code: dict[str, GpuCode] = {}
    static: dict[str, str] = {}
    findings: list[Finding] = []
    known: dict[str, _Read] = {}
    for provider, file in provided_files(environment):
        if file.size < _SMALLEST or file.path.rpartition(".")[2].lower() in _TEXT:
            continue
        try:
            read = known.get(file.sha256) or _read_file(file.location(environment.prefix))
        except (OSError, ScanError) as error:
            reason = error.message if isinstance(error, ScanError) else error.strerror
            message = f"Its GPU code can't be told: {reason}"
            findings.append(Finding(code="gpu-code-unreadable", message=message, path=file.path))
            continue
        if file.sha256 and read is not _NOTHING:
            known[file.sha256] = read
        if read.code:
            code[file.path] = GpuCode(file=file.path, provider=provider, sets=read.code.sets, jit=read.code.jit)
        if read.static and not _is_cudart(file):
            static[provider] = newest((static.get(provider, ""), read.toolkit))
    return GpuCodeFacts(
        code=tuple(code[path] for path in sorted(code)),
        static=tuple(
            GpuLibrary(name="cudart (static)", version=version, provider=provider)
            for provider, version in sorted(static.items())
        ),
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def _is_cudart(file: InstalledFile) -> bool:
    return file.path.rpartition("/")[2].startswith("libcudart")


def _read_file(path: Path) -> _Read:
    descriptor = os.open(path, _FLAGS)
    try:
        return _read_elf(descriptor)
    finally:
        os.close(descriptor)


def _read_elf(descriptor: int) -> _Read:
    def read_at(offset: int, size: int) -> bytes:
        return os.pread(descriptor, size, offset) if offset < _LARGEST_STRIPPED << 8 else b""

    if not is_wide_elf(read_at):
        return _NOTHING
    sections = read_sections(read_at, (*_CODE_SECTIONS, _RODATA))
    if sections is None:
        return _read_stripped(descriptor)
    if not any(section.name.startswith(_CODE_SECTIONS) for section in sections):
        return _NOTHING
    return _read_sections(_map(descriptor), sections)


def _map(descriptor: int) -> memoryview:
    """Map a file; it is unmapped when the last view of it is gone, since an error on its way up holds some."""
    try:
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    except ValueError as error:  # emptied since its header was read
        raise damaged("a file cut off") from error


def _read_sections(data: memoryview, sections: tuple[Section, ...]) -> _Read:
    if len(sections) > _MAX_SECTIONS or sum(section.size for section in sections) > len(data):
        raise damaged(f"{len(sections)} sections with GPU code, larger than the file")

    def contents(wanted: str) -> Iterator[memoryview]:
        for section in sections:
            if section.name == wanted:
                yield _slice(data, section)

    found = [fatbin.read_fatbins(part) for part in contents(fatbin.SECTION)]
    found += [hip.read_bundles(part) for part in contents(hip.SECTION)]
    kernels = [(row.name, _slice(data, row)) for row in sections if row.name.startswith(sycl.SECTION)]
    found += [sycl.read_images(kernels)] if kernels else []
    code = join_code(found)
    if not code and any(True for _ in contents(fatbin.RELOCATABLE_SECTION)):
        code = FoundCode(jit=(RELOCATABLE,))
    static = any(_STATIC_CUDART.search(part[:_LARGEST_RODATA]) for part in contents(_RODATA))
    versions = [fatbin.read_toolkit(part) for part in contents(fatbin.SECTION)] if static else []
    return _Read(code, static, newest(versions))


def _slice(data: memoryview, section: Section) -> memoryview:
    if section.offset + section.size > len(data):
        raise damaged(f"the section {section.name} ends beyond the file")
    return data[section.offset : section.offset + section.size]


def _read_stripped(descriptor: int) -> _Read:
    """Look through a whole file: nothing says where its code lies."""
    if not _SMALLEST <= os.fstat(descriptor).st_size <= _LARGEST_STRIPPED:
        return _NOTHING
    data = _map(descriptor)
    search: tuple[Callable[[memoryview], FoundCode], ...] = (fatbin.find_fatbins, hip.find_bundles)
    code = join_code(find(data) for find in search)
    return _Read(code) if code else _NOTHING

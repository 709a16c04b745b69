"""Reading NVIDIA's fat binaries: made by hand, by nvcc, by NVIDIA, and damaged ones."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.errors import ScanError
from envcap.gpu.fatbin import SECTION, Entry, find_fatbins, read_containers, read_fatbins, read_toolkit
from envcap.gpu.model import CodeSet
from envcap.gpu.tally import FoundCode
from tests.gpu import assemble
from tests.gpu.assemble import CUBIN, FAMILY, LTO, LZ4, PTX, PTX_TEXT, SPECIFIC, ZSTD, container, cubin, entry

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")
SOURCE = "__global__ void NAME(float *x) { x[threadIdx.x] *= 2; }\nvoid call_NAME(float *x) { NAME<<<1, 32>>>(x); }\n"


def read(data: bytes) -> FoundCode:
    return read_fatbins(memoryview(data))


def sets(found: FoundCode) -> dict[tuple[str, ...], int]:
    return {row.targets: row.count for row in found.sets}


def test_targets_are_named_as_compilers_name_them() -> None:
    data = container(
        entry(CUBIN, 80),
        entry(CUBIN, 90, flags=SPECIFIC),
        entry(CUBIN, 100, flags=FAMILY),
        entry(PTX, 90, PTX_TEXT, isa=(9, 0)),
        entry(PTX, 120, PTX_TEXT, isa=(8, 8), flags=SPECIFIC, header=80),
    )

    assert sets(read(data)) == {("compute_120a@8.8", "compute_90@9.0", "sm_100f", "sm_80", "sm_90a"): 1}


def test_containers_are_counted_by_what_they_hold_and_not_joined() -> None:
    one, other = container(entry(CUBIN, 80)), container(entry(CUBIN, 90), entry(PTX, 90, PTX_TEXT))

    found = read(one + other + bytes(40) + one)

    assert found == FoundCode(
        sets=(CodeSet(count=1, targets=("compute_90@9.0", "sm_90")), CodeSet(count=2, targets=("sm_80",)))
    )


@pytest.mark.parametrize("flags", [0, LZ4, ZSTD])
def test_container_without_kernels_does_not_count(flags: int) -> None:
    empty = container(entry(CUBIN, 75, cubin(), flags=flags))

    assert sets(read(empty + container(entry(CUBIN, 90, flags=flags)))) == {("sm_90",): 1}


@pytest.mark.parametrize("flags", [0, LZ4, ZSTD])
@pytest.mark.parametrize("section", [".text.k", ".nv.global", ".nv.global.init", ".nv.constant3"])
def test_container_with_functions_or_variables_counts(flags: int, section: str) -> None:
    assert sets(read(container(entry(CUBIN, 75, cubin(section), flags=flags)))) == {("sm_75",): 1}


@pytest.mark.parametrize("flags", [0, LZ4, ZSTD])
def test_ptx_without_functions_does_not_count(flags: int) -> None:
    head = b".version 9.0\n.target sm_90\n.address_size 64\n"

    assert read(container(entry(CUBIN, 75, cubin()), entry(PTX, 75, head, flags=flags))) == FoundCode()
    assert sets(read(container(entry(PTX, 90, PTX_TEXT, flags=flags)))) == {("compute_90@9.0",): 1}


def test_one_piece_with_kernels_makes_the_whole_container_count() -> None:
    data = container(entry(CUBIN, 80, cubin()), entry(CUBIN, 90))

    assert sets(read(data)) == {("sm_80", "sm_90"): 1}


def test_code_to_be_linked_when_it_runs_is_no_target() -> None:
    data = container(entry(LTO, 90), entry(CUBIN, 80)) + container(entry(16, 90))

    assert read(data) == FoundCode(sets=(CodeSet(count=1, targets=("sm_80",)),), jit=("lto", "unknown-16"))


def test_empty_section_and_empty_container_hold_nothing() -> None:
    assert read(b"") == FoundCode()
    assert read(container()) == FoundCode()


def test_compiler_says_its_version_in_its_code() -> None:
    said = assemble.library({".note.nv.tkinfo": b"Cuda compilation tools, release 12.9, V12.9.86\0"}, align=4)

    assert read_toolkit(memoryview(container(entry(CUBIN, 90), entry(CUBIN, 100, said, flags=LZ4)))) == "12.9.86"
    assert read_toolkit(memoryview(container(entry(CUBIN, 90)))) == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (container(entry(CUBIN, 80))[:-8], "the container at 0 says version 1, 16 and"),
        (b"\x50\xed\x55\xba\x02\0\x10\0" + bytes(8), "the container at 0 says version 2, 16 and 0 bytes"),
        (b"\x50\xed\x55\xba\x01\0", "a container cut off at 0"),
        (container(bytes(24)), "an entry cut off at 16"),
        (container(bytes(64)), "the entry at 16 says 0 and 0 bytes"),
        (container(entry(CUBIN, 5)), "the entry at 16 is for architecture 5, version 1.8"),
        (container(entry(PTX, 90, isa=(900, 1))), "the entry at 16 is for architecture 90, version 900.1"),
    ],
)
def test_damaged_code_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(ScanError, match=f"Damaged GPU code \\({re.escape(message)}"):
        read(data)


def test_more_containers_than_any_compiler_writes_are_refused() -> None:
    with pytest.raises(ScanError, match="more than 20000 containers"):
        read(container() * 20_001)


def test_more_pieces_than_any_compiler_writes_are_refused() -> None:
    with pytest.raises(ScanError, match="more than 100000 pieces"):
        read(container(*[entry(LTO, 80, b"")] * 100_001))


def test_stripped_file_is_searched_and_what_looks_like_a_container_passed_over() -> None:
    false = b"\x50\xed\x55\xba\x01\0\x10\0" + b"\xff" * 16
    data = b"x" * 4096 + false + bytes(8) + container(entry(CUBIN, 80)) + b"y" * 13 + container(entry(CUBIN, 90))[:40]

    assert sets(find_fatbins(memoryview(data))) == {("sm_80",): 1}


def test_search_of_a_file_full_of_false_starts_ends() -> None:
    with pytest.raises(ScanError, match="more than 20000 containers"):
        find_fatbins(memoryview((b"\x50\xed\x55\xba\x01\0\x10\0" + b"\xff" * 16) * 110_000))


targets = st.tuples(st.sampled_from([PTX, CUBIN]), st.integers(10, 999), st.sampled_from([0, SPECIFIC, FAMILY]))


@given(
    st.lists(st.lists(targets, min_size=1, max_size=6), max_size=6), st.sampled_from([0, LZ4, ZSTD]), st.integers(0, 9)
)
def test_what_was_written_is_read(containers: list[list[tuple[int, int, int]]], compression: int, gap: int) -> None:
    """Each container, in order, with padding between them."""
    data, expected = b"", Counter[tuple[str, ...]]()
    for pieces in containers:
        data += container(
            *(
                entry(kind, arch, PTX_TEXT if kind == PTX else assemble.KERNEL, isa=(8, 7), flags=suffix | compression)
                for kind, arch, suffix in pieces
            )
        ) + bytes(8 * gap)
        names = {
            (f"sm_{arch}" if kind == CUBIN else f"compute_{arch}")
            + {0: "", SPECIFIC: "a", FAMILY: "f"}[suffix]
            + ("@8.7" if kind == PTX else "")
            for kind, arch, suffix in pieces
        }
        expected[tuple(sorted(names))] += 1

    assert sets(read(data)) == expected


VALID = (
    container(entry(CUBIN, 80), entry(PTX, 90, PTX_TEXT, flags=ZSTD))
    + bytes(16)
    + container(entry(CUBIN, 75, cubin(), flags=LZ4), entry(LTO, 90, b"x" * 40))
)


def outcome(function: Callable[[memoryview], object], data: bytes) -> str:
    try:
        function(memoryview(data))
    except ScanError as error:
        return "refused" if error.message.startswith("Damaged GPU code (") else error.message
    return "read"


@settings(max_examples=200)
@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda tail: VALID[:64] + tail))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for function in (read_fatbins, find_fatbins):
        assert outcome(function, data) in {"read", "refused"}


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(VALID) * 8 - 1)), min_size=1, max_size=4), st.integers(0, len(VALID)))
def test_flipped_bits_and_cut_ends_are_read_or_refused(flips: list[tuple[int]], cut: int) -> None:
    data = bytearray(VALID)
    for (bit,) in flips:
        data[bit // 8] ^= 1 << bit % 8
    for function in (read_fatbins, find_fatbins, read_toolkit):
        for piece in (bytes(data), bytes(data[:cut])):
            assert outcome(function, piece) in {"read", "refused"}


def compile_library(folder: Path, names: dict[str, str], *options: str, link: tuple[str, ...] = ()) -> FoundCode:
    """Compile a source for each name with its own options, link them, and read the result."""
    assert NVCC
    objects = []
    for name, architecture in names.items():
        (folder / f"{name}.cu").write_text(SOURCE.replace("NAME", name))
        command = [NVCC, "-Xcompiler", "-fPIC", *architecture.split(), *options, "-c", f"{name}.cu", "-o", f"{name}.o"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        objects.append(f"{name}.o")
    subprocess.run([NVCC, "-shared", *link, *objects, "-o", "lib.so"], cwd=folder, check=True, capture_output=True)
    with (folder / "lib.so").open("rb") as file:
        section = ELFFile(file).get_section_by_name(SECTION)
        return read(section.data()) if section else FoundCode()


def gencode(*targets: str) -> str:
    return " ".join(
        f"-gencode arch=compute_{one.removeprefix('compute_')},code={one if 'c' in one else f'sm_{one}'}"
        for one in targets
    )


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("75", "80", "90a", "compute_90"), ("compute_90@", "sm_75", "sm_80", "sm_90a")),
        (("86", "100f", "120", "compute_100f"), ("compute_100f@", "sm_100f", "sm_120", "sm_86")),
        (("103f", "120a", "120f", "compute_90a"), ("compute_90a@", "sm_103f", "sm_120a", "sm_120f")),
    ],
)
@pytest.mark.parametrize("options", [(), ("--compress-mode=none",), ("--compress-mode=size",), ("-G",)])
def test_what_nvcc_was_asked_for_is_read(
    tmp_path: Path, asked: tuple[str, ...], expected: tuple[str, ...], options: tuple[str, ...]
) -> None:
    found = sets(compile_library(tmp_path, {"a": gencode(*asked)}, *options))

    assert [tuple(re.sub(r"@.*", "@", target) for target in key) for key in found] == [expected]
    assert list(found.values()) == [1]


@needs_nvcc
@pytest.mark.slow
def test_two_sources_for_two_targets_give_one_container_each_and_the_linker_s_none(tmp_path: Path) -> None:
    """The device linker adds a container for its own default, sm_75: it has no kernels."""
    found = compile_library(tmp_path, {"a": gencode("80"), "b": gencode("90")})

    assert sets(found) == {("sm_80",): 1, ("sm_90",): 1}


@needs_nvcc
@pytest.mark.slow
def test_relocatable_code_is_read_as_the_linker_joined_it(tmp_path: Path) -> None:
    found = compile_library(
        tmp_path, {"a": gencode("80"), "b": gencode("80")}, "-rdc=true", link=("-arch=sm_80", "-rdc=true")
    )

    assert sets(found) == {("sm_80",): 1}


def downloaded(folder: Path, requirement: str) -> Path:
    """Fetch a wheel for Linux on x86-64, and unpack it."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    for version in ("2014", "_2_17", "_2_24", "_2_27", "_2_28"):
        command += ["--platform", f"manylinux{version}_x86_64"]
    command += ["--python-version", "3.11"]
    subprocess.run([*command, "-d", str(folder / "wheels"), requirement], check=True, capture_output=True)
    name = requirement.partition("=")[0].replace("-", "_")
    wheel = next((folder / "wheels").glob(f"{name}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / name)
    return folder / name


def told_by_cuobjdump(program: Path, library: Path, option: str) -> Counter[str]:
    """Count what NVIDIA's own tool lists, by architecture: it doesn't print the suffix `f`."""
    listed = subprocess.run([program, option, library], check=False, capture_output=True, text=True).stdout
    return Counter(re.findall(r"\.(sm_\d+a?)\.(?:cubin|ptx)", listed))


def read_by_us(library: Path, kind: int) -> Counter[str]:
    with library.open("rb") as file:
        section = ELFFile(file).get_section_by_name(SECTION)
        assert section is not None
        data = memoryview(section.data())
    return Counter(
        re.sub(r"f\Z", "", one.target.partition("@")[0].replace("compute_", "sm_"))
        for one in pieces(data)
        if one.kind == kind
    )


def pieces(data: memoryview) -> Iterator[Entry]:
    for entries in read_containers(data):
        yield from entries


@pytest.mark.network
@pytest.mark.slow
def test_real_wheels_read_as_cuobjdump_reads_them(tmp_path: Path) -> None:
    program = downloaded(tmp_path, "nvidia-cuda-cuobjdump") / "nvidia/cu13/bin/cuobjdump"
    program.chmod(0o755)
    libraries = [
        downloaded(tmp_path, "xgboost==3.2.0") / "xgboost/lib/libxgboost.so",
        downloaded(tmp_path, "bitsandbytes==0.50.2") / "bitsandbytes/libbitsandbytes_cuda128.so",
        *(downloaded(tmp_path, "faiss-gpu-cu12==1.14.1.post1") / "faiss_gpu_cu12.libs").glob("libfaiss-*.so"),
    ]

    for library in libraries:
        for option, kind in (("--list-elf", CUBIN), ("--list-ptx", PTX)):
            assert read_by_us(library, kind) == told_by_cuobjdump(program, library, option), (library.name, option)

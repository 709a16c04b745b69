"""Finding GPU code in the files of an environment."""

import time
from pathlib import Path

import pytest

from envcap.gpu.model import CodeSet, GpuCode, GpuLibrary
from envcap.scan.gpu_code import GpuCodeFacts, find_gpu_code
from tests.gpu.assemble import CUBIN, LTO, container, entry, hip, library, pages, spirv
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write

FATBIN = container(entry(CUBIN, 90)) + container(entry(CUBIN, 80), entry(CUBIN, 90))


def find(tmp_path: Path, files: dict[str, bytes | str], name: str = "gpu-things") -> GpuCodeFacts:
    prefix = make_env(tmp_path)
    add_dist(prefix, name, files)
    return find_gpu_code(scan(prefix))


def test_code_is_told_by_file_with_its_package(tmp_path: Path) -> None:
    facts = find(
        tmp_path,
        {
            "pkg/b.so": library({".text": b"x", ".nv_fatbin": FATBIN}),
            "pkg/a.cpython-311-x86_64-linux-gnu.so": library({".hip_fatbin": pages(hip("gfx942"), hip("gfx942"))}),
            "pkg/c.so.2": library({"__CLANG_OFFLOAD_BUNDLE__sycl-spir64": spirv((15, 4))}),
            "pkg/plain.so": library({".text": b"x" * 9000}),
        },
    )

    assert facts == GpuCodeFacts(
        code=(
            GpuCode(
                file=f"{SITE}/pkg/a.cpython-311-x86_64-linux-gnu.so",
                provider="gpu-things",
                sets=(CodeSet(count=2, targets=("gfx942",)),),
            ),
            GpuCode(
                file=f"{SITE}/pkg/b.so",
                provider="gpu-things",
                sets=(CodeSet(count=1, targets=("sm_80", "sm_90")), CodeSet(count=1, targets=("sm_90",))),
            ),
            GpuCode(file=f"{SITE}/pkg/c.so.2", provider="gpu-things", sets=(CodeSet(count=1, targets=("spir64",)),)),
        )
    )


def test_equal_files_are_told_each(tmp_path: Path) -> None:
    data = library({".nv_fatbin": FATBIN})

    assert [row.file for row in find(tmp_path, {"p/a.so": data, "p/b.so": data}).code] == [
        f"{SITE}/p/a.so",
        f"{SITE}/p/b.so",
    ]


def test_file_of_nobody_has_no_provider(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix / SITE, {"mine.so": library({".nv_fatbin": FATBIN})})

    (row,) = find_gpu_code(scan(prefix)).code
    assert (row.file, row.provider) == (f"{SITE}/mine.so", "")


def test_two_sections_of_a_file_are_added_up(tmp_path: Path) -> None:
    data = library({".nv_fatbin": FATBIN, ".hip_fatbin": hip("gfx90a"), "__nv_relfatbin": FATBIN})

    (row,) = find(tmp_path, {"p/a.so": data}).code
    assert row.sets == (
        CodeSet(count=1, targets=("gfx90a",)),
        CodeSet(count=1, targets=("sm_80", "sm_90")),
        CodeSet(count=1, targets=("sm_90",)),
    )
    assert row.jit == ()


def test_library_with_relocatable_code_alone_says_so(tmp_path: Path) -> None:
    (row,) = find(tmp_path, {"p/a.so": library({"__nv_relfatbin": FATBIN})}).code

    assert (row.sets, row.jit) == ((), ("relocatable",))


def test_code_that_is_linked_when_it_runs_is_said(tmp_path: Path) -> None:
    (row,) = find(tmp_path, {"p/a.so": library({".nv_fatbin": container(entry(LTO, 90))})}).code

    assert (row.sets, row.jit) == ((), ("lto",))


def test_code_is_found_where_the_section_table_is_stripped(tmp_path: Path) -> None:
    data = library({".nv_fatbin": FATBIN, ".hip_fatbin": hip("gfx90a")}, stripped=True)

    (row,) = find(tmp_path, {"p/a.so": data}).code
    assert [one.targets for one in row.sets] == [("gfx90a",), ("sm_80", "sm_90"), ("sm_90",)]


def test_runtime_that_is_linked_in_is_a_library_with_the_compiler_s_version(tmp_path: Path) -> None:
    said = library({".note.nv.tkinfo": b"release 13.3, V13.3.33\0", ".text.k": b"x"}, align=4)
    files: dict[str, bytes | str] = {
        "p/a.so": library({".nv_fatbin": container(entry(CUBIN, 90, said)), ".rodata": b"x/cudart.shm.%x.%x\0"}),
        "p/b.so": library({".nv_fatbin": FATBIN, ".rodata": b"x/cudart.shm.%x.%x\0"}),
        "p/libcudart.so.12": library({".nv_fatbin": FATBIN, ".rodata": b"x/cudart.shm.%x.%x\0"}),
    }

    assert find(tmp_path, files).static == (
        GpuLibrary(name="cudart (static)", version="13.3.33", provider="gpu-things"),
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (library({".nv_fatbin": FATBIN[:-8]}), "Damaged GPU code (the container at"),
        (library({".nv_fatbin": FATBIN})[:-70], "Damaged GPU code (a section table cut off)"),
        (library({f".nv_fatbin{index}": b"x" for index in range(70)}), "Damaged GPU code (70 sections with GPU code"),
    ],
)
def test_damaged_code_is_a_finding(tmp_path: Path, data: bytes, reason: str) -> None:
    facts = find(tmp_path, {"p/a.so": data, "p/b.so": library({".nv_fatbin": FATBIN})})

    (finding,) = facts.findings
    assert (finding.code, finding.path) == ("gpu-code-unreadable", f"{SITE}/p/a.so")
    assert finding.message.startswith(f"Its GPU code can't be told: {reason}")
    assert [row.file for row in facts.code] == [f"{SITE}/p/b.so"]


def test_section_that_overlaps_others_is_a_finding(tmp_path: Path) -> None:
    """Each section is as large as the file: reading all of them would take many times as long."""
    data = bytearray(library({".nv_fatbin": FATBIN, ".nv_fatbin2": FATBIN}))
    table = int.from_bytes(data[40:48], "little")
    for index in (1, 2):
        data[table + index * 64 + 24 : table + index * 64 + 40] = bytes(8) + len(data).to_bytes(8, "little")

    (finding,) = find(tmp_path, {"p/a.so": bytes(data)}).findings
    assert finding.message == (
        "Its GPU code can't be told: Damaged GPU code (2 sections with GPU code, larger than the file)"
    )


def test_vanished_file_is_a_finding(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "p", {"p/a.so": library({".nv_fatbin": FATBIN})})
    environment = scan(prefix)
    (prefix / SITE / "p/a.so").unlink()

    (finding,) = find_gpu_code(environment).findings
    assert finding.message == "Its GPU code can't be told: No such file or directory"


@pytest.mark.slow
def test_large_library_is_hopped_through_at_a_gigabyte_a_second(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "p", {"p/a.so": bytes(600)})
    environment = scan(prefix)
    code = container(entry(CUBIN, 90, bytes(64 << 20))) + container(entry(CUBIN, 80))
    (prefix / SITE / "p/a.so").write_bytes(library({".nv_fatbin": code}))

    seconds = []
    for _ in range(5):  # a machine that does other things too is slow at times
        start = time.perf_counter()
        (row,) = find_gpu_code(environment).code
        seconds.append(time.perf_counter() - start)
        assert [one.targets for one in row.sets] == [("sm_80",), ("sm_90",)]

    assert min(seconds) < 0.064

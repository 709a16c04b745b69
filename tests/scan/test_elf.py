"""What ELF files ask of the operating system."""

from pathlib import Path

import pytest

from envcap.elf_reader import ElfFile, ReadAt, read_elf
from envcap.environment import ElfNeed
from envcap.finding import FindingLevel
from envcap.scan.elf import ElfSource, InterpreterElfs, find_interpreter_elfs, read_elf_facts
from envcap.scan.probe import probe_interpreter
from tests.scan.env_builder import SITE, ElfSpec, FakeRunner, add_dist, make_elf, make_env, scan, write


def needs(
    files: dict[str, ElfSpec], folder: Path, *, interpreter: dict[str, ElfSpec] | None = None
) -> dict[str, tuple[str, ...]]:
    facts, _ = read_elf_facts(sources(files, folder), installed_interpreter(interpreter or {}, folder))
    return {need.soname: need.needed_by for need in facts.needs}


def sources(files: dict[str, ElfSpec], folder: Path) -> list[ElfSource]:
    write(folder, {path: make_elf(spec) for path, spec in files.items()})
    return [ElfSource(path=path, location=str(folder / path)) for path in files]


def installed_interpreter(files: dict[str, ElfSpec], folder: Path) -> InterpreterElfs:
    own = sources(files, folder / "base")
    named = tuple(ElfSource(path=f"python/{one.path}", location=one.location) for one in own)
    return InterpreterElfs(sources=named, bundled=folder / "base/lib", base_prefix=folder / "base")


def test_needs_are_sorted_and_name_who_needs_them(tmp_path: Path) -> None:
    files = {
        "b.so": ElfSpec(needed=["libz.so.1", "libc.so.6"]),
        "a.so": ElfSpec(needed=["libc.so.6"]),
    }

    assert list(needs(files, tmp_path).items()) == [("libc.so.6", ("a.so", "b.so")), ("libz.so.1", ("b.so",))]


def test_library_that_the_environment_ships_is_no_need(tmp_path: Path) -> None:
    files = {
        "numpy/core.so": ElfSpec(needed=["libopenblas-1234.so", "libgfortran.so.5", "libc.so.6"]),
        "numpy.libs/libopenblas-1234.so": ElfSpec(),
        "nvidia/lib/libgfortran-abc.so": ElfSpec(soname="libgfortran.so.5"),
    }

    assert list(needs(files, tmp_path)) == ["libc.so.6"]


def test_link_in_the_environment_answers_a_need(tmp_path: Path) -> None:
    files = sources({"a.so": ElfSpec(needed=["libx.so.1"]), "libx.so.1.2": ElfSpec()}, tmp_path)

    facts, _ = read_elf_facts(files, installed_interpreter({}, tmp_path), aliases=["lib/libx.so.1"])

    assert facts.needs == ()


def test_interpreter_is_served_by_its_own_libraries_only(tmp_path: Path) -> None:
    interpreter = {
        "bin/python3.11": ElfSpec(needed=["libpython3.11.so.1.0", "libc.so.6"]),
        "lib/libpython3.11.so.1.0": ElfSpec(soname="libpython3.11.so.1.0", needed=["libm.so.6"]),
        "lib/python3.11/lib-dynload/_ssl.so": ElfSpec(needed=["libssl.so.3"]),
    }
    files = {"pkg/libssl.so.3": ElfSpec(), "pkg/a.so": ElfSpec(needed=["libpython3.11.so.1.0", "libssl.so.3"])}

    assert needs(files, tmp_path, interpreter=interpreter) == {
        "libc.so.6": ("python/bin/python3.11",),
        "libm.so.6": ("python/lib/libpython3.11.so.1.0",),
        "libssl.so.3": ("python/lib/python3.11/lib-dynload/_ssl.so",),
    }


def test_libraries_that_came_with_the_interpreter_are_followed(tmp_path: Path) -> None:
    base = tmp_path / "base/lib"
    base.mkdir(parents=True)
    (base / "libtcl9.0.so").write_bytes(make_elf(ElfSpec(needed=["libdeep.so"])))
    (base / "libdeep.so").write_bytes(make_elf(ElfSpec(needed=["libX11.so.6", "libtcl9.0.so"])))

    found = needs(
        {}, tmp_path, interpreter={"lib/python3.11/lib-dynload/_tkinter.so": ElfSpec(needed=["libtcl9.0.so"])}
    )

    assert found == {"libX11.so.6": ("python/lib/libdeep.so",)}


def test_highest_symbol_versions_of_outside_libraries_count(tmp_path: Path) -> None:
    files = {
        "a.so": ElfSpec(
            versions={"libc.so.6": ["GLIBC_2.9", "GLIBC_2.28", "GLIBC_PRIVATE"], "libm.so.6": ["GLIBC_2.29"]}
        ),
        "b.so": ElfSpec(versions={"libstdc++.so.6": ["GLIBCXX_3.4.9", "GLIBCXX_3.4.30", "CXXABI_1.3"]}),
        "c.so": ElfSpec(versions={"libown.so": ["GLIBC_2.99"]}),
        "libown.so": ElfSpec(),
    }

    facts, _ = read_elf_facts(sources(files, tmp_path), installed_interpreter({}, tmp_path))

    assert (facts.glibc, facts.glibcxx, facts.files) == ("2.29", "3.4.30", 4)


@pytest.mark.parametrize(
    ("soname", "is_driver"),
    [
        ("libcuda.so.1", True),
        ("libnvidia-ml.so.1", True),
        ("libnvcuvid.so.1", True),
        ("libcudart.so.12", False),
        ("libcudnn.so.9", False),
        ("libnvrtc.so.12", False),
        ("libcuda_stub.so", False),
    ],
)
def test_driver_library_comes_from_the_host(tmp_path: Path, soname: str, is_driver: bool) -> None:  # noqa: FBT001 - parametrized
    facts, findings = read_elf_facts(
        sources({"a.so": ElfSpec(needed=[soname])}, tmp_path), installed_interpreter({}, tmp_path)
    )

    assert [need.soname for need in facts.needs] == ([] if is_driver else [soname])
    assert [(one.code, one.level) for one in findings] == [("host-driver-library", FindingLevel.NOTE)] * is_driver


def test_file_of_another_machine_is_noted_and_not_counted(tmp_path: Path) -> None:
    files = {
        "a.so": ElfSpec(needed=["libc.so.6"]),
        "b.so": ElfSpec(needed=["libc.so.6"]),
        "x86.so": ElfSpec(needed=["ld-linux.so.2"], machine=3, wide=False),
    }

    facts, findings = read_elf_facts(sources(files, tmp_path), installed_interpreter({}, tmp_path))

    assert facts.needs == (ElfNeed(soname="libc.so.6", needed_by=("a.so", "b.so")),)
    assert [(one.code, one.path) for one in findings] == [("elf-foreign", "x86.so")]


def test_damaged_and_vanished_files_are_findings(tmp_path: Path) -> None:
    write(tmp_path, {"bad.so": b"\x7fELF"})
    files = [ElfSource(path=path, location=str(tmp_path / path)) for path in ("bad.so", "gone.so")]

    facts, findings = read_elf_facts(files, installed_interpreter({}, tmp_path))

    assert facts.files == 0
    assert [(one.code, one.path) for one in findings] == [("elf-unreadable", "bad.so"), ("elf-unreadable", "gone.so")]


def test_reading_may_be_remembered_by_hash(tmp_path: Path) -> None:
    write(tmp_path, {"a.so": make_elf(ElfSpec(needed=["libc.so.6"]))})
    known: dict[str, ElfFile] = {}

    def remember(sha256: str, read_at: ReadAt) -> ElfFile:
        return known.setdefault(sha256, read_elf(read_at))

    read_elf_facts(
        [ElfSource(path="a.so", location=str(tmp_path / "a.so"), sha256="h")],
        installed_interpreter({}, tmp_path),
        read=remember,
    )

    assert known["h"].needed == ("libc.so.6",)


def test_interpreter_files_are_found_by_what_the_probe_said(tmp_path: Path) -> None:
    base = tmp_path / "base"
    write(
        base,
        dict.fromkeys(("bin/python3.11", "lib/libpython3.11.so.1.0", "lib/python3.11/lib-dynload/_a.so"), b"\x7fELF"),
    )
    config = {"INSTSONAME": "libpython3.11.so.1.0", "LIBDIR": "/install/lib"}
    facts = probe_interpreter(Path("/python"), run=FakeRunner(tmp_path / "env", {"config": config}))

    found = find_interpreter_elfs(facts)

    assert [one.path for one in found.sources] == [
        "python/bin/python3.11",
        "python/lib/libpython3.11.so.1.0",
        "python/lib/python3.11/lib-dynload/_a.so",
    ]
    assert found.bundled == base / "lib"


def test_libraries_beside_a_system_interpreter_are_not_its_own(tmp_path: Path) -> None:
    facts = probe_interpreter(Path("/python"), run=FakeRunner(tmp_path / "env", {"base_prefix": "/usr"}))

    assert find_interpreter_elfs(facts).bundled is None


def test_scan_reads_owned_and_unowned_elf_files(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", {"pkg/a.so": make_elf(ElfSpec(needed=["libowned.so", "libshipped.so.1", "libout.so"]))})
    write(
        prefix,
        {"share/tool": make_elf(ElfSpec(needed=["libunowned.so"])), "share/libshipped.so.1.0": make_elf(ElfSpec())},
    )
    (prefix / "share/libshipped.so.1").symlink_to("libshipped.so.1.0")
    (prefix / "share/libout.so").symlink_to("/usr/lib/libout.so")

    facts = scan(prefix).elf

    assert facts.needs == (
        ElfNeed(soname="libout.so", needed_by=(f"{SITE}/pkg/a.so",)),
        ElfNeed(soname="libowned.so", needed_by=(f"{SITE}/pkg/a.so",)),
        ElfNeed(soname="libunowned.so", needed_by=("share/tool",)),
    )
    assert facts.files == 3

"""Which linear algebra an environment uses, by its files and needs."""

from pathlib import Path

from envcap.lock.blas import find_blas, loads_interface
from envcap.lockfile.model import Blas
from tests.scan.env_builder import SITE, ElfSpec, add_dist, make_elf, make_env, scan, write

TEXT = b"\0OpenBLAS 0.3.31.188.0  USE64BITINT DYNAMIC_ARCH \0"


def test_an_openblas_that_a_wheel_brings_is_named_with_its_own_version(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    library = "numpy.libs/libscipy_openblas64_-32a4b2a6.so"
    add_dist(prefix, "NumPy", {library: make_elf(ElfSpec()) + bytes(3 << 20) + TEXT, "numpy/openblas.py": "x = 1\n"})
    expected = Blas(
        library="openblas", provider="numpy", file="libscipy_openblas64_-32a4b2a6.so", version="0.3.31.188.0"
    )
    assert find_blas(scan(prefix)) == (expected,)


def test_a_version_on_the_edge_of_two_reads_is_found(tmp_path: Path) -> None:
    for shift in (0, 1, 10, 30):
        prefix = make_env(tmp_path / str(shift))
        elf = make_elf(ElfSpec())
        add_dist(prefix, "a", {"a.libs/libopenblas.so.0": elf + bytes((1 << 20) - len(elf) - shift) + TEXT})
        assert [row.version for row in find_blas(scan(prefix))] == ["0.3.31.188.0"]


def test_an_openblas_without_a_version_is_still_named(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {"lib/libopenblas.so.0": make_elf(ElfSpec())})
    assert find_blas(scan(prefix)) == (Blas(library="openblas", provider="unowned", file="libopenblas.so.0"),)


def test_what_is_loaded_from_the_system_names_who_needs_it(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    for name in ("numpy", "scipy"):
        add_dist(prefix, name, {f"{name}/core.so": make_elf(ElfSpec(needed=["libblas.so.3", "libc.so.6"]))})
    add_dist(prefix, "other", {"other/x.so": make_elf(ElfSpec(needed=["libmkl_rt.so.2"]))})
    rows = find_blas(scan(prefix))
    assert rows == (
        Blas(library="blas", provider="system", file="libblas.so.3", needed_by=("numpy", "scipy")),
        Blas(library="mkl", provider="system", file="libmkl_rt.so.2", needed_by=("other",)),
    )
    assert loads_interface(rows)
    assert not loads_interface(rows[1:])


def test_mkl_of_a_package_is_the_packages_and_links_count_once(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {"lib/libmkl_rt.so.2": make_elf(ElfSpec(soname="libmkl_rt.so.2"))})
    (prefix / "lib/libmkl_rt.so").symlink_to("libmkl_rt.so.2")
    add_dist(prefix, "mkl", rows=["../../libmkl_rt.so.2,,"])
    assert find_blas(scan(prefix)) == (Blas(library="mkl", provider="mkl", file="libmkl_rt.so.2"),)


def test_names_that_no_library_has_are_none(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "odd", {"odd/libopenblas\u202e.so": "x", "odd/libblast.so": "x", "odd/openblas.so": "x"})
    assert find_blas(scan(prefix)) == ()
    assert (prefix / SITE / "odd/libblast.so").is_file()

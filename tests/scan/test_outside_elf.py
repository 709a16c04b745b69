"""An extension in a project folder needs libraries of the operating system as one in the environment does."""

from pathlib import Path

from envcap.environment import Environment
from envcap.scan import scan_environment
from envcap.scan.editable import expand_editables
from envcap.scan.outside_elf import add_outside_elf
from tests.scan.env_builder import SITE, ElfSpec, FakeRunner, add_dist, make_elf, make_env, write

EDITABLE = '{"url": "file:///somewhere/proj", "dir_info": {"editable": true}}'


def environment(tmp_path: Path, extension: bytes) -> Environment:
    root = tmp_path / "proj/src"
    write(root, {"proj/__init__.py": "", "proj/_fast.so": extension})
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}\n"}, metadata={"direct_url.json": EDITABLE})
    add_dist(
        prefix,
        "lib",
        {"lib/libown.so.1": make_elf(ElfSpec(needed=("libc.so.6",), versions={"libc.so.6": ("GLIBC_2.4",)}))},
    )
    return expand_editables(scan_environment(prefix, run=FakeRunner(prefix)))


def test_its_needs_join_those_of_the_environment(tmp_path: Path) -> None:
    spec = ElfSpec(needed=("libgomp.so.1", "libown.so.1"), versions={"libc.so.6": ("GLIBC_2.34",)})
    before = environment(tmp_path, make_elf(spec))
    after = add_outside_elf(before)
    assert [need.soname for need in before.elf.needs] == ["libc.so.6"]
    needs = {need.soname: need.needed_by for need in after.elf.needs}
    assert needs["libgomp.so.1"] == (f"{SITE}/proj/_fast.so",)
    assert "libown.so.1" not in needs
    assert (before.elf.glibc, after.elf.glibc) == ("2.4", "2.34")
    assert after.elf.files == before.elf.files + 1


def test_without_an_extension_nothing_changes(tmp_path: Path) -> None:
    before = environment(tmp_path, b"no ELF file")
    assert add_outside_elf(before) is before

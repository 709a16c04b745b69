"""Captured code that was compiled for one processor is named, a package at a time."""

from dataclasses import replace
from pathlib import Path

from envcap.environment import Distribution
from envcap.lock.host_code import host_code_findings
from envcap.lock.pypi_result import Proven, Unproven
from envcap.lockfile.model import Artifact
from tests.lock.wheels import install, wheel_files
from tests.scan.test_isa import elf, isa_needed

V3 = elf({".note.gnu.property": isa_needed(7)})
V4 = elf({".note.gnu.property": isa_needed(15)})


def fast(prefix: Path) -> Distribution:
    files = {"fast/__init__.py": b"", "fast/a.so": V3, "fast/b.so": V4, "fast/plain.so": elf({})}
    return install(prefix, "fast", "1.0", wheel_files("fast", "1.0", files))


def test_a_captured_package_is_named_with_its_highest_level(tmp_path: Path) -> None:
    live = fast(tmp_path)
    (finding,) = host_code_findings([Unproven(distribution=live, reason="no-wheel", message="")], tmp_path)
    assert finding.code == "host-specific-code"
    assert finding.path.endswith("fast/b.so")
    assert finding.message == (
        "fast was compiled here for x86-64-v4 (b.so and 1 more): on a processor without it, it may stop with an "
        "illegal instruction (build it without `-march=native`)"
    )


def test_code_in_a_project_folder_is_looked_at_too(tmp_path: Path) -> None:
    live = fast(tmp_path / "env")
    moved = tmp_path / "elsewhere.so"
    moved.write_bytes(V3)
    files = tuple(replace(file, source=str(moved)) for file in live.files if file.path.endswith("b.so"))
    found = Unproven(distribution=replace(live, files=files), reason="editable", message="")
    assert "x86-64-v3" in host_code_findings([found], tmp_path / "env")[0].message


def test_what_an_index_has_is_for_everybody(tmp_path: Path) -> None:
    artifact = Artifact(platform="linux/amd64", source="pypi", file="f.whl", size=1, sha256="a" * 64)
    assert host_code_findings([Proven(distribution=fast(tmp_path), artifact=artifact)], tmp_path) == ()


def test_a_package_for_every_processor_is_not_named(tmp_path: Path) -> None:
    live = install(tmp_path, "plain", "1.0", wheel_files("plain", "1.0", {"plain.so": elf({}), "a.bin": b"x"}))
    assert host_code_findings([Unproven(distribution=live, reason="vcs", message="")], tmp_path) == ()

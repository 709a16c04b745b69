"""What an archive of ours can't hold is known before it is written."""

from pathlib import Path

import pytest

from envcap.environment import Distribution, EntryPoint, InstalledFile
from envcap.lock.pypi_result import Proven, Unproven
from envcap.lock.readable import as_readable, loose_paths
from envcap.lockfile.model import Artifact
from tests.lock.wheels import LAYOUT, SITE, install, wheel_files

INFO = f"{SITE}/demo-1.0.dist-info"
ARTIFACT = Artifact(platform="linux/amd64", source="pypi", file="demo-1.0-py3-none-any.whl", size=1, sha256="a" * 64)


def file(path: str, content: str = "0", *, size: int = 1, executable: bool = False) -> InstalledFile:
    return InstalledFile(path=path, mode=0o755 if executable else 0o644, size=size, sha256=content * 64)


def loose(*files: InstalledFile, wheel: bool = False) -> list[str]:
    needed = (file(f"{INFO}/METADATA"), file(f"{INFO}/WHEEL")) if wheel else ()
    tags = ("py3-none-any",) if wheel else ()
    one = Distribution(name="demo", version="1.0", directory=INFO, tags=tags, files=(*needed, *files))
    return sorted(loose_paths(one, one.files, layout=LAYOUT))


def test_the_later_of_two_names_that_meet_is_loose_if_the_files_differ() -> None:
    assert loose(file("a/README"), file("a/readme", "1")) == ["a/readme"]
    assert loose(file("a/README"), file("a/readme", executable=True)) == ["a/readme"]
    assert loose(file("a/README"), file("a/readme")) == []
    assert loose(file("e\u0301"), file("\u00e9", "1")) == ["\u00e9"]
    assert loose(file("ss"), file("ß", "1")) == ["ß"]


def test_names_that_mean_something_else_in_a_wheel_are_loose_there_only() -> None:
    names = [f"{SITE}/C:x.py", f"{SITE}/demo-1.0.data/data/x", f"{SITE}/Demo-1.0.DATA/x", f"{SITE}/x.dist-info/y"]
    assert loose(*map(file, names), wheel=True) == sorted(names)
    assert loose(*map(file, names)) == []
    assert loose(file(f"{INFO}/licenses/x"), file(f"{SITE}/demo/x.dist-info/y"), wheel=True) == []


def test_a_twin_of_the_archives_own_record_is_loose() -> None:
    assert loose(file(f"{INFO}/record"), wheel=True) == [f"{INFO}/record"]
    assert loose(file(f"{INFO}/record")) == []


def test_what_a_zip_has_no_room_for_is_loose() -> None:
    assert loose(file("a", size=3 << 30), file("b", size=3 << 30), file("c")) == ["b"]
    many = [file(f"f{number:05}") for number in range(65_003)]
    assert loose(*many) == ["f65000", "f65001", "f65002"]


def demo(prefix: Path, entry_points: bytes) -> Distribution:
    members = {**wheel_files("demo", "1.0", {"demo.py": b""}), "demo-1.0.dist-info/entry_points.txt": entry_points}
    return install(prefix, "demo", "1.0", members, entry_points=(EntryPoint(name="demo", value="demo:main"),))


@pytest.mark.parametrize("line", [b"nothing", b"../evil = demo:main", b"demo = demo", b".wh.x = demo:main"])
def test_entry_points_that_a_rebuild_refuses_end_the_proof(tmp_path: Path, line: bytes) -> None:
    live = demo(tmp_path, b"[console_scripts]\ndemo = demo:main\n" + line + b"\n")
    (row,) = as_readable([Proven(distribution=live, artifact=ARTIFACT, received=7)], prefix=tmp_path)
    assert isinstance(row, Unproven)
    assert (row.reason, row.received, row.distribution.tags) == ("entry-points", 7, ())
    assert row.message.startswith("its scripts can't be made anew: demo-1.0.dist-info: unexpected entry point ")


def test_honest_entry_points_leave_everything_as_it_is(tmp_path: Path) -> None:
    live = demo(tmp_path, b"[console_scripts]\ndemo = demo:main [extra]\n[other]\nany thing\n")
    rows = (Proven(distribution=live, artifact=ARTIFACT), Unproven(distribution=live, reason="vcs", message=""))
    assert as_readable(rows, prefix=tmp_path) == rows

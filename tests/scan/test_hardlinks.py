"""Other names of an edited file are found where environments and caches lie; what was not found is counted."""

import itertools
import os
from pathlib import Path

import pytest

from envcap.scan import hardlinks
from envcap.scan.hardlinks import SharedFile, find_shared, search_roots

SITE = "lib/python3.11/site-packages"
FILE = f"{SITE}/demo/a.py"


def environment(root: Path, python: str = "3.11") -> Path:
    (root / f"lib/python{python}/site-packages/demo").mkdir(parents=True)
    (root / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return root


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    found = environment(tmp_path / "project" / ".venv")
    (found / FILE).write_text("x")
    return found


def link(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)
    return target


def find(prefix: Path, *roots: Path, paths: tuple[str, ...] = (FILE,)) -> tuple[SharedFile, ...]:
    return find_shared(prefix, paths, cache=prefix.parents[1] / "cache", roots=roots, clock=lambda: 0.0)


def test_a_file_with_one_name_is_not_shared(prefix: Path) -> None:
    assert find(prefix, prefix.parents[1]) == ()
    assert find(prefix, prefix.parents[1], paths=("gone.py",)) == ()


def test_a_symlink_is_not_shared(prefix: Path) -> None:
    (prefix / "link").symlink_to(FILE)
    link(prefix / FILE, prefix / "other")
    assert find(prefix, paths=("link",)) == ()


def test_the_cache_is_searched_by_the_file_s_own_place(prefix: Path, tmp_path: Path) -> None:
    link(prefix / FILE, tmp_path / "cache/archive-v0/Abc/demo/a.py")
    (tmp_path / "cache/archive-v0/Def/demo").mkdir(parents=True)
    (tmp_path / "cache/archive-v0/Def/demo/a.py").write_text("x")
    assert find(prefix) == (SharedFile(path=FILE, names=1, cached=1),)


def test_files_outside_site_packages_lie_in_the_data_folder_of_the_cache(prefix: Path, tmp_path: Path) -> None:
    (prefix / "share").mkdir()
    (prefix / "share/b.txt").write_text("x")
    link(prefix / "share/b.txt", tmp_path / "cache/archive-v0/Abc/demo-1.data/data/share/b.txt")
    assert find(prefix, paths=("share/b.txt",)) == (SharedFile(path="share/b.txt", names=1, cached=1),)


def test_environments_of_other_pythons_and_in_hidden_folders_are_found(prefix: Path, tmp_path: Path) -> None:
    first = environment(tmp_path / "other" / ".venv", python="3.12")
    second = environment(tmp_path / ".virtualenvs" / "second")
    unrelated = environment(tmp_path / "unrelated")
    link(prefix / FILE, first / "lib/python3.12/site-packages/demo/a.py")
    link(prefix / FILE, second / FILE)
    (unrelated / FILE).write_text("x")
    assert find(prefix, tmp_path) == (SharedFile(path=FILE, names=2, environments=(second, first)),)


def test_names_elsewhere_are_counted(prefix: Path, tmp_path: Path) -> None:
    link(prefix / FILE, tmp_path / "backup.py")
    (shared,) = find(prefix, tmp_path)
    assert (shared.environments, shared.unseen) == ((), 1)


def test_no_symlink_is_followed(prefix: Path, tmp_path: Path) -> None:
    outside = environment(tmp_path / "outside" / "env")
    link(prefix / FILE, outside / FILE)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "home" / "loop").symlink_to(tmp_path / "home")
    (shared,) = find(prefix, tmp_path / "home")
    assert shared.unseen == 1


def test_the_walk_ends_at_its_bounds(prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = environment(tmp_path / "z" / "env")
    link(prefix / FILE, other / FILE)
    for number in range(20):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
    assert find(prefix, tmp_path)[0].environments == (other,)
    ticks = itertools.count(step=hardlinks.MAX_SECONDS)
    late = find_shared(prefix, [FILE], cache=tmp_path / "cache", roots=[tmp_path], clock=lambda: float(next(ticks)))
    assert late[0].unseen == 1
    monkeypatch.setattr(hardlinks, "MAX_FOLDERS", 3)
    assert find(prefix, tmp_path)[0].unseen == 1


def test_the_walk_ends_when_every_name_is_found(prefix: Path, tmp_path: Path) -> None:
    near = environment(tmp_path / "project" / "near")
    link(prefix / FILE, near / FILE)
    calls = itertools.count()

    def clock() -> float:
        assert next(calls) < 10, "it looked further"
        return 0.0

    for number in range(50):
        environment(tmp_path / "far" / str(number))
    found = find_shared(prefix, [FILE], cache=tmp_path / "cache", roots=[prefix.parent, tmp_path], clock=clock)
    assert found[0].environments == (near,)


def test_environments_are_looked_for_nearby_then_below_the_home_but_never_from_the_root() -> None:
    home = Path("/home/me")
    assert search_roots(Path("/srv/p/.venv"), home, {}) == (Path("/srv/p"), Path("/srv"), home)
    assert search_roots(Path("/venv"), home, {"WORKON_HOME": "/envs"}) == (Path("/envs"), home)
    assert search_roots(Path("/home/me/p/.venv"), home, {"WORKON_HOME": "x"}) == (home / "p", home)

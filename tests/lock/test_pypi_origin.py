"""The sdist that a captured distribution was built from: found by content, remembered, never guessed."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.environment import DirectUrl, Distribution
from envcap.lock.pypi import prove_distributions
from envcap.lock.pypi_result import Unproven
from envcap.lockfile.model import SourceArchive
from envcap.sources.http import Session
from envcap.sources.pip_cache import pip_cache_folder
from tests.lock.sdists import make_sdist, make_zip_sdist
from tests.lock.test_pypi import Memory, settings_for
from tests.lock.wheels import SITE, environment_of, install, make_wheel, wheel_files
from tests.sources.index_server import Index, serve

CODE = {"demo/__init__.py": b"x = 1\n", "demo/a.py": b"a = 1\n", "demo/b.py": b"b = 1\n"}
FILES = {**CODE, "demo/_fast.so": b"\x7fELF compiled here", "demo/_version.py": b"generated\n"}
MEMBERS = wheel_files("demo", "1.0", FILES, tag="cp311-cp311-linux_x86_64")
SDIST = make_sdist("demo-1.0", {"setup.py": b"", **{f"src/{name}": data for name, data in CODE.items()}})
NAME = "demo-1.0.tar.gz"
FOUND = SourceArchive(file=NAME, sha256=sha256(SDIST).hexdigest())


@pytest.fixture
def demo(tmp_path: Path) -> Distribution:
    return install(tmp_path, "demo", "1.0", MEMBERS, tags=("cp311-cp311-linux_x86_64",))


def trace(
    prefix: Path,
    live: Distribution,
    *indexes: Index | str,
    cache: Memory | None = None,
    offline: bool = False,
    pip_cache: Path | None = None,
) -> Unproven:
    with Session(settings_for(*indexes), sleep=lambda _: None, offline=offline) as session:
        (found,) = prove_distributions(
            environment_of(prefix, live), session, cache=cache or Memory(), pip_cache=pip_cache
        )
    assert isinstance(found, Unproven)
    return found


HOW = {
    "by uv, which says so": ({"built_from_source": True}, "built-from-source"),
    "by pip, which doesn't": ({}, "no-wheel"),
    "by setup.py install": ({"form": "egg-info"}, "legacy-format"),
}


@pytest.mark.parametrize(("fields", "reason"), HOW.values(), ids=HOW)
def test_the_sdist_of_what_was_built_here_is_named(
    tmp_path: Path, demo: Distribution, fields: dict[str, object], reason: str
) -> None:
    with serve(Index()) as index:
        index.add("demo", NAME, SDIST)
        index.add("demo", "demo-1.1.tar.gz", SDIST)
        found = trace(tmp_path, replace(demo, **fields), index)  # type: ignore[arg-type]
    assert (found.reason, found.sdist) == (reason, FOUND)


def test_a_wheel_of_the_index_that_is_not_the_installed_one_does_not_hide_the_sdist(
    tmp_path: Path, demo: Distribution
) -> None:
    with serve(Index()) as index:
        other = wheel_files("demo", "1.0", {"demo/__init__.py": b"other\n"}, tag="cp311-cp311-manylinux_2_17_x86_64")
        index.add("demo", "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", make_wheel("demo", "1.0", other))
        index.add("demo", NAME, SDIST)
        found = trace(tmp_path, demo, index)
    assert (found.reason, found.sdist) == ("no-match", FOUND)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("demo-1.0.zip", make_zip_sdist("demo-1.0", CODE)),
        ("demo-1.0.tar.bz2", make_sdist("demo-1.0", CODE, mode="w:bz2")),
    ],
)
def test_older_forms_of_sdists_are_read_too(tmp_path: Path, demo: Distribution, name: str, data: bytes) -> None:
    with serve(Index()) as index:
        index.add("demo", name, data)
        assert trace(tmp_path, demo, index).sdist == SourceArchive(file=name, sha256=sha256(data).hexdigest())


NOT_IT = {
    "another project": make_sdist("demo-1.0", {"demo/__init__.py": b"another\n", "demo/a.py": b"another a\n"}),
    "less than half of the code": make_sdist("demo-1.0", {"demo/a.py": CODE["demo/a.py"]}),
    "damaged": SDIST[:-20],
    "no archive": b"source",
    "empty": make_sdist("demo-1.0", {}),
}


@pytest.mark.parametrize("data", NOT_IT.values(), ids=NOT_IT)
def test_an_sdist_that_does_not_hold_the_installed_code_is_not_named(
    tmp_path: Path, demo: Distribution, data: bytes
) -> None:
    with serve(Index()) as index:
        index.add("demo", NAME, data)
        found = trace(tmp_path, demo, index)
    assert (found.reason, found.sdist) == ("no-wheel", SourceArchive())


def test_an_edited_module_leaves_the_origin_as_it_is(tmp_path: Path) -> None:
    live = install(tmp_path, "demo", "1.0", MEMBERS, changes={f"{SITE}/demo/a.py": b"edited\n"})
    with serve(Index()) as index:
        index.add("demo", NAME, SDIST)
        assert trace(tmp_path, live, index).sdist == FOUND


def test_a_file_that_is_not_what_its_index_says_is_not_named(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", NAME, SDIST)
        index.pages[f"/files/{NAME}"] = ("application/gzip", make_sdist("demo-1.0", CODE))
        assert trace(tmp_path, demo, index).sdist == SourceArchive()


def test_a_second_run_fetches_no_sdist(tmp_path: Path, demo: Distribution) -> None:
    cache = Memory()
    with serve(Index()) as index:
        index.add("demo", NAME, SDIST)
        assert trace(tmp_path, demo, index, cache=cache).sdist == FOUND
        assert len(index.asked(NAME)) == 1
        assert trace(tmp_path, demo, index, cache=cache).sdist == FOUND
        assert len(index.asked(NAME)) == 1


@pytest.mark.parametrize("recorded", [True, False])
def test_the_sdist_of_a_direct_url_is_hashed_where_its_installer_left_no_hash(
    tmp_path: Path, demo: Distribution, *, recorded: bool
) -> None:
    with serve(Index()) as index:
        index.pages[f"/elsewhere/{NAME}"] = ("application/gzip", SDIST)
        url = f"{index.url}/elsewhere/{NAME}"
        direct = DirectUrl(url=url, kind="archive", sha256=FOUND.sha256 if recorded else "")
        found = trace(tmp_path, replace(demo, direct_url=direct), index)
    assert found.sdist == replace(FOUND, url=url)


def test_a_local_sdist_is_hashed_and_its_place_not_named(tmp_path: Path, demo: Distribution) -> None:
    (tmp_path / NAME).write_bytes(SDIST)
    direct = DirectUrl(url=(tmp_path / NAME).as_uri(), kind="archive")
    assert trace(tmp_path, replace(demo, direct_url=direct), offline=True).sdist == FOUND


def test_a_gone_direct_url_is_no_origin(tmp_path: Path, demo: Distribution) -> None:
    direct = DirectUrl(url=(tmp_path / NAME).as_uri(), kind="archive")
    assert trace(tmp_path, replace(demo, direct_url=direct)).sdist == SourceArchive()


def cached_by_pip(folder: Path, origin: object, wheel: bytes) -> Path:
    place = folder / "wheels/ab/cd/ef/0123"
    place.mkdir(parents=True)
    (place / "demo-1.0-cp311-cp311-linux_x86_64.whl").write_bytes(wheel)
    (place / "origin.json").write_text(json.dumps(origin))
    return folder


ORIGIN: dict[str, object] = {
    "url": f"https://me:s3cr3t@files.example.org/{NAME}",
    "archive_info": {"hashes": {"sha256": FOUND.sha256}, "hash": f"sha256={FOUND.sha256}"},
}


def test_pip_s_cache_tells_the_origin_of_the_wheel_that_it_built(tmp_path: Path, demo: Distribution) -> None:
    cache = cached_by_pip(tmp_path / "cache", ORIGIN, make_wheel("demo", "1.0", MEMBERS))
    assert trace(tmp_path, demo, offline=True, pip_cache=cache).sdist == replace(
        FOUND, url=f"https://files.example.org/{NAME}"
    )
    with serve(Index()) as index:
        index.add("demo", NAME, SDIST)
        assert trace(tmp_path, demo, index, pip_cache=cache).sdist == FOUND
        assert not index.asked(f"/files/{NAME}")


BUILT = make_wheel("demo", "1.0", MEMBERS)
UNUSABLE: dict[str, tuple[object, bytes]] = {
    "another wheel": (ORIGIN, make_wheel("demo", "1.0", wheel_files("demo", "1.0", {"demo/a.py": b"other\n"}))),
    "no wheel": (ORIGIN, b"PK"),
    "a repository": ({"url": "https://git.example.org/x", "vcs_info": {"vcs": "git"}}, BUILT),
    "a weak hash": ({"url": "https://a.example.org/x.tar.gz", "archive_info": {"hashes": {"md5": "1"}}}, BUILT),
    "a name with folders": ({**ORIGIN, "url": "https://a.example.org/..%2fx.tar.gz"}, BUILT),
    "no object": ([], BUILT),
}


@pytest.mark.parametrize(("origin", "wheel"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_cache_that_does_not_fit_tells_nothing(
    tmp_path: Path, demo: Distribution, origin: object, wheel: bytes
) -> None:
    cache = cached_by_pip(tmp_path / "cache", origin, wheel)
    assert trace(tmp_path, demo, offline=True, pip_cache=cache).sdist == SourceArchive()


def test_pip_s_cache_is_where_pip_is_told_to_keep_it() -> None:
    home = Path("/home/me")
    assert pip_cache_folder({}, home) == Path("/home/me/.cache/pip")
    assert pip_cache_folder({"XDG_CACHE_HOME": "/c"}, home) == Path("/c/pip")
    assert pip_cache_folder({"PIP_CACHE_DIR": "/p", "XDG_CACHE_HOME": "/c"}, home) == Path("/p")

"""Import of `pylock.toml`: what was exported as a lock again, and the image of the environment that it came from."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from envcap.blobs import open_lock
from envcap.lockfile.model import Lockfile, Session
from tests.flow import OWN_PYTHON, SYSTEM_PYTHON, WHEELS, Answer, Flow, make_flow

BASE = SYSTEM_PYTHON if Path(SYSTEM_PYTHON).exists() else OWN_PYTHON


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A world with a lock; tests leave it as it is."""
    world = make_flow(tmp_path_factory.mktemp("pylock") / "world")
    assert world.snapshot().status == 0
    return world


def import_(flow: Flow, file: Path, *more: object) -> Answer:
    return flow.run("import", file, "--name", "back", "--output", file.parent / "locks", "--python", BASE, *more)


def lock_of(file: Path) -> Lockfile:
    return open_lock(file.parent / "locks/back").lockfile


def write(path: Path, *packages: Mapping[str, object], **more: object) -> Path:
    path.write_text(tomli_w.dumps({"lock-version": "1.0", "created-by": "test", "packages": list(packages), **more}))
    return path


def package(name: str = "alpha", *, host: str = "files.example.org") -> dict[str, object]:
    wheel = next(wheel for wheel in WHEELS if wheel.name == name)
    hashes = {"sha256": hashlib.sha256(wheel.build()).hexdigest()}
    url = f"https://{host}/x/{wheel.file}"
    return {"name": name, "version": wheel.version, "wheels": [{"name": wheel.file, "url": url, "hashes": hashes}]}


def test_an_export_comes_back_and_rebuilds_to_the_image_of_the_environment(flow: Flow, tmp_path: Path) -> None:
    """What the format doesn't say is who asked for a package, and in which shell."""
    file = tmp_path / "pylock.toml"
    assert flow.run("export", flow.lock, "--format", "pylock", "--output", file).status == 0

    taken = import_(flow, file, "--json")

    assert taken.status == 0, taken.err
    before, after = open_lock(flow.lock).lockfile, lock_of(file)
    asked = tuple(replace(row, requested=False) for row in before.packages)
    assert after == replace(before, name="back", packages=asked, session=Session(), expected=())
    assert json.loads(taken.out)["image_id"] is None
    assert str(tmp_path) not in (tmp_path / "locks/back/envcap.lock").read_text()
    rebuilt = flow.run("rebuild", tmp_path / "locks/back", "--record", "--json")
    assert json.loads(rebuilt.out)["image_id"] == before.expected[0].image_id
    assert lock_of(file).expected[0].image_id == before.expected[0].image_id
    assert list((flow.store / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("wheels/alpha-1.0-py3-none-any.whl", ""),
        ("../alpha-1.0-py3-none-any.whl", "nobody has the wheel"),
        ("link/alpha-1.0-py3-none-any.whl", "nobody has the wheel"),
        ("other/alpha-1.0-py3-none-any.whl", "'other/alpha-1.0-py3-none-any.whl' beside the file is another"),
    ],
)
def test_only_a_wheel_in_the_folder_of_the_file_is_read(flow: Flow, tmp_path: Path, path: str, message: str) -> None:
    wheel, folder = WHEELS[0], tmp_path / "lock"
    for place in (tmp_path, folder / "wheels", folder / "other"):
        place.mkdir(parents=True, exist_ok=True)
        (place / wheel.file).write_bytes(wheel.build() if place.name != "other" else b"another")
    (folder / "link").symlink_to(tmp_path)
    hashes = {"sha256": hashlib.sha256(wheel.build()).hexdigest()}
    row = {"name": "alpha", "version": "1.0", "wheels": [{"path": path, "hashes": hashes}]}
    store = {"PIP_FIND_LINKS": str(tmp_path / "none"), "ENVCAP_STORE": str(tmp_path / "store")}

    taken = import_(replace(flow, settings=store), write(folder / "pylock.toml", row))

    assert taken.status == bool(message), taken.err
    assert message in taken.err.splitlines()[0] if message else lock_of(folder / "pylock.toml").packages


def test_the_summary_says_what_was_taken(flow: Flow, tmp_path: Path) -> None:
    groups = {"dependency-groups": ["dev"], "default-groups": [], "extras": ["gpu"]}
    file = write(tmp_path / "pylock.toml", package("alpha"), package("beta"), **groups)

    taken = import_(flow, file)

    assert taken.status == 0, taken.err
    assert "alpha 1.0, beta 2.1" in taken.out
    assert "none yet: `envcap rebuild --record` writes it" in taken.out
    assert "Extras and groups, left out: dev, gpu" in taken.err
    assert [(row.name, row.proof, row.patches) for row in lock_of(file).packages] == [
        ("alpha", "record", ()),
        ("beta", "record", ()),
    ]


def test_the_python_is_found_on_the_path(flow: Flow, tmp_path: Path) -> None:
    feature = ".".join(platform.python_version_tuple()[:2])
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\nexit 1\n")
    (folder / "python3").chmod(0o755)
    (folder / f"python{feature}").symlink_to(OWN_PYTHON)
    world = replace(flow, settings={"PATH": f"{folder}:/nowhere"})
    file = write(tmp_path / "pylock.toml", package(), **{"requires-python": f"=={feature}.*"})

    for wanted in ([], ["--python", feature]):
        name = f"back{len(wanted)}"
        taken = world.run("import", file, "--name", name, "--output", tmp_path / "locks", *wanted)
        assert taken.status == 0, taken.err
        assert open_lock(tmp_path / "locks" / name).lockfile.interpreter.version == platform.python_version()


@pytest.mark.parametrize(
    ("python", "status", "message"),
    [
        ("3.8", 2, "No Python 3.8 is on the PATH"),
        ("2.7", 2, "Unexpected Python '2.7' (expected a path, or a version such as 3.12)"),
        ("/nowhere/python3", 2, "/nowhere/python3 is no interpreter"),
        ("/bin/true", 1, "Unexpected answer of the interpreter /bin/true"),
    ],
)
def test_a_python_that_is_not_there_is_one_line(
    flow: Flow, tmp_path: Path, python: str, status: int, message: str
) -> None:
    world = replace(flow, settings={"PATH": "/nowhere"})
    file = write(tmp_path / "pylock.toml", package())

    refused = world.run("import", file, "--name", "back", "--output", tmp_path / "locks", "--python", python)

    assert (refused.status, refused.out) == (status, "")
    assert message in refused.err.splitlines()[0]
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requires-python": "==2.7.*"}, "pylock.toml is not for Python 3"),
        ({"packages": [{**package(), "wheels": [{"name": "alpha-1.0-py3-none-any.whl", "url": "https://e.example.org/a",
          "hashes": {"sha256": "0" * 64}}]}]}, "Can't pin alpha-1.0-py3-none-any.whl: nobody has the wheel"),
        ({"packages": [package(host="10.0.0.7") | {"wheels": [{"url": "https://10.0.0.7/delta-1-py3-none-any.whl",
          "hashes": {"sha256": "0" * 64}}], "name": "delta", "version": "1"}]}, "Can't pin delta-1-py3-none-any.whl"),
        ({"packages": []}, "has no package for Python 3"),
    ],
)  # fmt: skip
def test_a_lock_that_can_not_be_had_is_one_line(
    flow: Flow, tmp_path: Path, change: Mapping[str, object], message: str
) -> None:
    file = write(tmp_path / "pylock.toml", package())
    file.write_text(tomli_w.dumps({"lock-version": "1.0", "created-by": "test", "packages": [package()], **change}))

    refused = import_(flow, file, "--offline")

    assert (refused.status, refused.out) == (1, "")
    assert message in refused.err.splitlines()[0]
    assert "10.0.0.7" not in refused.err
    assert not (tmp_path / "locks").exists()
    assert list((flow.store / "tmp").iterdir()) == []


def test_no_wheel_puts_itself_in_the_place_of_the_interpreter(flow: Flow, tmp_path: Path) -> None:
    """The environment's Python is asked about itself: it must be the one that was chosen."""
    ran = f"#!/bin/sh\ntouch {tmp_path}/ran\n".encode()
    names = ("python", "python3", ".".join(("python3", BASE.rpartition(".")[2])))
    evil = replace(WHEELS[1], name="evil", files={f"evil-2.1.data/data/bin/{name}": ran for name in names})
    world = replace(flow, settings={"PIP_FIND_LINKS": str(tmp_path / "wheels")})
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / evil.file).write_bytes(evil.build())
    hashes = {"sha256": hashlib.sha256(evil.build()).hexdigest()}
    url = f"https://files.example.org/{evil.file}"
    row = {"name": "evil", "version": "2.1", "wheels": [{"url": url, "hashes": hashes}]}

    import_(world, write(tmp_path / "pylock.toml", row))

    assert not (tmp_path / "ran").exists()
    assert list((flow.store / "tmp").iterdir()) == []

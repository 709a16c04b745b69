"""Import: what was exported, or locked by other tools, as a lock again."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.lockfile.model import Lockfile, Session
from tests.conda.channel import Channel
from tests.conda.world import make_world
from tests.flow import WHEELS, Answer, Flow


@pytest.fixture
def flow(locked: Flow, tmp_path: Path) -> Flow:
    """The world of the lock, on a machine that has nothing of it yet."""
    settings = {**locked.settings, "ENVCAP_STORE": str(tmp_path / "store"), "OMP_NUM_THREADS": "3"}
    return replace(locked, settings=settings)


def exported(flow: Flow, form: str, path: Path) -> Path:
    answer = flow.run("export", flow.lock, "--format", form)
    assert answer.status == 0, answer.err
    path.write_text(answer.out)
    return path


def import_(flow: Flow, file: Path, *more: str) -> Answer:
    return flow.run("import", file, "--name", "back", "--output", file.parent / "locks", *more)


def lock_of(file: Path) -> Lockfile:
    return open_lock(file.parent / "locks/back").lockfile


@pytest.mark.parametrize("form", ["explicit", "conda-lock", "environment"])
def test_an_export_comes_back_as_the_same_packages(flow: Flow, form: str, tmp_path: Path) -> None:
    """What no format says is who asked for a package, and in which shell."""
    file = exported(flow, form, tmp_path / "file")

    taken = import_(flow, file, "--json")

    assert taken.status == 0, taken.err
    before, after = open_lock(flow.lock).lockfile, lock_of(file)
    asked = tuple(replace(row, requested=()) for row in before.conda)
    assert replace(after, expected=()) == replace(before, name="back", conda=asked, session=Session(), expected=())
    assert json.loads(taken.out)["image_id"] == after.expected[0].image_id
    assert str(tmp_path) not in (tmp_path / "locks/back/envcap.lock").read_text()
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_an_imported_lock_rebuilds_to_the_image_that_it_expects(flow: Flow, tmp_path: Path) -> None:
    file = exported(flow, "explicit", tmp_path / "file")
    assert import_(flow, file).status == 0

    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")})
    rebuilt = other.run("rebuild", tmp_path / "locks/back", "--json")

    assert rebuilt.status == 0, rebuilt.err
    assert json.loads(rebuilt.out)["level"] == "config"


@pytest.mark.parametrize("kept", ["md5", "nothing"])
def test_a_weak_hash_is_compared_and_a_strong_one_found_out(
    flow: Flow, channel: Channel, tmp_path: Path, kept: str
) -> None:
    data = channel.path("python").read_bytes()
    fragment = f"#{hashlib.md5(data, usedforsecurity=False).hexdigest()}" if kept == "md5" else ""
    file = tmp_path / "list.txt"
    file.write_text(f"@EXPLICIT\n{channel.path('python').as_uri()}{fragment}\n")

    taken = import_(flow, file)

    assert taken.status == 0, taken.err
    assert lock_of(file).conda[0].sha256 == hashlib.sha256(data).hexdigest()
    assert ("has no hash of python" in taken.err) is (kept == "nothing")


@pytest.mark.parametrize("digest", ["0" * 32, f"sha256:{'0' * 64}"])
def test_another_archive_than_the_file_says_is_refused(
    flow: Flow, channel: Channel, tmp_path: Path, digest: str
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"@EXPLICIT\n{channel.path('python').as_uri()}#{digest}\n")

    refused = import_(flow, file)

    assert refused.status == 1
    assert refused.err.splitlines()[0].startswith(f"error: Can't pin {channel.path('python').name}: nobody has")
    assert not (tmp_path / "locks").exists()


def test_two_hashes_that_contradict_each_other_are_refused(flow: Flow, tmp_path: Path) -> None:
    file = exported(flow, "conda-lock", tmp_path / "file")
    right = file.read_text()
    md5 = open_lock(flow.lock).lockfile.conda[0].md5
    file.write_text(file.read_text().replace(md5, "f" * 32))

    refused = import_(flow, file)

    assert refused.status == 1
    assert "has another file of that name (its MD5 or size differs)" in refused.err
    assert not (tmp_path / "locks").exists()
    (tmp_path / "right").write_text(right)
    assert flow.run("import", tmp_path / "right", "--name", "right", "--output", tmp_path / "others").status == 0
    assert "has another MD5 than the file says" in import_(flow, file).err  # now that the store has the archive


def test_a_file_may_name_no_folder_of_its_own(flow: Flow, channel: Channel, tmp_path: Path) -> None:
    """Whoever wrote it: only this machine's configuration names folders."""
    (tmp_path / "theirs/noarch").mkdir(parents=True)
    (tmp_path / "theirs/noarch/x-1-0.conda").write_bytes(channel.path("tool").read_bytes())
    file = tmp_path / "list.txt"
    file.write_text(f"@EXPLICIT\n{(tmp_path / 'theirs/noarch/x-1-0.conda').as_uri()}\n")

    refused = import_(flow, file, "--offline")

    assert refused.status == 1
    assert "Can't pin x-1-0.conda" in refused.err


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("nonsense", 1, "list.txt is in no format that is known"),
        ("@EXPLICIT\n", 1, "list.txt holds no packages"),
        ("@EXPLICIT\nTOOL\n", 1, "No Python is among the packages"),
        ("@EXPLICIT\nTOOL\n# pip alpha @ https://example.org/a.zip\n", 1, "'alpha' is no wheel"),
        ("@EXPLICIT\nTOOL\n# pip alpha @ https://example.org/a-1-py3-none-any.whl\n", 1, "'alpha' has the file"),
        (None, 1, "list.txt can't be read: No such file or directory"),
    ],
)
def test_a_file_that_gives_no_lock_is_one_line(
    flow: Flow, channel: Channel, tmp_path: Path, text: str | None, status: int, message: str
) -> None:
    file = tmp_path / "list.txt"
    if text is not None:
        file.write_text(text.replace("TOOL", channel.path("tool").as_uri()))

    refused = import_(flow, file)

    assert (refused.status, refused.out) == (status, "")
    assert message in refused.err.splitlines()[0]
    assert not (tmp_path / "locks").exists()


def test_wheels_lie_on_top_and_are_the_indexes(channel: Channel, tmp_path: Path) -> None:
    """Wheels of a configured index; the address that the file has is asked last, and not here."""
    world = make_world(tmp_path / "world", channel, ("python", "tool"))
    assert world.snapshot().status == 0
    file = exported(world, "explicit", tmp_path / "file")
    for wheel in WHEELS:
        (world.wheels / wheel.file).write_bytes(wheel.build())
        found = hashlib.sha256(wheel.build()).hexdigest()
        with file.open("a") as stream:
            stream.write(f"# pip {wheel.name} @ https://files.example.org/x/{wheel.file}#sha256={found}\n")

    taken = import_(world, file)

    assert taken.status == 0, taken.err
    assert [(row.name, row.proof, row.patches) for row in lock_of(file).packages] == [
        (name, "record", ()) for name in ("alpha", "beta", "gamma")
    ]
    assert "differs" not in taken.err
    other = replace(world, settings={**world.settings, "ENVCAP_STORE": str(tmp_path / "other")})
    rebuilt = other.run("rebuild", tmp_path / "locks/back", "--rootfs", tmp_path / "root", "--json")
    assert json.loads(rebuilt.out)["level"] == "config"
    assert (tmp_path / "root/opt/conda/bin/alpha-tool").read_text().startswith("#!/opt/conda/bin/python\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "localhost"])
def test_no_inner_address_of_a_file_is_asked(flow: Flow, tmp_path: Path, host: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"@EXPLICIT\nhttps://{host}/elsewhere/noarch/x-1-0.conda\n")

    refused = import_(flow, file, "--offline")

    assert refused.status == 1
    assert host not in refused.err


@pytest.mark.parametrize("name", ["../x", "x-", "x" * 129])
def test_a_name_that_no_lock_may_have_is_refused_before_the_file_is_read(flow: Flow, tmp_path: Path, name: str) -> None:
    refused = flow.run("import", tmp_path / "not-there", "--name", name)

    assert refused.status == 2
    assert f"Unexpected name {name[:100]!r}" in refused.err

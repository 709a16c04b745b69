"""`envcap check` of a conda environment: what of its packages is not as the lock says."""

import json

import pytest

from tests.conda.channel import SITE, Channel, install
from tests.conda.test_faithful import write_anew
from tests.conda.world import make_world
from tests.flow import Flow


def drift(flow: Flow, *options: str) -> list[tuple[str, str, str]]:
    answer = flow.run("check", flow.lock, flow.prefix, "--json", *options)
    assert answer.status in {0, 3}, answer.err
    changes = [(row["what"], row["name"], row["path"]) for row in json.loads(answer.out)["changes"]]
    assert (answer.status == 3) is bool(changes)
    return changes


@pytest.fixture
def flow(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    flow = make_world(tmp_path_factory.mktemp("drift") / "world", channel, ("python", "tool", "fast"))
    assert flow.snapshot().status == 0
    return flow


def test_an_untouched_environment_is_as_locked(flow: Flow) -> None:
    assert drift(flow) == []


def test_files_packages_and_what_is_nobodys_are_told(flow: Flow, channel: Channel) -> None:
    write_anew(flow.prefix / SITE / "tool/where.py", "mine\n")
    (flow.prefix / "include/fast.h").unlink()
    (flow.prefix / "new.txt").write_text("x")
    install(channel, flow.prefix, ["python", "tool", "fast", "hooked"], cache=flow.root / "cache")
    write_anew(flow.prefix / SITE / "tool/where.py", "mine\n")
    (flow.prefix / "include/fast.h").unlink(missing_ok=True)

    assert drift(flow) == [
        ("deleted", "fast (conda)", "include/fast.h"),
        ("installed", "hooked (conda)", ""),
        ("edited", "tool (conda)", f"{SITE}/tool/where.py"),
        ("added", "", "new.txt"),
    ]


def test_a_patch_that_was_taken_back_is_told(flow: Flow) -> None:
    path = flow.prefix / SITE / "tool/__init__.py"
    before = path.read_text()
    write_anew(path, "mine\n")
    assert flow.snapshot().status == 0
    assert drift(flow) == []
    write_anew(path, before)

    assert drift(flow) == [("edited", "tool (conda)", f"{SITE}/tool/__init__.py")]

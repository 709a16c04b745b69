"""Every legacy form in one environment, through the program: captured, rebuilt from the lock alone, told in words."""

import json
import shutil
from pathlib import Path

import pytest

from tests.flow import Answer, Flow, make_flow
from tests.legacy_forms import FORMS

PLACE = b"/home/alice"


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return make_flow(tmp_path / "world")


def add_forms(flow: Flow) -> str:
    site = flow.site_packages.relative_to(flow.prefix).as_posix()
    for put in FORMS.values():
        put(flow.prefix, site)
    return site


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def rebuild_alone(flow: Flow) -> Answer:
    """Rebuild where there is neither environment nor store nor wheel: from the lock, its blobs and Debian."""
    for folder in (flow.store, flow.wheels, flow.prefix):
        shutil.rmtree(folder)
    return flow.run("rebuild", flow.lock, "--json", "--rootfs", "root")


def test_an_environment_of_every_legacy_form_is_rebuilt_from_its_lock_alone(flow: Flow) -> None:
    site = add_forms(flow)
    first = flow.snapshot("--json")
    assert first.status == 0, first.err
    found = json.loads(first.out)
    text = (flow.lock / "envcap.lock").read_bytes()
    assert flow.snapshot("--json").status == 0
    assert (flow.lock / "envcap.lock").read_bytes() == text

    rebuilt = rebuild_alone(flow)

    assert rebuilt.status == 0, rebuilt.err
    assert json.loads(rebuilt.out)["image_id"] == found["image_id"]
    root = flow.root / "root/opt/env"
    for path in ("bin/eggrun", "bin/eggtool", "bin/plain-tool", "bin/odd-tool", "bin/mine", "bin/sch-tool"):
        assert (root / path).read_bytes().startswith(b"#!/opt/env/bin/python"), path
    assert not (root / "bin/gone").exists()
    assert (root / site / "easy-install.pth").read_text() == (f"./egg_folder-1.0-py3.8.egg\n/opt/env/{site}/more\n")
    assert {(root / site / name).read_text() for name in ("README", "readme")} == {"1", "2"}
    assert (root / "share/plain data/notes é.txt").exists()
    for name in (".git", "notebooks", "data", ".cache", "share/away"):
        assert not (root / name).is_symlink(), name
        assert not (root / name).exists(), name
    leaking = [path for path in (*files_below(flow.lock), *files_below(root)) if PLACE in path.read_bytes()]
    # An egg-link is the one line that names its project; it is not there for a folder of this machine.
    assert leaking == []


def test_what_could_not_be_captured_or_proved_is_said_with_the_file_s_name(flow: Flow) -> None:
    add_forms(flow)
    answer = flow.snapshot()
    assert answer.status == 0, answer.err
    found = json.loads(flow.snapshot("--json").out)
    texts = [f"{row['path']}: {row['message']}" for row in found["warnings"]]
    for words in (
        "unnameable/a\\b.py: The name holds a backslash",
        "unnameable/.wh.gone: The name begins with `.wh.`",
        "unnameable/new\\nline: The name is not UTF-8 or holds control characters",
        "unnameable/sub\\dir: The name holds a backslash",
        "it is left out with all that it holds",
        "Python runs sitecustomize.py at every start, a file that no package owns",
        "1 file of notebooks, 2 bytes: notebooks/a.ipynb (`--keep notebooks` captures them)",
        "1 file of version control, 3 bytes: .git/config",
        "tool-a and tool-b both own shared-tool",
        "share/away: The symlink leads out of the environment",
    ):
        assert any(words in text for text in texts), words
    rows = {line[: line.index("  ")]: line for line in answer.out.splitlines() if "  " in line}
    assert "in site-packages (" in rows["unowned"]
    assert "1 of notebooks (2 B)" in rows["left out"]
    assert "sitecustomize.py" in rows["run at start"]
    assert "spaced.part-1.0-py3.8-nspkg.pth" in rows["run at start"]


def test_what_the_user_keeps_is_in_the_image(flow: Flow) -> None:
    for path, text in (("data/t.csv", "1"), ("data/.git/config", "x"), ("a.ipynb", "{}")):
        (flow.prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (flow.prefix / path).write_text(text)
    taken = flow.snapshot("--keep", "data", "--keep", str(flow.prefix / "a.ipynb"))
    assert taken.status == 0, taken.err
    assert flow.run("rebuild", flow.lock, "--rootfs", "root").status == 0
    root = flow.root / "root/opt/env"
    assert (root / "data/t.csv").read_text() == "1"
    assert (root / "a.ipynb").read_text() == "{}"
    assert not (root / "data/.git").exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", ".", "no-such"])
def test_keeping_what_is_not_in_the_environment_is_refused(flow: Flow, path: str) -> None:
    answer = flow.snapshot("--keep", path)
    assert answer.status == 2
    assert answer.err.startswith(f"error: `--keep {path}` ")
    assert not flow.locks.exists()

"""Patched files are shown by name and diff: by snapshot, show and verify, on this machine and on others."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME
from tests.flow import Flow, Wheel, install_wheel
from tests.secrets.samples import SECRETS

UV = Path(sys.executable).with_name("uv")


def section(text: str) -> str:
    """Give what is said about patches, without the Python's version."""
    found = re.search(r"^Patched: (?:.+\n)+", text, re.MULTILINE)
    return re.sub(r"python3\.\d+", "python3.X", found[0]) if found else ""


@pytest.fixture
def patched(flow: Flow) -> Flow:
    """A world whose environment was edited in every way."""
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    init = flow.site_packages / "alpha" / "__init__.py"
    init.write_bytes(init.read_bytes().replace(b"'alpha'", b"'\x1b[31mALPHA'", 1))
    (flow.site_packages / "alpha" / "data" / "table.csv").unlink()
    blob = flow.site_packages / "gamma" / "blob.bin"
    blob.write_bytes(b"\0" + blob.read_bytes()[:9])
    tool = flow.prefix / "bin" / "alpha-tool"
    tool.write_bytes(tool.read_bytes() + b"print('mine')\n")
    return flow


SHOWN = """\
Patched: 5 files in 3 packages
  alpha 1.0
    edited   bin/alpha-tool
      @@ -1,2 +1,3 @@
       #!/opt/env/bin/python
       print('tool')
      +print('mine')
    edited   lib/python3.X/site-packages/alpha/__init__.py
      @@ -1,5 +1,5 @@
       def main():
      -    return 'alpha'
      +    return '\ufffd[31mALPHA'
       def main():
           return 'alpha'
       def main():
    deleted  lib/python3.X/site-packages/alpha/data/table.csv
  beta 2.1
    edited   lib/python3.X/site-packages/beta.py
      @@ -1 +1 @@
      -VALUE = 2
      +VALUE = 3
  gamma 0.3
    edited   lib/python3.X/site-packages/gamma/blob.bin
      (too large for a diff: 1280000 bytes before, 10 after)
"""


def test_snapshot_show_and_verify_show_what_was_patched(patched: Flow) -> None:
    assert section(patched.snapshot().out) == SHOWN
    # Wheels of a local folder lie beside the lock: nothing else is needed.
    shutil.rmtree(patched.wheels)
    shutil.rmtree(patched.store)
    assert section(patched.run("show", patched.lock).out) == SHOWN
    whole = patched.run("show", patched.lock, "--patches")
    assert (whole.status, re.sub(r"python3\.\d+", "python3.X", whole.out)) == (0, SHOWN)
    assert patched.run("rebuild", patched.lock, "--output", "image.tar").status == 0
    verified = patched.run("verify", patched.lock, "image.tar")
    assert verified.status == 0
    assert section(verified.out) == SHOWN


def test_patches_as_json_have_their_diffs(patched: Flow) -> None:
    patched.snapshot("--json")
    rows = json.loads(patched.run("show", patched.lock, "--patches", "--json").out)["patched"]
    assert [(row["package"], row["change"]) for row in rows] == [
        ("alpha", "edited"), ("alpha", "edited"), ("alpha", "deleted"), ("beta", "edited"), ("gamma", "edited"),
    ]  # fmt: skip
    assert rows[3]["diff"] == ["@@ -1 +1 @@", "-VALUE = 2", "+VALUE = 3"]
    assert "diff" not in rows[2]


def test_nothing_is_said_where_nothing_was_patched(locked: Flow) -> None:
    assert section(locked.run("show", locked.lock).out) == ""
    assert locked.run("show", locked.lock, "--patches").out == (
        "No file was patched: everything is what the artifacts hold\n"
    )


def test_the_lock_has_no_trace_of_the_diffs(patched: Flow) -> None:
    patched.snapshot()
    first = (patched.lock / LOCK_NAME).read_bytes()
    patched.snapshot("--json")
    assert (patched.lock / LOCK_NAME).read_bytes() == first
    assert b"ALPHA" not in first


def test_any_text_can_be_shown_on_any_terminal(flow: Flow) -> None:
    (flow.site_packages / "beta.py").write_bytes("if VALUE:\n\tNAME = 'é'\r\n".encode())
    assert "      +\u2192   NAME = 'é'\ufffd\n" in flow.snapshot().out
    narrow = replace(flow, settings={"PYTHONIOENCODING": "ascii"}).spawn("show", flow.lock, "--patches")
    assert narrow.status == 0, narrow.err
    assert "      +\\u2192   NAME = '\\xe9'\\ufffd\n" in narrow.out


def test_many_patches_are_cut_short_and_counted(flow: Flow) -> None:
    files = {f"many/m{number:02}.py": b"x = 1\n" * 60 for number in range(30)}
    wheel = Wheel(name="many", version="1", files=files | {f"many/same{number}.py": b"" for number in range(40)})
    (flow.wheels / wheel.file).write_bytes(wheel.build())
    install_wheel(flow, wheel)
    for name in files:
        (flow.site_packages / name).write_bytes(b"y = 2\n" * 60)
    shown = section(flow.snapshot().out)
    assert shown.startswith("Patched: 30 files in 1 package\n")
    assert shown.count("    edited   ") == 20
    assert shown.count("@@ -1,60 +1,60 @@") == 5
    assert shown.count("... 109 more lines") == 5
    assert shown.endswith("  ... and 10 more\n  (`envcap show LOCK --patches` shows all)\n")
    whole = flow.run("show", flow.lock, "--patches").out
    assert whole.count("    edited   ") == whole.count("@@ -1,60 +1,60 @@") == 30
    assert "more" not in whole


def test_an_allowed_credential_is_not_shown(flow: Flow) -> None:
    token = SECRETS["gitlab"][0]
    (flow.site_packages / "beta.py").write_bytes(b"TOKEN = '" + token + b"'\n")
    name = str((flow.site_packages / "beta.py").relative_to(flow.prefix))
    taken = flow.snapshot("--allow-secret", name)
    assert taken.status == 0
    shown = flow.run("show", flow.lock, "--patches").out
    for text in (taken.out, shown):
        assert "(not shown: it looks like a credential)" in text
        assert token.decode() not in text


def test_an_image_without_the_patches_is_told_from_one_with_other_edits(flow: Flow) -> None:
    flow.snapshot()
    flow.run("rebuild", flow.lock, "--output", "plain.tar")
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    (flow.site_packages / "alpha" / "data" / "table.csv").unlink()
    flow.snapshot()
    answer = flow.run("verify", flow.lock, "plain.tar")
    assert answer.status == 3
    assert re.search(r"content +/opt/env/\S+/beta\.py +edited by a patch of beta; file of ", answer.out)
    assert re.search(r"unexpected +/opt/env/\S+/table\.csv +deleted by a patch of alpha; ", answer.out)
    rows = json.loads(flow.run("verify", flow.lock, "plain.tar", "--json").out)["patched"]
    assert [(row["package"], row["change"]) for row in rows] == [("alpha", "deleted"), ("beta", "edited")]


def test_a_damaged_blob_is_said_and_the_others_shown(patched: Flow) -> None:
    patched.snapshot()
    for blob in (patched.lock / "blobs" / "sha256").iterdir():
        if blob.read_bytes() == b"VALUE = 3\n":
            blob.write_bytes(b"VALUE = 4\n")
    shown = patched.run("show", patched.lock)
    assert shown.status == 0
    assert re.search(r"beta\.py\n      \(the blob [0-9a-f]{12} beside the lock is damaged\)", shown.out)
    assert "+print('mine')" in shown.out


def test_without_the_artifact_the_names_are_shown_and_what_is_missing(patched: Flow) -> None:
    patched.snapshot()
    for path in (patched.wheels, patched.store, patched.lock / "blobs"):
        shutil.rmtree(path)
    shown = patched.run("show", patched.lock)
    assert shown.status == 0
    assert "    edited   " in shown.out
    assert (
        "(the diff needs beta-2.1-py3-none-any.whl, which is not on this machine (`envcap show --patches` asks for it))"
    ) in shown.out
    asked = patched.run("show", patched.lock, "--patches")
    assert asked.status == 0
    assert "(the diff needs beta-2.1-py3-none-any.whl. Can't find beta-2.1" in asked.out


@pytest.mark.skipif(not UV.exists(), reason="uv is not installed beside the tests' interpreter")
def test_an_edit_that_reached_uv_s_cache_is_said_with_the_environments_that_share_it(flow: Flow) -> None:
    cache = flow.root / "cache"
    other = flow.root / "project" / ".venv"
    base = os.path.realpath(flow.prefix / "bin" / "python")
    subprocess.run([base, "-m", "venv", "--without-pip", str(other)], check=True)
    wheels = ["--no-index", "--find-links", str(flow.wheels), "--cache-dir", str(cache), "--link-mode", "hardlink"]
    for prefix in (flow.prefix, other):
        into = ["-q", "--no-config", "--reinstall", "-p", str(prefix / "bin/python")]
        subprocess.run([str(UV), "pip", "install", *into, *wheels, "beta", "alpha"], check=True)
    edited = flow.site_packages / "beta.py"
    if edited.stat().st_nlink != 3:
        pytest.skip("this file system has no hard links")
    with edited.open("r+b") as file:
        file.write(b"VALUE = 7\n")
    tainted = Flow(root=flow.root, settings={"UV_CACHE_DIR": str(cache)})
    answer = tainted.snapshot()
    assert answer.status == 0, answer.err
    assert (
        "warning: beta: beta.py was edited in place, and is linked to uv's cache, which is tainted now: every later"
        " install gets the edit (1 other environment has it too); heal it with `uv cache clean beta`\n"
    ) in answer.err
    assert (
        f"  beta: the same file is in {other}\n"
        "  beta: to heal, `uv cache clean beta`, then `uv pip install --reinstall beta` in each environment"
        " that has it\n"
    ) in answer.err
    warnings = json.loads(tainted.snapshot("--json").out)["warnings"]
    assert "cache-tainted" in [row["code"] for row in warnings]
    assert str(other) not in json.dumps(warnings) + (flow.lock / LOCK_NAME).read_text()
    # An editor that writes a new file taints nothing.
    edited.unlink()
    edited.write_bytes(b"VALUE = 7\n")
    assert "tainted" not in tainted.snapshot().err


@pytest.mark.skipif(not UV.exists(), reason="uv is not installed beside the tests' interpreter")
def test_an_edit_through_a_link_into_uv_s_cache_is_said_to_be_in_the_cache(flow: Flow) -> None:
    cache = flow.root / "cache"
    wheels = ["--no-index", "--find-links", str(flow.wheels), "--cache-dir", str(cache), "--link-mode", "symlink"]
    into = ["-q", "--no-config", "--reinstall", "-p", str(flow.prefix / "bin/python")]
    subprocess.run([str(UV), "pip", "install", *into, *wheels, "beta", "alpha"], check=True)
    with (flow.site_packages / "beta.py").open("r+b") as file:
        file.write(b"VALUE = 7\n")
    tainted = Flow(root=flow.root, settings={"UV_CACHE_DIR": str(cache)})
    answer = tainted.snapshot()
    assert answer.status == 0, answer.err
    assert (
        "warning: beta: beta.py was edited in place, and is linked to uv's cache, which is tainted now: every later"
        " install gets the edit; heal it with `uv cache clean beta`\n"
    ) in answer.err
    assert str(cache) not in (flow.lock / LOCK_NAME).read_text()

"""A snapshot stops at a file that looks like a credential, names it, and never says what it holds."""

import json

import pytest

from envcap.blobs import LOCK_NAME
from tests.flow import Flow, Wheel, install_wheel
from tests.secrets.samples import PLACES, SECRETS

TOKEN, _ = SECRETS["github"]
KEY, _ = SECRETS["rsa"]


def test_an_unowned_file_with_a_token_stops_the_snapshot(flow: Flow) -> None:
    (flow.prefix / "notes").mkdir()
    (flow.prefix / "notes" / "to do.txt").write_bytes(b"first\nuse " + TOKEN + b"\n")
    answer = flow.snapshot()
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == (
        "error: A file that the lock would keep looks like a credential; no lock was written:\n"
        "  notes/to do.txt: a GitHub token (line 2)\n"
        "\n"
        "hint: take it out of the environment or, if no secret, add `--allow-secret 'notes/to do.txt'`\n"
    )
    assert not flow.locks.exists()


def test_all_such_files_are_named_at_once_and_no_output_holds_a_secret(flow: Flow) -> None:
    site = flow.site_packages.relative_to(flow.prefix)
    (flow.site_packages / "beta.py").write_bytes(b"KEY = '" + TOKEN + b"'\n")
    (flow.prefix / ".pgpass").write_bytes(PLACES[".pgpass"][0])
    install_wheel(flow, Wheel(name="private", version="1", files={"private/tests/server.pem": KEY}))
    # Files of passwords are left out unless they are asked for by name.
    keep = ("--keep", ".pgpass")
    answer = flow.snapshot(*keep, "--json")
    assert answer.status == 1
    names = [f"{site}/beta.py", ".pgpass", f"{site}/private/tests/server.pem"]
    for name in names:
        assert f"  {name}: a " in answer.err
        assert f"--allow-secret {name}" in answer.err
    for secret in (TOKEN, KEY.splitlines()[4], b"hunter2"):
        assert secret.decode() not in answer.out + answer.err
    options = [word for name in names for word in ("--allow-secret", name)]
    assert flow.snapshot(*keep, *options[:4]).status == 1
    allowed = flow.snapshot(*keep, *options, "--json")
    assert allowed.status == 0, allowed.err
    # What was once looked through is not allowed by that.
    assert flow.snapshot(*keep).status == 1
    rebuilt = flow.run("rebuild", flow.lock, "--json")
    assert json.loads(rebuilt.out)["image_id"] == json.loads(allowed.out)["image_id"]


def test_a_file_is_allowed_by_its_whole_path_only(flow: Flow) -> None:
    for name in ("a", "b"):
        (flow.prefix / name).mkdir()
        (flow.prefix / name / "key.pem").write_bytes(KEY)
    answer = flow.snapshot("--allow-secret", "key.pem", "--allow-secret", "a/key.pem")
    assert answer.status == 1
    assert "  b/key.pem: a private key (line 1)" in answer.err
    assert "  a/key.pem" not in answer.err


def test_allowing_what_is_no_secret_is_said(flow: Flow) -> None:
    answer = flow.snapshot("--allow-secret", "typo.pem")
    assert answer.status == 0
    assert "warning: `--allow-secret typo.pem` allows nothing" in answer.err
    assert (flow.lock / LOCK_NAME).is_file()


def test_a_wheel_that_only_this_machine_has_is_looked_through(flow: Flow) -> None:
    wheel = Wheel(name="delta", version="1", files={"delta/key.py": b"TOKEN = '" + TOKEN + b"'\n"})
    (flow.wheels / wheel.file).write_bytes(wheel.build())
    install_wheel(flow, wheel)
    answer = flow.snapshot()
    assert answer.status == 1
    assert "/site-packages/delta/key.py: a GitHub token (line 1)" in answer.err


@pytest.mark.parametrize("name", ["bin/python.txt", "share/x\x1b[31m.txt"])
def test_odd_names_are_shown_safely(flow: Flow, name: str) -> None:
    (flow.prefix / name).parent.mkdir(exist_ok=True)
    (flow.prefix / name).write_bytes(TOKEN)
    answer = flow.snapshot()
    assert "\x1b" not in answer.err
    assert TOKEN.decode() not in answer.err

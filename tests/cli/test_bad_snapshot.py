"""Bad input gets one clear line and a way out, status 1 or 2, and changes nothing: `snapshot`."""

import shutil
from pathlib import Path

import pytest

from envcap.scan import probe
from tests.cli.refusals import Arguments, Case, check_refusal, state
from tests.flow import Flow


def snapshot_of(path: Path, *more: object) -> Arguments:
    return ["snapshot", path, "--output", path.parent / "locks", *more]


def interpreter(flow: Flow, text: str) -> Arguments:
    python = flow.prefix / "bin" / "python"
    python.unlink()
    python.write_text(text)
    python.chmod(0o755)
    return snapshot_of(flow.prefix)


def not_an_environment(flow: Flow) -> Arguments:
    (flow.root / "project").mkdir()
    return snapshot_of(flow.root / "project")


def missing_path(flow: Flow) -> Arguments:
    return snapshot_of(flow.root / "missing")


def file_in_its_place(flow: Flow) -> Arguments:
    (flow.root / "file.txt").write_text("x")
    return snapshot_of(flow.root / "file.txt")


def conda_prefix(flow: Flow) -> Arguments:
    (flow.root / "conda" / "conda-meta").mkdir(parents=True)
    return snapshot_of(flow.root / "conda")


def no_interpreter(flow: Flow) -> Arguments:
    for name in ("python", "python3"):
        (flow.prefix / "bin" / name).unlink()
    return snapshot_of(flow.prefix)


def dangling_interpreter(flow: Flow) -> Arguments:
    python = flow.prefix / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    return snapshot_of(flow.prefix)


def interpreter_prints_garbage(flow: Flow) -> Arguments:
    return interpreter(flow, "#!/bin/sh\necho hello\n")


def interpreter_prints_other_json(flow: Flow) -> Arguments:
    return interpreter(flow, "#!/bin/sh\necho '{\"executable\": 1}'\n")


def interpreter_fails(flow: Flow) -> Arguments:
    return interpreter(flow, "#!/bin/sh\necho broken >&2\nexit 1\n")


def interpreter_hangs(flow: Flow) -> Arguments:
    return interpreter(flow, "#!/bin/sh\nexec sleep 60\n")


def interpreter_is_no_program(flow: Flow) -> Arguments:
    return interpreter(flow, "\x7fELF")


def no_active_environment(_flow: Flow) -> Arguments:
    return ["snapshot"]


def bad_suite(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--suite", "warty")


def evil_suite(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--suite", "../../etc")


def bad_index(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--index", "ftp://example.org/simple")


def bad_name(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--name", "../../evil")


def empty_environment_name(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--name", "a b")


def bad_snapshot_format(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--export", "poetry")


def format_of_conda(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--export", "explicit")


def unknown_system_package(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--system", "no-such-package")


def no_mirror(flow: Flow) -> Arguments:
    shutil.rmtree(flow.mirror)
    return snapshot_of(flow.prefix)


def output_is_a_file(flow: Flow) -> Arguments:
    (flow.root / "locks").write_text("mine")
    return snapshot_of(flow.prefix, "--name", "env")


def output_is_another_folder(flow: Flow) -> Arguments:
    (flow.root / "locks" / "env").mkdir(parents=True)
    (flow.root / "locks" / "env" / "thesis.tex").write_text("mine")
    return snapshot_of(flow.prefix, "--name", "env")


def output_is_a_symlink(flow: Flow) -> Arguments:
    (flow.root / "locks").mkdir()
    (flow.root / "locks" / "env").symlink_to(flow.home)
    return snapshot_of(flow.prefix, "--name", "env")


def store_is_a_file(flow: Flow) -> Arguments:
    (flow.root / "file").write_text("mine")
    return snapshot_of(flow.prefix, "--store", flow.root / "file")


def store_is_another_folder(flow: Flow) -> Arguments:
    return snapshot_of(flow.prefix, "--store", flow.wheels)


@pytest.mark.parametrize(
    ("case", "status", "message"),
    [
        (not_an_environment, 1, r"project is not an environment \(expected pyvenv.cfg in it\)"),
        (missing_path, 1, r"missing does not exist"),
        (file_in_its_place, 1, r"file.txt is a file \(expected an environment's folder"),
        (conda_prefix, 1, r"The environment holds neither Python nor packages"),
        (no_interpreter, 1, r"has no interpreter|does not exist"),
        (dangling_interpreter, 1, r"points to /nonexistent/python3, which does not exist"),
        (interpreter_prints_garbage, 1, r"found text that is no JSON"),
        (interpreter_prints_other_json, 1, r"found int in 'executable'"),
        (interpreter_fails, 1, r"exit status 1 \(broken\)"),
        (interpreter_hangs, 1, r"did not answer within 0.5 s"),
        (interpreter_is_no_program, 1, r"Unable to run .*Exec format error"),
        (no_active_environment, 1, r"No environment is named and none is active"),
        (bad_suite, 1, r"warty"),
        (evil_suite, 1, r"etc"),
        (bad_index, 2, r"Unexpected index 'ftp:"),
        (bad_name, 2, r"Unexpected name '../../evil' \(expected at most 128 letters"),
        (empty_environment_name, 2, r"Unexpected name 'a b'"),
        (bad_snapshot_format, 2, r"Unknown format 'poetry' \(expected one of: pylock, requirements, .*\)"),
        (format_of_conda, 1, r"The lock 'world' holds no conda packages \(expected some for the format 'explicit'\)"),
        (unknown_system_package, 1, r"no-such-package"),
        (no_mirror, 1, r"bookworm"),
        (output_is_a_file, 1, r"locks/env can't be written: .*locks is not a folder"),
        (output_is_another_folder, 1, r"locks/env exists and holds no envcap.lock"),
        (output_is_a_symlink, 1, r"locks/env is a symlink"),
        (store_is_a_file, 1, r"store .*file is not a folder"),
        (store_is_another_folder, 1, r"is not a store of envcap"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_snapshot_refuses(flow: Flow, monkeypatch: pytest.MonkeyPatch, case: Case, status: int, message: str) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.5 if case is interpreter_hangs else probe.TIMEOUT)
    arguments = case(flow)
    before = state(flow.root)
    check_refusal(flow.run(*arguments), status, message)
    assert state(flow.root) == before

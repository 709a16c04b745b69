"""The program as others see it: exit status, which stream says what, colours, pipes, interrupts."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envcap import __version__
from envcap.cli import store as store_commands
from envcap.cli.app import run
from envcap.cli.talk import visible
from tests.flow import ROOT, Flow

ESCAPE = "\x1b"


def spawn_environ(flow: Flow, **variables: str) -> dict[str, str]:
    return flow.environ | {"PYTHONPATH": str(ROOT)} | variables


@pytest.mark.parametrize("how", ["run", "spawn"])
def test_version_goes_to_standard_output(locked: Flow, how: str) -> None:
    answer = getattr(locked, how)("--version")
    assert (answer.status, answer.out, answer.err) == (0, f"envcap {__version__}\n", "")


@pytest.mark.parametrize("how", ["run", "spawn"])
def test_exit_statuses_are_those_that_are_promised(locked: Flow, how: str, tmp_path: Path) -> None:
    start = getattr(locked, how)
    assert start("show", locked.lock).status == 0
    assert start("show", tmp_path / "missing").status == 1
    assert start("show").status == 2
    assert start("snapshot", locked.prefix, "--name", "../evil", "--output", tmp_path).status == 2
    (tmp_path / "other").mkdir()
    changed = (locked.lock / "envcap.lock").read_text()
    changed = re.sub(r'image-id = "sha256:[0-9a-f]{64}"', f'image-id = "sha256:{"0" * 64}"', changed)
    changed = re.sub(r"diff-ids = \[[^]]*\]", "", changed)
    (tmp_path / "other" / "envcap.lock").write_text(changed)
    (tmp_path / "other" / "blobs").symlink_to(locked.lock / "blobs")
    answer = start("rebuild", tmp_path / "other", "--json")
    assert answer.status == 3, answer.err
    assert json.loads(answer.out)["level"] == "none"
    assert answer.err.count("error:") == 1


def test_no_arguments_print_the_help_and_are_a_usage_error(locked: Flow) -> None:
    for arguments in ([], ["store"]):
        answer = locked.run(*arguments)
        assert answer.status == 2
        assert answer.out == ""
        assert answer.err.startswith("Usage: envcap")


@pytest.mark.parametrize("command", ["rebuild", "verify", "show", "store fsck", "store gc"])
def test_json_is_one_object_on_standard_output(locked: Flow, command: str) -> None:
    arguments: dict[str, list[object]] = {
        "rebuild": ["rebuild", locked.lock],
        "verify": ["verify", locked.lock, locked.root / "image.tar"],
        "show": ["show", locked.lock],
        "store fsck": ["store", "fsck"],
        "store gc": ["store", "gc"],
    }
    answer = locked.run(*arguments[command], "--json")
    assert answer.status == 0, answer.err
    assert isinstance(json.loads(answer.out), dict)
    assert answer.out.count("\n") == 1


def test_data_and_talk_go_their_own_ways(locked: Flow) -> None:
    answer = locked.spawn("rebuild", locked.lock)
    assert "image ID  sha256:" in answer.out
    assert "Built" not in answer.out
    assert answer.err.startswith("Built ")
    assert locked.spawn("store", "path").out == f"{locked.store}\n"


def test_without_a_terminal_there_are_no_escape_codes(locked: Flow) -> None:
    for arguments in (["rebuild", locked.lock], ["show", locked.lock], ["show", "missing"], ["--help"], ["rebuild"]):
        answer = locked.spawn(*arguments)
        assert ESCAPE not in answer.out + answer.err


def on_terminal(flow: Flow, *arguments: object, **variables: str) -> str:
    """Run the program with a terminal as its standard error; give what it wrote there."""
    mine, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "envcap", *map(str, arguments)],
        env=spawn_environ(flow, **{"TERM": "xterm-256color", **variables}),
        stdout=subprocess.DEVNULL,
        stderr=its,
        cwd=flow.root,
    ) as process:
        os.close(its)
        written = b""
        while True:
            try:
                chunk = os.read(mine, 4096)
            except OSError:  # EIO: the last writer has closed the terminal
                break
            if not chunk:
                break
            written += chunk
        process.wait(timeout=60)
    os.close(mine)
    return written.decode()


def test_a_terminal_gets_bars_and_colours(locked: Flow) -> None:
    assert f"{ESCAPE}[31merror:{ESCAPE}[0m " in on_terminal(locked, "show", "missing")
    assert "Building" in on_terminal(locked, "rebuild", locked.lock)


def test_no_color_is_respected(locked: Flow) -> None:
    assert ESCAPE not in on_terminal(locked, "show", "missing", NO_COLOR="1")
    assert not re.search(
        rf"{ESCAPE}\[(?:\d+;)*(?:[349]|10)\d(?:;\d+)*m", on_terminal(locked, "rebuild", locked.lock, NO_COLOR="1")
    )


def test_a_dumb_terminal_gets_plain_lines(locked: Flow) -> None:
    assert ESCAPE not in on_terminal(locked, "rebuild", locked.lock, TERM="dumb")


def test_a_reader_that_went_away_is_no_reason_to_talk(locked: Flow) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "envcap", "show", str(locked.lock)],
        env=spawn_environ(locked),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_mistake(locked: Flow, closed: str, tmp_path: Path) -> None:
    built = tmp_path / "image.tar"
    command = shlex.join([sys.executable, "-m", "envcap", "rebuild", str(locked.lock), "--output", str(built)])
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], env=spawn_environ(locked), capture_output=True, check=False
    )
    assert (done.returncode, b"error" in done.stderr) == (0, False), done.stderr
    assert built.is_file()


def test_a_current_folder_that_is_gone_is_said_with_a_next_step(locked: Flow, tmp_path: Path) -> None:
    command = shlex.join(
        [sys.executable, "-m", "envcap", "rebuild", str(locked.lock), "--output", str(tmp_path / "image.tar")]
    )
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        ["sh", "-c", f"rmdir ../gone && {command}"],
        cwd=tmp_path / "gone",
        env=spawn_environ(locked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: The current folder is not there any more\n\nhint: change to a folder that is, with `cd`\n"
    )


def test_a_full_output_is_one_line(locked: Flow) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "envcap", "show", str(locked.lock)],
            env=spawn_environ(locked),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: No space left on device")
    assert b"Traceback" not in done.stderr


def test_an_interrupt_is_status_130_and_leaves_nothing(flow: Flow) -> None:
    started = flow.root / "started"
    python = flow.prefix / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\n: >'{started}'\nexec sleep 60\n")
    python.chmod(0o755)
    with subprocess.Popen(
        # A shell's background job has interrupts ignored, and so would this process.
        [
            "env",
            "--default-signal=INT",
            sys.executable,
            "-m",
            "envcap",
            "snapshot",
            flow.prefix,
            "--output",
            flow.locks,
        ],
        env=spawn_environ(flow),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=flow.root,
        start_new_session=True,
    ) as process:
        while not started.exists():  # by then it waits for the interpreter's answer
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that run in its foreground
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert err == b"error: Interrupted; nothing was half-written\n"
    assert not flow.locks.exists()


def test_a_mistake_of_ours_is_one_line_too(
    locked: Flow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake(_store: Path | None) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(store_commands, "path_command", mistake)
    assert run(["store", "path"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: envcap made a mistake (RuntimeError: boom)\n")
    assert "ENVCAP_DEBUG=1" in captured.err
    monkeypatch.setenv("ENVCAP_DEBUG", "1")
    assert run(["store", "path"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_mistake_repeats_no_secret_of_a_url_even_where_it_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask() -> None:
        raise ValueError("https://ada:canary@example.org/t/canary/x?token=canary")

    def mistake(_store: Path | None) -> None:
        try:
            ask()
        except ValueError as error:
            raise RuntimeError("no https://canary@example.org/simple") from error

    monkeypatch.setattr(store_commands, "path_command", mistake)
    monkeypatch.setenv("ENVCAP_DEBUG", "1")
    assert run(["store", "path"]) == 1
    shown = capsys.readouterr().err
    assert "(RuntimeError: no https://example.org/simple)" in shown
    assert "ValueError: https://example.org/x" in shown
    assert "canary" not in shown


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    assert visible("a\x1b[2Jb\u202ec\r\nd") == "a\ufffd[2Jb\ufffdc\ufffd\ufffdd"


def test_help_is_quick_because_commands_load_late() -> None:
    code = (
        "import sys; from envcap.cli.app import run; run(['--help']);"
        "print([name for name in ('rich.console', 'httpx', 'docker', 'elftools', 'debian', 'zstandard', 'packaging')"
        " if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, encoding="utf-8")
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "lock", ["me:secret-word@registry.example.org/lab/ml:1", "https://me:secret-word@lab.example.org/ml"]
)
def test_a_lock_that_is_a_reference_with_a_password_is_refused_without_repeating_it(locked: Flow, lock: str) -> None:
    answer = locked.run("show", lock)
    assert answer.status == 2
    assert "A reference has no user name or password" in answer.err
    assert "secret-word" not in answer.err + answer.out

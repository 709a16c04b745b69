"""Bad input gets one clear line and a way out, status 1 or 2, and changes nothing: everything but `snapshot`."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.refusals import Arguments, check_refusal, listing, state
from tests.flow import Flow


def edited(old: str, new: str) -> Callable[[Flow, Path], Arguments]:
    def case(flow: Flow, folder: Path) -> Arguments:
        text = (flow.lock / "envcap.lock").read_text()
        assert re.search(old, text, re.MULTILINE)
        (folder / "envcap.lock").write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE))
        return ["rebuild", folder]

    return case


def text_of(text: str | bytes) -> Callable[[Flow, Path], Arguments]:
    def case(_flow: Flow, folder: Path) -> Arguments:
        (folder / "envcap.lock").write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["rebuild", folder]

    return case


def command(*arguments: object) -> Callable[[Flow, Path], Arguments]:
    """Run a command; `LOCK` and `FOLDER` stand for the lock and for a folder of the test's own."""

    def case(flow: Flow, folder: Path) -> Arguments:
        names = {"LOCK": flow.lock, "FOLDER": folder, "IMAGE": flow.root / "image.tar"}
        return [
            names.get(str(word), str(word).replace("FOLDER/", f"{folder}/").replace("LAYOUT/", f"{flow.root}/layout/"))
            for word in arguments
        ]

    return case


def after(prepare: Callable[[Path], object], *arguments: object) -> Callable[[Flow, Path], Arguments]:
    def case(flow: Flow, folder: Path) -> Arguments:
        prepare(folder)
        return command(*arguments)(flow, folder)

    return case


LOCK_CASES: dict[str, tuple[Callable[[Flow, Path], Arguments], int, str]] = {
    "missing lock": (command("rebuild", "FOLDER/gone"), 1, r"gone can't be read: No such file"),
    "folder without a lock": (command("show", "FOLDER"), 1, r"envcap.lock can't be read: No such file"),
    "lock is a folder": (
        after(lambda folder: (folder / "envcap.lock").mkdir(), "show", "FOLDER"), 1, r"envcap.lock is not a lockfile",
    ),
    "lock is a fifo": (
        after(lambda folder: os.mkfifo(folder / "envcap.lock"), "show", "FOLDER"), 1, r"expected a regular file",
    ),
    "no toml": (text_of("not = [toml"), 1, r"TOML"),
    "no text": (text_of(b"\xff\xfe\0"), 1, r"expected UTF-8 text"),
    "empty": (text_of(""), 1, r"lock-version"),
    "unknown key": (edited(r"^name = ", 'colour = "red"\nname = '), 1, r"colour"),
    "wrong digest": (edited(r'^digest = "sha256:\w{8}', 'digest = "sha256:00000000'), 1, r"digest"),
    "changed content": (edited(r'^version = "2.1"', 'version = "2.2"'), 1, r"digest"),
    "newer version": (edited(r'lock-version = "1.0"', 'lock-version = "9.0"'), 1, r"9\.0"),
    "wrong type": (edited(r"^recipe = 1", 'recipe = "1"'), 1, r"recipe"),
    "climbing name": (edited(r'file = "beta-', 'file = "../beta-'), 1, r"file|digest"),
    "unknown platform": (command("rebuild", "LOCK", "--platform", "linux/riscv64"), 1, r"linux/riscv64"),
    "platform not covered": (command("rebuild", "LOCK", "--platform", "linux/s390x"), 1, r"platforms in it: linux/"),
    "no docker": (command("rebuild", "LOCK", "--load"), 1, r"No docker engine answers"),
    "no docker to verify": (command("verify", "LOCK", "docker:a:b"), 1, r"No docker engine answers"),
    "output is a file": (
        after(lambda folder: (folder / "out").write_text("mine"), "rebuild", "LOCK", "--output", "FOLDER/out"),
        1, r"out is not empty and not an OCI layout",
    ),
    "output is another folder": (
        after(lambda folder: (folder / "mine").write_text("x"), "rebuild", "LOCK", "--output", "FOLDER"),
        1, r"is not empty and not an OCI layout",
    ),
    "tar is a folder": (
        after(lambda folder: (folder / "a.tar").mkdir(), "rebuild", "LOCK", "--output", "FOLDER/a.tar"),
        1, r"a.tar is there and no regular file",
    ),
    "output below a file": (
        after(lambda folder: (folder / "out").write_text("mine"), "rebuild", "LOCK", "--output", "FOLDER/out/image"),
        1, r"out/image can't be written: Not a directory",
    ),
    "output below /proc": (
        command("rebuild", "LOCK", "--output", "/proc/envcap/image.tar"), 1, r"/proc/envcap/image.tar can't be written",
    ),
    "rootfs is another folder": (
        after(lambda folder: (folder / "mine").write_text("x"), "rebuild", "LOCK", "--rootfs", "FOLDER"),
        1, r"is not an empty folder",
    ),
    "output twice": (
        command("rebuild", "LOCK", "--output", "FOLDER/a", "--rootfs", "FOLDER/a"), 2, r"name the same place",
    ),
    "no image": (command("verify", "LOCK", "FOLDER/gone.tar"), 1, r"There is no image at"),
    "no image in a folder": (command("verify", "LOCK", "FOLDER"), 1, r"expected `index.json` or `manifest.json`"),
    "image is garbage": (
        after(lambda folder: (folder / "a.tar").write_bytes(b"x" * 2000), "verify", "LOCK", "FOLDER/a.tar"),
        1, r"a.tar is no image archive",
    ),
    "bad format": (command("export", "LOCK", "--format", "poetry"), 2, r"Unknown format 'poetry'"),
    "format of conda": (command("export", "LOCK", "--format", "conda-lock"), 1, r"'\S+' holds no conda packages"),
    "no format": (command("export", "LOCK"), 2, r"Missing option '--format'"),
    "bad index": (
        command("export", "LOCK", "--format", "requirements", "--index", "nonsense://x"), 2, r"Unexpected index",
    ),
    "index that is nowhere": (
        command("export", "LOCK", "--format", "requirements", "--index", "simpel"),
        2, r"Unexpected index 'simpel' \(expected an http or https URL, or a folder that is there\)",
    ),
    "export into a folder": (
        command("export", "LOCK", "--format", "requirements", "--output", "FOLDER"), 1, r"no regular file",
    ),
    "jobs of a kind": (command("rebuild", "LOCK", "--jobs", "many"), 2, r"Invalid value for '--jobs'"),
    "too many jobs": (command("rebuild", "LOCK", "--jobs", "65"), 2, r"Invalid value for '--jobs'"),
    "unknown option": (command("rebuild", "LOCK", "--fast"), 2, r"No such option: --fast"),
    "unknown command": (command("rebild", "LOCK"), 2, r"No such command 'rebild'"),
    "no lock named": (command("rebuild"), 2, r"Missing argument 'LOCK'"),
    "store is a file": (
        after(lambda folder: (folder / "s").write_text("mine"), "rebuild", "LOCK", "--store", "FOLDER/s"),
        1, r"is not a folder",
    ),
    "store is another folder": (
        after(lambda folder: (folder / "mine").write_text("x"), "store", "gc", "--store", "FOLDER"),
        1, r"is not a store of envcap",
    ),
    "negative age": (command("store", "gc", "--keep-days", "-1"), 2, r"Invalid value for '--keep-days'"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCK_CASES)
def test_other_commands_refuse(locked: Flow, tmp_path: Path, name: str) -> None:
    case, status, message = LOCK_CASES[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    arguments = case(locked, folder)
    before = (listing(tmp_path), state(locked.root))
    # docker's package leaves sockets open, which the tests' own process would be blamed for.
    start = locked.spawn if "docker" in name else locked.run
    check_refusal(start(*arguments), status, message)
    assert (listing(tmp_path), state(locked.root)) == before

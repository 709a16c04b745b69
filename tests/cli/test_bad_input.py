"""Bad input gets one clear line and a way out, status 1 or 2, and changes nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.scan import probe
from tests.flow import WHEELS, Answer, Flow
from tests.sources.index_server import Fault, Index, serve

Arguments = list[object]
Case = Callable[[Flow], Arguments]


def state(root: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below a folder but the store: kinds, modes, contents."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name == "store" or name.startswith("store/"):
            continue
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = (path.lstat().st_mode, content)
    return found


def check_refusal(answer: Answer, status: int, message: str) -> None:
    assert answer.status == status, answer
    assert answer.out == ""
    errors = [line for line in answer.err.splitlines() if not line.startswith("warning:")]
    assert sum(line.startswith("error: ") for line in errors) == 1, answer.err
    assert errors[0].startswith("error: ")
    assert all(line == "" or line.startswith("hint: ") for line in errors[1:]), answer.err
    assert "Traceback" not in answer.err
    assert "made a mistake" not in answer.err
    assert re.search(message, errors[0]), answer.err


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
        (conda_prefix, 1, r"is a conda environment"),
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
        (bad_name, 2, r"Unexpected name '../../evil' \(expected letters"),
        (empty_environment_name, 2, r"Unexpected name 'a b'"),
        (bad_snapshot_format, 2, r"Unknown format 'poetry' \(expected one of: pylock, requirements\)"),
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
    "no format": (command("export", "LOCK"), 2, r"Missing option '--format'"),
    "bad index": (
        command("export", "LOCK", "--format", "requirements", "--index", "nonsense://x"), 2, r"Unexpected index",
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


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_size) for path in folder.rglob("*"))


@pytest.fixture
def index(flow: Flow) -> Iterator[tuple[Flow, Index]]:
    """A world whose wheels come from a server, already locked, its store gone."""
    index = Index()
    for wheel in WHEELS:
        index.add(wheel.name, wheel.file, wheel.build())
    with serve(index):
        remote = replace(
            flow, settings={"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.simple, "NO_PROXY": "*"}
        )
        taken = remote.snapshot()
        assert taken.status == 0, taken.err
        shutil.rmtree(remote.store)
        yield remote, index


def test_wheels_of_an_index_are_fetched_and_give_the_same_image(index: tuple[Flow, Index]) -> None:
    flow, _ = index
    assert not (flow.lock / "blobs").exists()
    assert 'source = "pypi"' in (flow.lock / "envcap.lock").read_text()
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    assert answer.status == 0, answer.err
    assert "127.0.0.1" not in (flow.lock / "envcap.lock").read_text()


def test_an_artifact_that_is_gone_names_who_was_asked(index: tuple[Flow, Index]) -> None:
    flow, server = index
    del server.files["beta"]
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"Can't find beta-2.1-py3-none-any.whl .*The store: does not have it; .*pypi")
    assert "hint: name an index that has it with `--index`" in answer.err
    assert not (flow.root / "image.tar").exists()


def test_another_hash_on_the_page_is_told(index: tuple[Flow, Index]) -> None:
    flow, server = index
    server.add("beta", WHEELS[1].file, b"PK another wheel")
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"beta-2.1.*pypi: has a file of that name with another hash")


def test_wrong_bytes_are_never_built_in(index: tuple[Flow, Index]) -> None:
    flow, server = index
    good = server.files["beta"][WHEELS[1].file]
    server.always[f"/files/{WHEELS[1].file}"] = Fault(body=good[:-1] + b"\xff")
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"beta-2.1.*sent bytes with another hash")
    assert not (flow.root / "image.tar").exists()


def test_offline_with_an_empty_store_says_what_to_do(index: tuple[Flow, Index]) -> None:
    flow, server = index
    asked = len(server.requests)
    answer = flow.run("rebuild", flow.lock, "--offline")
    check_refusal(answer, 1, r"not asked \(offline\)")
    assert "hint: run once without `--offline`" in answer.err
    assert len(server.requests) == asked


def test_a_server_that_is_down_is_one_line(index: tuple[Flow, Index]) -> None:
    flow, _ = index
    down = replace(flow, settings={**flow.settings, "PIP_INDEX_URL": "http://127.0.0.1:1/simple"})
    check_refusal(down.run("rebuild", flow.lock), 1, r"Can't find .*pypi: ")


def test_a_deb_that_is_gone_is_one_line(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    shutil.rmtree(flow.mirror / "pool")
    check_refusal(flow.run("rebuild", flow.lock, "--output", "image.tar"), 1, r"_1\.0-1_|is not there|No source")


def test_a_damaged_blob_beside_the_lock_is_one_line(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    blob = next((flow.lock / "blobs" / "sha256").iterdir())
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    check_refusal(flow.run("rebuild", flow.lock, "--output", "image.tar"), 1, r"the blobs beside the lock: sent bytes")
    assert not (flow.root / "image.tar").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("option", ["--output", "--output tar", "--rootfs", "--store"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half(locked: Flow, disk: Path, option: str) -> None:
    place = disk / ("a.tar" if option.endswith("tar") else "a")
    answer = locked.run("rebuild", locked.lock, option.split(maxsplit=1)[0], place)
    check_refusal(answer, 1, r"No space left on device")
    assert "hint: " in answer.err
    if option == "--store":
        assert locked.run("store", "fsck", "--store", place).status == 0
    else:
        assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_a_snapshot_onto_a_full_disk_leaves_no_lock(locked: Flow, disk: Path) -> None:
    check_refusal(locked.run("snapshot", locked.prefix, "--output", disk), 1, r"No space left on device")
    assert list(disk.iterdir()) == []

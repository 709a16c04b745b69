"""`envcap.store.faults`: one line that says what, where and why."""

import errno
import os
from pathlib import Path

import pytest

from envcap.errors import StoreError
from envcap.store.faults import explain_fault, faults_explained


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "envcap store gc"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "make the folder yours"),
        (errno.EPERM, "make the folder yours"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "envcap store fsck"),
    ],
)
def test_each_known_fault_has_its_reason_and_its_own_next_step(tmp_path: Path, code: int, hint: str) -> None:
    error = explain_fault(OSError(code, "ignored"), "write", tmp_path / "object")

    assert error.message.startswith(f"Can't write {tmp_path / 'object'}: {os.strerror(code)}")
    assert hint in error.hint


def test_a_full_disk_tells_the_need_and_what_is_free(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there" / "object"
    error = explain_fault(OSError(errno.ENOSPC, ""), "write", missing, need=12_340_000)

    space = os.statvfs(tmp_path)
    assert "(12.3 MB needed, " in error.message
    assert error.message.endswith(" MB free)")
    assert float(error.message.split()[-3]) == pytest.approx(space.f_bavail * space.f_frsize / 1e6, rel=0.1)


def test_a_path_can_not_break_the_line_or_drive_the_terminal() -> None:
    error = explain_fault(OSError(errno.EIO, ""), "read", Path("/a\nb\x1b[2J\u202e"))

    assert error.message == f"Can't read '/a\\nb\\x1b[2J\\u202e': {os.strerror(errno.EIO)}"


def test_an_error_without_a_number_is_told_as_it_is() -> None:
    assert explain_fault(OSError("odd"), "read", Path("/a")).message == "Can't read /a: odd"


def test_only_errors_of_the_system_are_explained() -> None:
    with pytest.raises(StoreError), faults_explained("read", Path("/a")):
        raise OSError(errno.EIO, "")
    with pytest.raises(KeyError), faults_explained("read", Path("/a")):
        raise KeyError

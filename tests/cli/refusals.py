"""What every refusal looks like."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.flow import Answer, Flow

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


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_size) for path in folder.rglob("*"))

"""The help of every command as files in `data/`; `scripts/golden` writes them anew after a wanted change."""

import subprocess
import sys
from pathlib import Path

COMMANDS = (
    (),
    ("snapshot",),
    ("rebuild",),
    ("run",),
    ("verify",),
    ("sign",),
    ("check",),
    ("diff",),
    ("show",),
    ("export",),
    ("publish",),
    ("pull",),
    ("history",),
    ("bundle",),
    ("doctor",),
    ("import",),
    ("gpu",),
    ("gpu", "where"),
    ("store",),
    ("store", "path"),
    ("store", "fsck"),
    ("store", "gc"),
)


def golden_file(command: tuple[str, ...]) -> Path:
    return Path(__file__).parent / "data" / f"help{''.join(f'-{word}' for word in command)}.txt"


def help_text(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "envcap", *command, "--help"],
        env={"COLUMNS": "100", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout


def main() -> None:
    for command in COMMANDS:
        golden_file(command).parent.mkdir(exist_ok=True)
        golden_file(command).write_text(help_text(command), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a user reads first."""

import pytest

from tests.cli.golden import COMMANDS, golden_file, help_text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(("help", *command)))
def test_help_is_golden(command: tuple[str, ...]) -> None:
    assert help_text(command) == golden_file(command).read_text(encoding="utf-8"), (
        "run scripts/golden if this is wanted"
    )


def test_no_golden_text_is_left_over() -> None:
    folder = golden_file(()).parent
    assert sorted(folder.glob("*.txt")) == sorted(golden_file(command) for command in COMMANDS)

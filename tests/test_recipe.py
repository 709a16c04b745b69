"""Recipe 1's numbers are part of its bytes: whoever changes one makes recipe 2."""

import pytest

from envcap import recipe
from envcap.recipe import file_mode


def test_the_constants_of_recipe_1() -> None:
    found = {name: value for name, value in vars(recipe).items() if name.isupper()}
    assert found == {
        "RECIPE": 1,
        "ENVIRONMENT_ROOT": "opt/env",
        "CONDA_ROOT": "opt/conda",
        "PYTHON_ROOT": "opt/python",
        "SPLICE_MINIMUM": 300,
        "LIBDEFLATE_LEVEL": 6,
        "LIBDEFLATE_BLOCK": 4 * 1024 * 1024,
        "OWN_LAYER_SIZE": 1_000_000,
        "BUCKETS": 8,
        "MAX_LAYERS": 40,
        "FILE_MODE": 0o644,
        "EXECUTABLE_MODE": 0o755,
        "DIRECTORY_MODE": 0o755,
        "COMPRESSOR": "splice+libdeflate-6",
    }


@pytest.mark.parametrize(
    ("path", "executable", "mode"),
    [
        ("lib/python3.11/site-packages/a.py", False, 0o644),
        ("lib/python3.11/site-packages/a.sh", True, 0o755),
        ("bin/tool", False, 0o755),
        ("bin/tool", True, 0o755),
        ("binary/tool", False, 0o644),
        ("share/bin/tool", False, 0o644),
    ],
)
def test_modes_are_0755_in_bin_or_with_an_x_bit_and_0644_elsewhere(path: str, executable: bool, mode: int) -> None:  # noqa: FBT001 - a parameter of the test
    assert file_mode(path, executable=executable) == mode

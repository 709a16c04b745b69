"""Variables that the user puts into the image."""

from pathlib import Path

import pytest

from envcap.errors import UsageError
from envcap.lock.image_env import image_variables

ENVIRON = {
    "OMP_NUM_THREADS": "4",
    "PYTHONPATH": "/data/env/src:/opt/vendor",
    "HF_TOKEN": "hf_x",
    "CONFIG": "/home/ada/config.toml",
    "LOG": "/var/log/ada/x",
    "HERE": "/project/data",
    "URL": "https://ada:hunter2@example.org/",
    "KEYED": "0123456789abcdef0123456789abcdef",
    "LINES": "a\nb",
}


def chosen(*requested: str) -> dict[str, str]:
    return image_variables(requested, ENVIRON, roots=("/data/env",), home=Path("/home/ada"), cwd=Path("/project"))


def test_a_named_variable_has_the_shells_value_and_a_given_one_its_own() -> None:
    assert chosen("OMP_NUM_THREADS", "TF_X=a=b", "EMPTY=") == {"EMPTY": "", "OMP_NUM_THREADS": "4", "TF_X": "a=b"}


def test_folders_of_the_environment_are_named_as_in_the_image() -> None:
    assert chosen("PYTHONPATH") == {"PYTHONPATH": "/opt/env/src:/opt/vendor"}


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "URL", "KEYED", "MY_PASSWORD=x", "OPENAI_API_KEY=x", "DB_PASS=y", "UNSET_TOKEN"]
)
def test_a_secret_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(UsageError, match="looks like a secret") as caught:
        chosen(name)
    shown = caught.value.message + caught.value.hint
    assert not any(value in shown for value in (ENVIRON["URL"], ENVIRON["KEYED"], "hf_x"))


@pytest.mark.parametrize("name", ["CONFIG", "LOG", "HERE"])
def test_a_folder_of_this_machine_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"The value of {name} names a folder of this machine"):
        chosen(name)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("PATH", "PATH belongs to the machine"),
        ("MISSING", "MISSING is not set"),
        ("9x", "Unexpected variable '9x'"),
        ("=x", "Unexpected variable ''"),
        ("LINES", "is not one line of text"),
    ],
)
def test_what_makes_no_sense_is_refused(request_: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chosen(request_)

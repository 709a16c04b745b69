"""What a lock calls a channel: a name without host, user, token or folder of this machine."""

import pytest

from envcap.conda.channel import CHANNEL_NAME, channel_name, channel_url, hint_of, source_name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://conda.example.org/conda-forge/linux-64/x-1-0.conda", "conda-forge"),
        ("https://conda.example.org/conda-forge", "conda-forge"),
        ("https://repo.example.org/pkgs/main/noarch/x-1-0.tar.bz2", "pkgs/main"),
        ("https://conda.example.org/t/tk-1234/lab/linux-64/x-1-0.conda", "lab"),
        ("https://user:pw@conda.example.org/nvidia/label/cuda-12.1/noarch/x-1-0.conda", "nvidia/label/cuda-12.1"),
        ("file:///home/ada/channels/lab/linux-64/x-1-0.conda", "lab"),
        ("conda-forge", "conda-forge"),
        ("/home/ada/lab", "lab"),
        ("https://conda.example.org", "conda.example.org"),
        ("https://conda.example.org/a%20b", "a-b"),
    ],
)
def test_a_channel_is_named_by_its_path(url: str, name: str) -> None:
    found = channel_name(channel_url(url) if "://" in url else url)

    assert found == name
    assert CHANNEL_NAME.match(found)


def test_a_hint_keeps_no_secret_and_names_no_folder() -> None:
    assert hint_of("https://ada:pw@conda.example.org/t/tk-1/lab?x=1#y") == "https://conda.example.org/lab"
    assert hint_of("file:///home/ada/lab") == ""
    assert hint_of("http://conda.example.org/lab") == ""


def test_a_source_is_named_unlike_other_kinds() -> None:
    assert source_name("pkgs/main") == "pkgs-main"
    assert source_name("pypi") == "conda-pypi"

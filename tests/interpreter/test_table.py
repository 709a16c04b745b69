import pytest

from envcap.digest import is_sha256
from envcap.errors import SourceError
from envcap.interpreter.origin import StandaloneInterpreter
from envcap.interpreter.table import find_python_mirror, locate_standalone, standalone_url

MIRROR = "https://mirror.example.org/pbs/"
PLAIN = StandaloneInterpreter(version="3.11.7", triple="x86_64-unknown-linux-gnu")


def test_the_tables_own_archive_comes_first_with_its_hash() -> None:
    first = locate_standalone(PLAIN, "linux/amd64", mirror=MIRROR)[0]
    assert first.file == "20240107/cpython-3.11.7+20240107-x86_64-unknown-linux-gnu-install_only.tar.gz"
    assert first.url == (
        "https://mirror.example.org/pbs/20240107/cpython-3.11.7%2B20240107-x86_64-unknown-linux-gnu-install_only.tar.gz"
    )
    assert is_sha256(first.sha256)


def test_another_platform_has_its_own_archive_of_the_same_release() -> None:
    first = locate_standalone(PLAIN, "linux/arm64", mirror=MIRROR)[0]
    assert first.file == "20240107/cpython-3.11.7+20240107-aarch64-unknown-linux-gnu-install_only.tar.gz"


def test_a_noted_release_is_the_only_one_and_unlisted_archives_have_no_hash() -> None:
    origin = StandaloneInterpreter(version="3.11.7", triple="x86_64-unknown-linux-gnu", tag="20231202")
    found = locate_standalone(origin, "linux/amd64", mirror=MIRROR)
    assert [archive.file.partition("/")[0] for archive in found] == ["20231202", "20231202"]
    assert {archive.sha256 for archive in found} == {""}


def test_without_a_note_the_day_of_the_build_is_a_candidate() -> None:
    origin = StandaloneInterpreter(version="3.11.7", triple="x86_64-unknown-linux-gnu", built="20231205")
    tags = {archive.file.partition("/")[0] for archive in locate_standalone(origin, "linux/amd64", mirror=MIRROR)}
    assert tags == {"20240107", "20231205"}


def test_a_noted_flavor_is_the_only_one() -> None:
    origin = StandaloneInterpreter(
        version="3.11.7", triple="x86_64_v3-unknown-linux-gnu", tag="20240107", flavor="install_only"
    )
    (only,) = locate_standalone(origin, "linux/amd64", mirror=MIRROR)
    assert only.file == "20240107/cpython-3.11.7+20240107-x86_64_v3-unknown-linux-gnu-install_only.tar.gz"
    assert only.sha256 == ""


def test_a_free_threaded_archive_says_so_in_its_name() -> None:
    origin = StandaloneInterpreter(
        version="3.14.7", triple="x86_64-unknown-linux-gnu", freethreaded=True, tag="20260929"
    )
    files = [archive.file for archive in locate_standalone(origin, "linux/amd64", mirror=MIRROR)]
    assert files[0] == (
        "20260929/cpython-3.14.7+20260929-x86_64-unknown-linux-gnu-freethreaded-install_only_stripped.tar.gz"
    )


def test_a_version_that_nobody_published_gives_no_candidate() -> None:
    assert (
        locate_standalone(StandaloneInterpreter(version="3.11.99", triple="x86_64-unknown-linux-gnu"), "linux/amd64")
        == ()
    )


def test_without_a_mirror_the_releases_of_the_table_are_used() -> None:
    first = locate_standalone(PLAIN, "linux/amd64")[0]
    assert first.url.startswith("https://")
    assert first.url == standalone_url(first.file)
    assert "/download/20240107/" in first.url


def test_an_unknown_platform_is_refused() -> None:
    with pytest.raises(SourceError, match="linux/s390x"):
        locate_standalone(PLAIN, "linux/s390x")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"UV_PYTHON_INSTALL_MIRROR": "file:///a"}, "file:///a"),
        ({"UV_PYTHON_INSTALL_MIRROR": "file:///a", "ENVCAP_PYTHON_MIRROR": "file:///b"}, "file:///b"),
    ],
)
def test_the_mirror_is_ours_then_uvs(environ: dict[str, str], expected: str) -> None:
    assert find_python_mirror(environ) == expected


def test_a_file_mirror_keeps_the_layout_of_the_releases() -> None:
    assert standalone_url("20240107/cpython-3.11.7+x.tar.gz", mirror="file:///m/") == (
        "file:///m/20240107/cpython-3.11.7%2Bx.tar.gz"
    )

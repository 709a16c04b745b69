"""Reading `@EXPLICIT` lists and conda-lock.yml: claims of somebody else."""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.listed import ListedPackage, ListedWheel, Listing
from envcap.conda.listing import read_listing
from envcap.errors import LockfileError

BASE = "https://conda.example.org/conda-forge"
SHA, MD5 = "a" * 64, "b" * 32


def explicit(*lines: str) -> Listing:
    text = "\n".join(("# platform: linux-64", "@EXPLICIT", *lines))
    found = read_listing(text, name="list.txt", subdir="linux-64")
    assert isinstance(found, Listing)
    return found


def row(**change: object) -> dict[str, object]:
    return {
        "name": "x",
        "version": "1",
        "manager": "conda",
        "platform": "linux-64",
        "dependencies": {},
        "url": f"{BASE}/linux-64/x-1-0.conda",
        "hash": {"md5": MD5, "sha256": SHA},
        "category": "main",
        "optional": False,
    } | change


def conda_lock(*rows: object, version: object = 1) -> Listing:
    text = yaml.safe_dump({"version": version, "metadata": {}, "package": list(rows)})
    found = read_listing(text, name="conda-lock.yml", subdir="linux-64")
    assert isinstance(found, Listing)
    return found


X = ListedPackage(channel="conda-forge", channel_url=BASE, subdir="linux-64", file="x-1-0.conda", md5=MD5, sha256=SHA)


@pytest.mark.parametrize(
    ("fragment", "md5", "sha256"),
    [("", "", ""), (f"#{MD5}", MD5, ""), (f"#{SHA}", "", SHA), (f"#sha256:{SHA}", "", SHA)],
)
def test_a_line_is_an_address_with_or_without_hash(fragment: str, md5: str, sha256: str) -> None:
    (found,) = explicit(f"  {BASE}/noarch/x-1-0.conda{fragment}  ").packages

    assert found == ListedPackage(
        channel="conda-forge", channel_url=BASE, subdir="noarch", file="x-1-0.conda", md5=md5, sha256=sha256
    )


def test_no_secret_of_an_address_is_kept() -> None:
    (found,) = explicit(f"https://me:secret@conda.example.org/t/to-secret/lab/noarch/x-1-0.conda#{MD5}").packages

    assert (found.channel, found.channel_url) == ("lab", "https://conda.example.org/lab")


def test_packages_of_pip_are_told_apart() -> None:
    found = explicit(f"{BASE}/noarch/x-1-0.conda", f"# pip alpha @ https://example.org/a.whl#sha256={SHA}", "# pip")

    assert found.pip == (ListedWheel(name="alpha", url="https://example.org/a.whl", sha256=SHA),)


def test_a_conda_lock_is_read_for_one_platform_and_category() -> None:
    alpha = ListedWheel(name="alpha", url=f"{BASE}/linux-64/x-1-0.conda", sha256=SHA)

    found = conda_lock(
        row(), row(platform="osx-64", url=f"{BASE}/osx-64/x-1-0.conda"), row(name="__osx"),
        row(name="dev", category="dev"), row(name="alpha", manager="pip"),
    )  # fmt: skip

    assert found == Listing(
        packages=(X,),
        pip=(alpha,),
        left_out=("dev",),
    )


@pytest.mark.parametrize("version", [2, 1.0, None])
def test_another_version_of_conda_lock_is_refused(version: object) -> None:
    with pytest.raises(LockfileError, match=r"is a `conda-lock\.yml` of version '.*' \(expected version 1\)"):
        conda_lock(row(), version=version)


def test_only_a_pixi_lock_has_several_environments() -> None:
    with pytest.raises(LockfileError, match=r"has one environment \(expected a `pixi\.lock` for 'test'\)"):
        read_listing(f"@EXPLICIT\n{BASE}/noarch/x-1-0.conda", name="x", subdir="linux-64", environment="test")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "covers no platform"),
        ([row(platform="osx-64")], "covers osx-64"),
        ([7], "something else than packages"),
        ([row(url="x-1-0.conda")], "no address of a conda package"),
        ([row(url=f"{BASE}/linux-64/x.zip")], "no address of a conda package"),
        ([row(url=f"{BASE}/linux-64/..%2f..%2fx-1-0.conda")], "no address of a conda package"),
        ([row(url=7)], "no address of a conda package"),
        ([row(url="https://[x/linux-64/x-1-0.conda")], "no address of a conda package"),
        ([row(hash={"md5": "x"})], "the hash of x-1-0.conda is none"),
        ([row(hash={"md5": 0})], "the hash of x-1-0.conda is none"),
        ([row(hash={"sha256": "x"})], "the hash of x-1-0.conda is none"),
        ([row(), row(url=f"{BASE}/linux-64/x-2-0.conda")], "names 'x' twice"),
        ([row(url=f"{BASE}/osx-64/x-1-0.conda")], "holds osx-64 packages"),
        ([row(manager="pip")], "holds no packages"),
    ],
)
def test_a_damaged_conda_lock_is_refused(rows: list[object], message: str) -> None:
    with pytest.raises(LockfileError, match=message):
        conda_lock(*rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x=1=0", "no address of a conda package"),
        ("/srv/linux-64/x-1-0.conda", "no address of a conda package"),
        (f"{BASE}/linux-64/x-1-0.conda#abc", "ends with no hash"),
        (f"{BASE}/linux-64/x-1-0.conda#{'A' * 64}", "ends with no hash"),
        (f"{BASE}/osx-64/x-1-0.conda", "holds osx-64 packages"),
        ("", "holds no packages"),
    ],
)
def test_a_damaged_list_is_refused(line: str, message: str) -> None:
    with pytest.raises(LockfileError, match=message):
        explicit(line)


def test_a_message_repeats_no_secret() -> None:
    with pytest.raises(LockfileError) as refused:
        explicit("https://me:secret@example.org/t/to-secret/x.zip?key=secret")

    assert "secret" not in str(refused.value)


@given(st.text() | st.builds("@EXPLICIT\n{}".format, st.text()))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(LockfileError):
        read_listing(text, name="x", subdir="linux-64")


_VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3)) | st.just({"md5": [1]})


@given(st.dictionaries(st.sampled_from(sorted(row())), _VALUES))
def test_any_entry_is_read_or_refused(change: dict[str, object]) -> None:
    with contextlib.suppress(LockfileError):
        conda_lock(row(**change))

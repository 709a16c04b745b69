"""Reading `pixi.lock`: one environment, one platform, archives only.

The samples are written by hand after rattler's `test-data/conda-lock` (BSD-3-Clause) and locks of public projects.
"""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.listed import ListedPackage, ListedWheel, Listing
from envcap.conda.listing import read_listing
from envcap.errors import LockfileError

CHANNEL = "https://conda.example.org/conda-forge"
X, Y = f"{CHANNEL}/linux-64/x-1-0.conda", f"{CHANNEL}/noarch/y-2-0.tar.bz2"
WHEEL = "https://files.example.org/packages/alpha-1.0-py3-none-any.whl"
SHA, MD5 = "a" * 64, "b" * 32

NEW = f"""\
version: VERSION
environments:
  default:
    channels:
    - url: {CHANNEL}/
    indexes:
    - https://index.example.org/simple
    packages:
      linux-64:
      - conda: {X}
      - conda: {Y}
      - pypi: {WHEEL}
      osx-64: []
  docs:
    channels: []
    options: {{strategy: lowest-version}}
    packages:
      linux-64:
      - conda: {Y}
packages:
- conda: {X}
  sha256: {SHA}
  md5: {MD5}
  depends: [y]
  license: MIT
  never-seen-before: {{a: [1]}}
- conda: {Y}
  sha256: {SHA}
- pypi: {WHEEL}
  name: alpha
  version: '1.0'
  sha256: {SHA}
"""
OLD = f"""\
version: VERSION
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {X}
      - conda: {Y}
      - pypi: {WHEEL}
packages:
- kind: conda
  name: x
  version: '1'
  build: '0'
  subdir: linux-64
  url: {X}
  sha256: {SHA}
  md5: {MD5}
- kind: conda
  name: y
  version: 2
  url: {Y}
  sha256: {SHA}
  md5: null
- kind: pypi
  name: alpha
  version: '1.0'
  url: {WHEEL}
  sha256: {SHA}
"""
FOUND = Listing(
    packages=(
        ListedPackage(
            channel="conda-forge", channel_url=CHANNEL, subdir="linux-64", file="x-1-0.conda", md5=MD5, sha256=SHA
        ),
        ListedPackage(channel="conda-forge", channel_url=CHANNEL, subdir="noarch", file="y-2-0.tar.bz2", sha256=SHA),
    ),
    pip=(ListedWheel(name="alpha", url=WHEEL, sha256=SHA),),
)


def read(text: str, *, subdir: str = "linux-64", environment: str = "") -> Listing:
    found = read_listing(text, name="pixi.lock", subdir=subdir, environment=environment)
    assert isinstance(found, Listing)
    return found


@pytest.mark.parametrize(("text", "version"), [(OLD, 4), (OLD, 5), (NEW, 6), (NEW, 7)])
def test_each_version_says_the_same(text: str, version: int) -> None:
    assert read(text.replace("VERSION", str(version))) == FOUND


def test_another_environment_is_read_on_request() -> None:
    assert [row.file for row in read(NEW.replace("VERSION", "6"), environment="docs").packages] == ["y-2-0.tar.bz2"]


def test_a_platform_of_version_7_may_have_a_name_of_its_own() -> None:
    text = NEW.replace("VERSION", "7\nplatforms:\n- {name: lab, subdir: linux-64, virtual-packages: [__cuda=12]}\n")

    assert read(text.replace("      linux-64:\n", "      lab:\n")) == FOUND


def test_a_direct_url_is_a_url() -> None:
    direct = NEW.replace("VERSION", "6").replace(f"pypi: {WHEEL}", f"pypi: direct+{WHEEL}")

    assert read(direct) == FOUND


LOCAL = NEW.replace("VERSION", "6").replace(f"      - pypi: {WHEEL}\n", "      - pypi: ./lab-code\n")


def test_the_project_itself_is_left_out_where_that_is_asked() -> None:
    found = read_listing(LOCAL, name="pixi.lock", subdir="linux-64", without=["lab-code"])

    assert isinstance(found, Listing)
    assert [package.file for package in found.packages] == ["x-1-0.conda", "y-2-0.tar.bz2"]
    assert found.pip == ()


def test_who_is_not_told_how_to_leave_the_project_out_is_told() -> None:
    with pytest.raises(LockfileError) as caught:
        read_listing(LOCAL, name="pixi.lock", subdir="linux-64")

    assert caught.value.hint.startswith("leave it out with `--without lab-code`, or install the file")


def test_what_is_no_folder_or_source_cannot_be_left_out() -> None:
    with pytest.raises(LockfileError, match=r"builds no 'alpha' from a folder or source"):
        read_listing(NEW.replace("VERSION", "6"), name="pixi.lock", subdir="linux-64", without=["alpha"])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("VERSION", "3", "of version '3' (expected 4, 5, 6, 7)"),
        ("VERSION", "8", "of version '8' (expected 4, 5, 6, 7)"),
        ("VERSION", "[6]", "of version ''"),
        ("  default:", "  other:", "has no environment 'default' (found: 'docs', 'other')"),
        ("linux-64:", "linux-aarch64:", "covers 'linux-aarch64', 'osx-64' (expected linux-64)"),
        (f"      - conda: {X}\n", "      - conda: .\n", "builds from folders or sources"),
        (f"      - conda: {X}\n", '      - source: "minimal[ac2e] @ ../minimal"\n', "or sources: 'minimal' (expected"),
        (f"      - pypi: {WHEEL}\n", "      - pypi: ./lab-code\n", "builds from folders or sources: 'lab-code'"),
        (
            f"      - pypi: {WHEEL}\n",
            "      - pypi: git+https://me:secret@git.example.org/lab/flask@b90a4\n",
            "builds from folders or sources: 'flask@b90a4' (expected",
        ),
        (f"      - pypi: {WHEEL}\n", "      - nonsense: 1\n", "has an entry of linux-64 that is none"),
        (f"      - conda: {X}\n", f"      - conda: {CHANNEL}/linux-64/x.zip\n", "no address of a conda package"),
        (f"sha256: {SHA}", "sha256: beef", "the hash of x-1-0.conda is none"),
        ("packages:\n- conda", "others:\n- conda", "something else than packages in `packages`"),
        ("      - conda: https", "      - conda:\n          https", ""),
    ],
)
def test_what_gives_no_environment_is_refused(before: str, after: str, message: str) -> None:
    text = NEW.replace(before, after).replace("VERSION", "6")
    assert text != NEW.replace("VERSION", "6")
    if not message:
        assert read(text) == FOUND
        return
    with pytest.raises(LockfileError) as refused:
        read(text)

    assert message in refused.value.message
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("length", range(0, len(NEW), 41))
def test_a_truncated_file_is_read_or_refused(length: int) -> None:
    with contextlib.suppress(LockfileError):
        read(NEW.replace("VERSION", "6")[:length])


_KEYS = st.sampled_from(["conda", "pypi", "kind", "linux-64", "packages", "default"])
_TREES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.sampled_from([X, WHEEL, "conda", "pypi", SHA]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner),
    max_leaves=12,
)


@given(_TREES, _TREES)
def test_any_tables_are_read_or_refused(environments: object, packages: object) -> None:
    with contextlib.suppress(LockfileError):
        read(yaml.safe_dump({"version": 6, "environments": environments, "packages": packages}))

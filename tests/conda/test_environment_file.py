"""Reading `environment.yml`: nothing in it is left to a solver."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.listed import ExactEnvironment, ExactPin, ExactSpec, ListedChannel, ListedWheel
from envcap.conda.listing import read_listing
from envcap.errors import LockfileError

SHA = "a" * 64


def read(*dependencies: object, channels: object = ("lab",), **more: object) -> ExactEnvironment:
    document = {"name": "x", "channels": list(channels) if isinstance(channels, tuple) else channels}
    text = yaml.safe_dump({**document, "dependencies": list(dependencies), **more})
    found = read_listing(text, name="environment.yml", subdir="linux-64")
    assert isinstance(found, ExactEnvironment)
    return found


def test_the_export_of_conda_is_read() -> None:
    found = read(
        "_libgcc_mutex=0.1=main", "python=3.11.5=h955ad1f_0", {"pip": ["Alpha_X==1.0", "beta[all]==2.1+cu118"]},
        channels=("https://conda.example.org/conda-forge", "defaults", "nodefaults"), prefix="/home/me/envs/x",
    )  # fmt: skip

    assert found == ExactEnvironment(
        channels=(
            ListedChannel(name="conda-forge", url="https://conda.example.org/conda-forge"),
            ListedChannel(name="pkgs/main"),
            ListedChannel(name="pkgs/r"),
        ),
        specs=(
            ExactSpec(name="_libgcc_mutex", version="0.1", build="main"),
            ExactSpec(name="python", version="3.11.5", build="h955ad1f_0"),
        ),
        pins=(ExactPin(name="alpha-x", version="1.0"), ExactPin(name="beta", version="2.1+cu118")),
    )


def test_a_package_may_name_its_channel() -> None:
    (spec,) = read("https://me:secret@conda.example.org/t/to-secret/lab/linux-64::x=1=0").specs

    assert spec.channel == ListedChannel(name="lab", url="https://conda.example.org/lab")


def test_an_address_of_a_wheel_is_one() -> None:
    found = read("x=1=0", {"pip": [f"alpha @ https://example.org/alpha-1-py3-none-any.whl#sha256={SHA}"]})

    assert found.pip == (ListedWheel(name="alpha", url="https://example.org/alpha-1-py3-none-any.whl", sha256=SHA),)


def test_a_wheel_may_lie_beside_the_file() -> None:
    found = read("x=1=0", {"pip": ["./wheels/alpha-1-py3-none-any.whl"]})

    file = "alpha-1-py3-none-any.whl"
    assert found.pip == (ListedWheel(name="alpha", url=file, file=file, path=f"wheels/{file}"),)


def test_what_is_not_taken_is_named() -> None:
    assert read("x=1=0", variables={"A": "secret"}).ignored == ("variables",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("numpy", "leaves to a solver: 'numpy' (expected NAME=VERSION=BUILD)"),
        ("numpy=1.26", "leaves to a solver: 'numpy=1.26'"),
        ("numpy>=1.26", "leaves to a solver: 'numpy>=1.26'"),
        ("numpy=1.26.*=py311_0", "leaves to a solver"),
        ("numpy=1.26=*_0", "leaves to a solver"),
        ("numpy[version=1]", "leaves to a solver"),
        ("https://me:secret@example.org/x-1-0.conda", "leaves to a solver: 'URL'"),
        ({"sel(linux)": "x=1=0"}, "leaves to a solver: 'a table'"),
        ("../../x=1=0", "leaves to a solver"),
        ("x=1=0", "names 'x' twice"),
        ("X=2=0", "names 'x' twice"),
        ({"pip": ["alpha"]}, "has pip look for: 'alpha' (expected NAME==VERSION"),
        ({"pip": ["alpha>=1"]}, "has pip look for: 'alpha>=1'"),
        ({"pip": ["-e ."]}, "has pip look for: '-e .'"),
        ({"pip": ["../alpha-1-py3-none-any.whl"]}, "has pip look for: '../alpha-1-py3-none-any.whl'"),
        ({"pip": ["/srv/alpha-1-py3-none-any.whl"]}, "has pip look for: '/srv/alpha-1-py3-none-any.whl'"),
        ({"pip": ["--index-url https://me:secret@example.org/simple"]}, "has pip look for: '--index-url URL'"),
        ({"pip": ["alpha @ git+https://me:secret@example.org/alpha"]}, "has pip look for: 'alpha @ URL'"),
        ({"pip": ["alpha==1", "Alpha==1"]}, "names 'alpha' twice"),
        ({"pip": "alpha"}, "leaves to a solver"),
    ],
)
def test_what_is_not_exact_is_refused(row: object, message: str) -> None:
    with pytest.raises(LockfileError) as refused:
        read("x=1=0", row)

    assert message in refused.value.message
    assert "secret" not in str(refused.value)


def test_a_crowd_of_channels_is_refused() -> None:
    with pytest.raises(LockfileError, match="names 51 channels"):
        read("x=1=0", channels=tuple(f"lab{number}" for number in range(51)))


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9][0-9a-z.]{0,8}", fullmatch=True)


@given(st.dictionaries(_NAMES, st.tuples(_VERSIONS, _VERSIONS), min_size=1, max_size=5))
def test_what_an_export_writes_is_what_is_read(rows: dict[str, tuple[str, str]]) -> None:
    found = read(*(f"{name}={version}={build}" for name, (version, build) in rows.items()))

    assert {spec.name: (spec.version, spec.build) for spec in found.specs} == rows

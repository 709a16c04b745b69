"""What holds for every test: the quick ones run first, and none sees or leaves anything of the user's envcap."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

LATER = ("slow", "network", "engine")
"""Markers, in the order in which their tests run; those without one run first."""

# No deadlines: machines of CI are shared, and a slow example is no wrong one. Derandomised there, so that a landing
# does not depend on luck; by hand each run looks at other examples.
settings.register_profile(
    "envcap", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("envcap")

_OURS = ("ENVCAP_", "PIP_", "UV_", "CONDA", "MAMBA")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what fails fast first; within one rank, the order of the files stays."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    return max((rank for rank, name in enumerate(LATER, 1) if item.get_closest_marker(name)), default=0)


@pytest.fixture(autouse=True)
def _own_machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each test a store of its own, and take the settings of pip, uv and conda away from those that ask no index.

    Tests marked `network` keep them: they are how this machine finds its package index and its Debian mirror.
    """
    saved = dict(os.environ)
    if request.node.get_closest_marker("network") is None:
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]
    os.environ["ENVCAP_STORE"] = str(_later(tmp_path_factory))
    yield
    os.environ.clear()
    os.environ.update(saved)


def _later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a folder that is made only if something is stored."""
    return tmp_path_factory.getbasetemp() / f"store-{os.urandom(6).hex()}"

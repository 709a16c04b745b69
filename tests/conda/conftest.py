"""One channel and one locked world for all tests that only read them."""

from pathlib import Path

import pytest

from tests.conda.channel import BASE, Channel, make_channel, python_spec, small_specs
from tests.conda.world import make_world
from tests.flow import Flow


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with every package; tests leave it as it is."""
    if Path("/usr") == BASE:
        pytest.skip("the distribution's Python can't be moved to another prefix: it looks for dist-packages in /usr")
    return make_channel(tmp_path_factory.mktemp("channel") / "lab", (python_spec(), *small_specs()))


@pytest.fixture(scope="session")
def locked(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A world with a lock and the root filesystem of its image; tests leave it as it is."""
    flow = make_world(tmp_path_factory.mktemp("conda") / "world", channel)
    assert flow.snapshot().status == 0
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs", "--record").status == 0
    return flow

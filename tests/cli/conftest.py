"""A world that tests may change, and one that they only read."""

from pathlib import Path

import pytest

from tests.flow import Flow, make_flow


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    """A world of the test's own, nothing done in it yet."""
    return make_flow(tmp_path / "world")


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A world with a lock, a layout and a tar; tests leave it as it is."""
    flow = make_flow(tmp_path_factory.mktemp("locked") / "world")
    assert flow.snapshot().status == 0
    assert flow.run("rebuild", flow.lock, "--output", flow.root / "image.tar").status == 0
    assert flow.run("rebuild", flow.lock, "--output", flow.root / "layout").status == 0
    return flow

"""Whoever is killed while publishing leaves the tag as it was, and the next run ends well: at every single request."""

import os
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from envcap.sharing.find import find_attestations, find_lock
from tests.oci.images import SMALL
from tests.registry.fake_registry import Asked, FakeRegistry, serve
from tests.registry.machine import connect
from tests.sharing.published import FACTS, LOCK, publish, where
from tests.store.crash import missing_injection
from tests.store.launch import Launcher, Program, Running, launch
from tests.trust.people import ALICE

PUBLISHER = Program(module="tests.sharing.publisher", loaded="tests.sharing.published")
OLD = SMALL.manifest.replace(b'"schemaVersion":2', b'"schemaVersion": 2')
OCI = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Publisher:
    """Publishes in a process that is killed (SIGKILL) when the registry hears its n-th request."""

    launcher: Launcher
    deadly: int
    seen: int = 0
    running: Future[Running] = field(default_factory=Future)

    def run(self, registry: FakeRegistry) -> int:
        registry.before = self._hear
        with self.launcher.start([registry.host], {"PATH": os.defpath}) as running:
            self.running.set_result(running)
            status = running.result().returncode
        registry.before = lambda _asked: None
        return status

    def _hear(self, _asked: Asked) -> None:
        self.seen += 1
        if self.seen == self.deadly:
            running = self.running.result(60)
            running.kill()
            running.listener.wait()


def new_registry() -> FakeRegistry:
    """A registry where the tag names an older image."""
    registry = FakeRegistry()
    registry.add_manifest("lab/ml", "1", OLD, OCI)
    return registry


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_injection()), reason=missing_injection() or "processes can be watched")
def test_a_publish_that_is_killed_at_any_request_leaves_the_tag_and_goes_on() -> None:
    with launch(PUBLISHER) as launcher:
        kill_at_each_request(launcher)


def kill_at_each_request(launcher: Launcher) -> None:
    with serve(new_registry()) as registry:
        assert Publisher(launcher, deadly=0).run(registry) == 0
        total, writes = len(registry.asked), [row for row in registry.asked if row.method == "PUT"]
    assert total > 30
    assert writes[-1].path == "/v2/lab/ml/manifests/1"
    for number in range(1, total + 1):
        with serve(new_registry()) as registry:
            assert Publisher(launcher, deadly=number).run(registry) == -9, number
            # The tag names the old image until the very request that moves it.
            named = registry.manifests["lab/ml", "1"][1]
            assert named == OLD or (named == SMALL.manifest and number == total), number
            with connect(registry.host) as connection:
                publish(connection, said=(ALICE.signs(FACTS).data,))
                found = find_lock(connection, where(connection))
                said, passed = find_attestations(connection, found)
            assert found.lockfile == LOCK
            assert [row.data for row in said] == [ALICE.signs(FACTS).data]
            assert passed == ()

"""What docker and podman say of themselves."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.oci.engine_facts import EngineFacts, parse_info

DOCKER = {
    "Name": "node",
    "ServerVersion": "28.3.0",
    "MemTotal": 16_000_000_000,
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
    "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
    "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}, {"Source": "other", "ID": "x"}],
}


def test_docker_s_facts_are_read() -> None:
    assert parse_info(json.dumps(DOCKER)) == EngineFacts(
        host="node",
        rootless=True,
        memory=16_000_000_000,
        runtimes=frozenset({"runc", "nvidia"}),
        cdi_folders=("/etc/cdi", "/var/run/cdi"),
        cdi_devices=frozenset({"nvidia.com/gpu=all"}),
    )


def test_an_old_docker_says_less() -> None:
    assert parse_info('{"ServerVersion": "20.10.24", "CDISpecDirs": null}') == EngineFacts()


def test_podman_s_facts_are_read() -> None:
    info = {"host": {"hostname": "node", "memTotal": 8_000_000_000, "security": {"rootless": True}}, "store": {}}
    assert parse_info(json.dumps(info)) == EngineFacts(host="node", rootless=True, memory=8_000_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", "[" * 100_000,
        '{"ClientInfo": {}}', '{"ServerVersion": "28.0.0", "ServerErrors": ["Cannot connect"]}',
        '{"ServerErrors": ["Cannot connect to the Docker daemon"], "ServerVersion": ""}',
    ],
)  # fmt: skip
def test_a_client_without_a_server_is_no_engine(text: str) -> None:
    assert parse_info(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ID", "Source", "rootless"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*DOCKER, "host"]), JSON))
def test_facts_of_any_shape_are_read_or_refused(info: dict[str, object]) -> None:
    facts = parse_info(json.dumps(info))
    assert facts is None or facts.memory >= 0

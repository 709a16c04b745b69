"""Docker Hub is named, asked and logged in to under different names; other registries under one."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from envcap.errors import RegistryError
from envcap.registry.auth import Authorizer, TokenRequest
from envcap.registry.credentials import AuthFile, Login, RegistryLogins, read_logins
from envcap.registry.docker_hub import token_hosts
from envcap.registry.reference import Reference
from tests.registry.machine import connect

AUTH = {"auth": base64.b64encode(b"me:1").decode()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker.io/lab/ml:1", "docker.io/lab/ml:1"),
        ("index.docker.io/lab/ml:1", "docker.io/lab/ml:1"),
        ("Docker.IO/ml:1", "docker.io/library/ml:1"),
        ("registry.example.org/ml:1", "registry.example.org/ml:1"),
    ],
)
def test_docker_hub_has_one_name(text: str, expected: str) -> None:
    assert str(Reference.parse(text)) == expected
    assert Reference.parse(expected) == Reference.parse(text)


def test_docker_hub_is_asked_where_its_registry_is() -> None:
    with connect("docker.io") as hub, connect("registry.example.org") as other:
        assert (hub.host, hub.base) == ("docker.io", "https://registry-1.docker.io")
        assert other.base == "https://registry.example.org"


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "docker.io/lab"])
def test_a_login_to_docker_hub_is_found_under_each_of_its_names(tmp_path: Path, key: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {key: AUTH}}))
    logins = read_logins({}, tmp_path, lambda _command, _stdin: (127, b""))
    assert logins.find("docker.io", "lab/ml") == Login(user="me", password="1")
    assert logins.find("docker.io.example.org", "lab/ml") is None


@pytest.mark.parametrize("kept", ["https://index.docker.io/v1/", "docker.io"])
@pytest.mark.parametrize("named", [AuthFile(helper="x"), AuthFile(helpers={"https://index.docker.io/v1/": "x"})])
def test_a_helper_is_asked_by_the_names_of_docker_and_podman(kept: str, named: AuthFile) -> None:
    def run(command: Sequence[str], stdin: bytes) -> tuple[int, bytes]:
        assert command == ["docker-credential-x", "get"]
        return (0, b'{"Username":"me","Secret":"1"}') if stdin == kept.encode() else (1, b"")

    assert RegistryLogins(files=(named,), run=run).find("docker.io", "lab/ml") == Login(user="me", password="1")


@pytest.mark.parametrize(("host", "shown"), [("docker.io", True), ("registry.example.org", False)])
def test_only_docker_hub_s_login_is_shown_to_its_token_server(host: str, *, shown: bool) -> None:
    asked: list[TokenRequest] = []

    def ask(request: TokenRequest) -> bytes:
        asked.append(request)
        return b'{"token":"t"}'

    logins = RegistryLogins(files=(AuthFile(auths={host: {"username": "me", "password": "1"}}),))
    authorizer = Authorizer(
        host, ("https", host, 443), logins=logins, realms=token_hosts(host), ask=ask, clock=lambda: 0.0
    )
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    scope = ("repository:lab/ml:pull",)
    if not shown:
        with pytest.raises(RegistryError, match="wants its login to be sent to another host"):
            authorizer.answer([challenge], scope, refused="")
        assert asked == []
        return
    assert authorizer.answer([challenge], scope, refused="") == "Bearer t"
    assert asked[0].authorization == f"Basic {AUTH['auth']}"

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from envcap.errors import RegistryError
from envcap.registry.credentials import Login, read_logins, run_helper

HOST = "registry.example.org"


def auth(text: str) -> dict[str, object]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def no_helper(_command: Sequence[str], _stdin: bytes) -> tuple[int, bytes]:
    return 127, b""


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def find(home: Path, repository: str = "lab/ml", environ: Mapping[str, str] | None = None) -> Login | None:
    return read_logins(environ or {}, home, no_helper).find(HOST, repository)


def test_docker_keeps_user_and_password_in_base64_and_a_password_may_hold_colons(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"auths": {HOST: auth("me:pass:word")}})

    assert find(tmp_path) == Login(user="me", password="pass:word")


def test_the_longest_prefix_wins_and_only_whole_parts_count(tmp_path: Path) -> None:
    auths = {HOST: auth("host:1"), f"{HOST}/lab": auth("lab:1"), f"{HOST}/lab/m": auth("m:1")}
    write(tmp_path / ".docker" / "config.json", {"auths": auths})

    assert find(tmp_path) == Login(user="lab", password="1")
    assert find(tmp_path, "other/ml") == Login(user="host", password="1")


def test_an_old_entry_is_kept_under_a_url(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"auths": {f"https://{HOST}/v1/": auth("me:1")}})

    assert find(tmp_path) == Login(user="me", password="1")


@pytest.mark.parametrize("other", ["evil.example.org", f"{HOST}.evil.example", f"{HOST}:5000", "example.org"])
def test_a_login_of_another_host_is_not_taken(tmp_path: Path, other: str) -> None:
    write(tmp_path / ".docker" / "config.json", {"auths": {other: auth("me:1")}})

    assert find(tmp_path) is None


def test_podmans_file_comes_before_dockers(tmp_path: Path) -> None:
    write(tmp_path / "run" / "containers" / "auth.json", {"auths": {HOST: auth("podman:1")}})
    write(tmp_path / ".docker" / "config.json", {"auths": {HOST: auth("docker:1")}})

    assert find(tmp_path, environ={"XDG_RUNTIME_DIR": str(tmp_path / "run")}) == Login(user="podman", password="1")


def test_a_named_file_is_the_only_one(tmp_path: Path) -> None:
    named = write(tmp_path / "named.json", {"auths": {}})
    write(tmp_path / ".docker" / "config.json", {"auths": {HOST: auth("docker:1")}})

    assert find(tmp_path, environ={"REGISTRY_AUTH_FILE": str(named)}) is None


def test_dockers_folder_may_be_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "else" / "config.json", {"auths": {HOST: auth("else:1")}})

    assert find(tmp_path, environ={"DOCKER_CONFIG": str(tmp_path / "else")}) == Login(user="else", password="1")


def test_identity_and_registry_tokens_are_read(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"auths": {HOST: {**auth("me:"), "identitytoken": "refresh"}}})

    assert find(tmp_path) == Login(user="me", identity_token="refresh")


def helper(folder: Path, name: str, script: str) -> dict[str, str]:
    path = write(folder / f"docker-credential-{name}", f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_helper_is_told_the_host_on_its_standard_input(tmp_path: Path) -> None:
    script = 'read host; [ "$1" = get ] && printf \'{"Username": "of-%s", "Secret": "s"}\' "$host"'
    environ = helper(tmp_path / "bin", "test", script)
    write(tmp_path / ".docker" / "config.json", {"credHelpers": {HOST: "test"}, "auths": {HOST: auth("file:1")}})

    logins = read_logins(environ, tmp_path, run_helper(environ))

    assert logins.find(HOST, "x") == Login(user=f"of-{HOST}", password="s")


def test_a_helper_gives_an_identity_token_under_a_user_that_is_none(tmp_path: Path) -> None:
    environ = helper(tmp_path / "bin", "test", 'echo \'{"Username": "<token>", "Secret": "s"}\'')
    write(tmp_path / ".docker" / "config.json", {"credsStore": "test", "auths": {HOST: {}}})

    assert read_logins(environ, tmp_path, run_helper(environ)).find(HOST, "x") == Login(identity_token="s")


@pytest.mark.parametrize("script", ["echo not found; exit 1", "echo no json", "echo '{}'", "exit 0"])
def test_a_helper_that_has_nothing_is_no_login(tmp_path: Path, script: str) -> None:
    environ = helper(tmp_path / "bin", "test", script)
    write(tmp_path / ".docker" / "config.json", {"credsStore": "test"})

    assert read_logins(environ, tmp_path, run_helper(environ)).find(HOST, "x") is None


def test_a_helper_that_is_not_installed_is_no_login(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"credsStore": "nowhere"})

    assert read_logins({}, tmp_path, run_helper({"PATH": "/nowhere"})).find(HOST, "x") is None


def test_a_helpers_name_leads_to_no_other_program(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def record(command: Sequence[str], _stdin: bytes) -> tuple[int, bytes]:
        asked.append(command)
        return 0, b'{"Username": "u", "Secret": "s"}'

    write(tmp_path / ".docker" / "config.json", {"credsStore": "../../evil", "credHelpers": {HOST: "a b"}})

    assert read_logins({}, tmp_path, record).find(HOST, "x") is None
    assert asked == []


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {}, "auths": {}}', "{" * 5000])
def test_a_broken_file_is_named_and_not_repeated(tmp_path: Path, text: str) -> None:
    write(tmp_path / ".docker" / "config.json", text)

    with pytest.raises(RegistryError) as caught:
        find(tmp_path)

    assert caught.value.message == "The logins in ~/.docker/config.json are not valid JSON"


@pytest.mark.parametrize("entry", [{"auth": "%%%"}, {"auth": "bm9jb2xvbg=="}, {"auth": 3}, [], {}, {"auth": "/w=="}])
def test_an_entry_that_is_no_login_is_passed_over(tmp_path: Path, entry: object) -> None:
    write(tmp_path / ".docker" / "config.json", {"auths": {f"{HOST}/lab": entry, HOST: auth("me:1")}})

    assert find(tmp_path) == Login(user="me", password="1")


def test_no_login_is_shown_by_its_repr() -> None:
    shown = repr(Login(user="me", password="secret-1", identity_token="secret-2", registry_token="secret-3"))

    assert "secret" not in shown
    assert "me" not in shown.removeprefix("Login")

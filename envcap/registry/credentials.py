"""Logins to registries, from the files and helpers where docker and podman keep them.

Files in the order in which they are asked: `$REGISTRY_AUTH_FILE` alone, if it is set; else podman's
`$XDG_RUNTIME_DIR/containers/auth.json` and `$XDG_CONFIG_HOME/containers/auth.json`, then docker's
`$DOCKER_CONFIG/config.json`. In each: the helper named for the host, the longest entry of `auths`, the general helper.
Source: containers-auth.json(5); docker login, "Credential helpers", and their protocol: `get`, the host on standard
input, JSON on standard output, a status other than 0 for "none". Nothing of a file or of a helper's talk is repeated
in a message: it holds secrets.
"""

import base64
import binascii
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from envcap.errors import RegistryError
from envcap.registry.docker_hub import login_hosts, login_servers
from envcap.registry.strict_json import JsonError, read_json

MAX_FILE: Final = 4 << 20
_TOKEN_USER: Final = "<token>"  # noqa: S105 - no secret: it stands for one
"""What a helper gives as user name where the secret is an identity token."""
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HELPER_SECONDS: Final = 60.0

RunHelper = Callable[[Sequence[str], bytes], tuple[int, bytes]]
"""Runs a command with bytes on its standard input; gives its status (127: no such command) and standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What to show to one registry.

    Attributes:
        user: User name, or empty.
        password: Password or access token.
        identity_token: OAuth2 refresh token, for registries that gave one at the login, or empty.
        registry_token: Bearer token to send as it is, or empty.
    """

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFile:
    """One file of logins.

    Attributes:
        auths: Entries by host or host and path, as they stand in the file.
        helpers: Helper by host.
        helper: Helper for every host, or empty.
    """

    auths: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    helper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogins:
    """All logins of this machine's configuration."""

    files: tuple[AuthFile, ...] = ()
    run: RunHelper = field(default=lambda _command, _stdin: (127, b""), repr=False)

    def find(self, host: str, repository: str) -> Login | None:
        """Find the login for a repository of a registry, or None.

        Args:
            host: Host and port.
            repository: Name below the host.
        """
        return next((login for file in self.files for login in self._of_file(file, host, repository)), None)

    def _of_file(self, file: AuthFile, host: str, repository: str) -> Iterator[Login]:
        servers = login_servers(host)
        named = [file.helpers[name] for name in dict.fromkeys((*servers, *login_hosts(host))) if name in file.helpers]
        for helper in named[:1]:
            yield from self._of_helper(helper, servers)
        wanted = [f"{name}/{repository}/" for name in login_hosts(host)]
        keys = [key for key in file.auths if any(name.startswith(_place(key) + "/") for name in wanted)]
        for key in sorted(keys, key=lambda key: len(_place(key)), reverse=True):
            if login := _entry(file.auths[key]):
                yield login
        if file.helper:
            yield from self._of_helper(file.helper, servers)

    def _of_helper(self, helper: str, servers: Sequence[str]) -> Iterator[Login]:
        for server in servers:
            if login := _ask_helper(self.run, helper, server):
                yield login


def read_logins(environ: Mapping[str, str], home: Path, run: RunHelper) -> RegistryLogins:
    """Read the files of logins that there are.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        run: Runs a credential helper.

    Raises:
        RegistryError: A file is there and can't be read.
    """
    places = [(path, name) for path, name in _places(environ, home) if path.is_file()]
    return RegistryLogins(files=tuple(_read_file(path, name) for path, name in places), run=run)


def run_helper(environ: Mapping[str, str]) -> RunHelper:
    """Run credential helpers as processes with these environment variables."""

    def run(command: Sequence[str], stdin: bytes) -> tuple[int, bytes]:
        try:
            done = subprocess.run(
                list(command),
                input=stdin,
                env=dict(environ),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=_HELPER_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return 127, b""
        return done.returncode, done.stdout

    return run


def _places(environ: Mapping[str, str], home: Path) -> Iterator[tuple[Path, str]]:
    """Give each file, and how to call it without naming a home."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named), "$REGISTRY_AUTH_FILE"
        return
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json", "$XDG_RUNTIME_DIR/containers/auth.json"
    config = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home / ".config"
    yield config / "containers" / "auth.json", "podman's containers/auth.json"
    if docker := environ.get("DOCKER_CONFIG"):
        yield Path(docker) / "config.json", "$DOCKER_CONFIG/config.json"
    else:
        yield home / ".docker" / "config.json", "~/.docker/config.json"


def _read_file(path: Path, name: str) -> AuthFile:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        table = read_json(data if len(data) <= MAX_FILE else b"", name) if data.strip() else {}
    except OSError as error:
        raise RegistryError(f"The logins in {name} can't be read: {error.strerror}") from None
    except JsonError:
        raise RegistryError(
            f"The logins in {name} are not valid JSON", hint="repair it, or log in again with `docker login`"
        ) from None
    auths, helpers, helper = table.get("auths"), table.get("credHelpers"), table.get("credsStore")
    return AuthFile(
        auths={key: entry for key, entry in _table(auths).items() if isinstance(entry, dict)},
        helpers={key: name for key, name in _table(helpers).items() if isinstance(name, str)},
        helper=helper if isinstance(helper, str) else "",
    )


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _place(key: str) -> str:
    """Give host and path of an entry: older logins are kept as `https://host/v1/` (docker, `ConvertToHostname`)."""
    _, scheme, rest = key.partition("://")
    return rest.partition("/")[0].lower() if scheme else key.rstrip("/")


def _entry(entry: Mapping[str, object]) -> Login | None:
    identity, registry = _text(entry, "identitytoken"), _text(entry, "registrytoken")
    user, password = _text(entry, "username"), _text(entry, "password")
    if auth := _text(entry, "auth"):
        try:
            user, colon, password = base64.b64decode(auth, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, ValueError):
            return None
        if not colon:
            return None
    if not (password or identity or registry):
        return None  # what docker leaves of an entry whose secret a helper keeps
    return Login(user=user, password=password, identity_token=identity, registry_token=registry)


def _ask_helper(run: RunHelper, helper: str, host: str) -> Login | None:
    if not _HELPER.match(helper):
        return None
    status, output = run([f"docker-credential-{helper}", "get"], host.encode())
    if status != 0 or len(output) > MAX_FILE:
        return None
    try:
        answer = read_json(output, helper)
    except JsonError:
        return None
    user, secret = _text(answer, "Username"), _text(answer, "Secret")
    if not secret:
        return None
    return Login(identity_token=secret) if user == _TOKEN_USER else Login(user=user, password=secret)


def _text(table: Mapping[str, object], name: str) -> str:
    value = table.get(name)
    return value if isinstance(value, str) else ""

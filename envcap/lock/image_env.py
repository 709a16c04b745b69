"""The variables that a user puts into the image by name: `snapshot --env NAME` or `--env NAME=VALUE`.

A lock and an image are given away, so what looks like a secret or names a folder of this machine is refused, not
cleaned: the user asked for exactly this value, and another one would be a surprise.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from envcap.errors import UsageError
from envcap.recipe import ENVIRONMENT_ROOT
from envcap.variables import inside, looks_random

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASS(?:WORD|WD|PHRASE)?(?:_|\Z)|CREDENTIAL|(?:API|ACCESS|PRIVATE|SIGNING)_?KEY|AUTH|COOKIE|NETRC",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^/\s@]*@")
_OF_THE_MACHINE = frozenset(
    {"PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "HOME", "USER", "LOGNAME", "PWD", "OLDPWD", "HOSTNAME", "SHELL"}
)
_LONGEST = 1000


def image_variables(
    requested: Sequence[str],
    environ: Mapping[str, str],
    *,
    roots: Sequence[str],
    home: Path,
    cwd: Path,
    root: str = ENVIRONMENT_ROOT,
) -> dict[str, str]:
    """Give the variables for the image, with folders of the environment as they are in the image.

    Args:
        requested: `NAME`, whose value is the shell's, or `NAME=VALUE`.
        environ: The shell's variables.
        roots: Spellings of the environment's prefix.
        home: The user's home, which no value may name.
        cwd: The current folder, likewise.
        root: Where the environment lies in the image.

    Raises:
        UsageError: A variable is not set, or must not leave this machine.
    """
    chosen: dict[str, str] = {}
    for request in requested:
        name, given, value = request.partition("=")
        if not _NAME.match(name):
            raise UsageError(f"Unexpected variable {name[:80]!r} (expected `--env NAME` or `--env NAME=VALUE`)")
        if name in _OF_THE_MACHINE:
            raise UsageError(f"{name} belongs to the machine and can't be put into the image")
        if _SECRET_NAME.search(name):
            raise _secret(name)
        if not given and name not in environ:
            raise UsageError(f"{name} is not set", hint=f"give its value with `--env {name}=VALUE`")
        moved = ":".join(_moved(entry, roots, root) for entry in (value if given else environ[name]).split(":"))
        chosen[name] = _checked(name, value if given else environ[name], moved, (home, cwd), roots)
    return {name: chosen[name] for name in sorted(chosen)}


def _checked(name: str, value: str, moved: str, places: tuple[Path, Path], roots: Sequence[str]) -> str:
    """Refuse a value that must not leave; the message never shows it."""
    if not value.isprintable() or len(value) > _LONGEST:
        raise UsageError(f"The value of {name} is not one line of text of at most {_LONGEST} characters")
    if _USERINFO.search(value) or looks_random(value):
        raise _secret(name)
    home = places[0]
    private = [str(place) for place in places if len(place.parts) > 1] + list(roots)
    if any(place in moved for place in private) or (home.name and home.name in re.split(r"[/:=,\s]+", moved)):
        raise UsageError(
            f"The value of {name} names a folder of this machine, which the image does not have",
            hint=f"give the value that it shall have in the image with `--env {name}=VALUE`",
        )
    return moved


def _secret(name: str) -> UsageError:
    return UsageError(
        f"{name} looks like a secret and would be readable by everybody who gets the image",
        hint=f"give it to the container when it starts: `docker run --env {name} ...`",
    )


def _moved(entry: str, roots: Sequence[str], root: str) -> str:
    relative = inside(entry, roots) if entry.startswith("/") else None
    return entry if relative is None else f"/{root}/{relative}".rstrip("/")

"""Reading an `environment.yml` whose every package has version and build: `conda env export`'s, or our own.

Source: conda documentation, "Managing environments" (`channels`, `dependencies`, `pip:`, `nodefaults`) and
`models/match_spec.py` (`CHANNEL::NAME=VERSION=BUILD`); PEP 440 and PEP 508 for the lines of pip.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name

from envcap.conda.channel import SUBDIR, channel_name, channel_url, split_url
from envcap.conda.listed import (
    HINT,
    INSTALL_HINT,
    ExactEnvironment,
    ExactPin,
    ExactSpec,
    ListedChannel,
    ListedWheel,
    named,
    sorted_wheels,
)
from envcap.errors import LockfileError

DEFAULTS = ("pkgs/main", "pkgs/r")
"""What conda calls `defaults` on Linux (`base/constants.py`, DEFAULT_CHANNELS_UNIX)."""

MAX_CHANNELS = 50
"""Channels that are asked for every package; conda's own users name a handful."""

_SPEC = re.compile(
    r"(?:(?P<channel>[^\s\[\]]{1,500})::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]{0,120})\s?={1,2}"
    r"(?P<version>[A-Za-z0-9_.!+]{1,80})=(?P<build>[A-Za-z0-9_.+]{1,80})\Z"
)
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,120}[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]{0,200}\])?\s?==\s?"
    r"(?P<version>[A-Za-z0-9.!+_-]{1,80})\Z"
)
_DIRECT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,120})(?:\[[A-Za-z0-9._, -]{0,200}\])?\s?@\s?(?P<url>https://[^\s#]{1,2000})"
    r"(?:#sha256=(?P<sha256>[0-9a-f]{64}))?\Z"
)
_BESIDE = re.compile(
    r"\./(?P<path>(?:[A-Za-z0-9_.+!-]{1,100}/){0,3}(?P<name>[A-Za-z0-9._]{1,120})-[A-Za-z0-9_.+!-]{1,200}\.whl)\Z"
)
_EXACT_HINT = (
    "export it with exact builds (`conda env export` without `--no-builds`), or install it and take a snapshot"
)
_TAKEN = frozenset({"name", "channels", "dependencies", "prefix", "platforms"})


def read_environment_file(document: Mapping[object, object], *, name: str) -> ExactEnvironment:
    """Read an environment that leaves nothing to a solver.

    Args:
        document: The parsed file.
        name: Its name, for messages.

    Raises:
        LockfileError: A package is not exact, or named twice.
    """
    rows, channels = document.get("dependencies"), _channels(document.get("channels"))
    if len(channels) > MAX_CHANNELS:
        raise LockfileError(f"{name} names {len(channels)} channels (expected {MAX_CHANNELS} at most)")
    specs: dict[str, ExactSpec] = {}
    lines: list[object] = []
    inexact: list[str] = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and list(row) == ["pip"] and isinstance(row["pip"], list):
            lines += row["pip"]
        elif not isinstance(row, str) or not (match := _SPEC.match(row.strip())):
            inexact.append(row if isinstance(row, str) else "a table")
        elif (project := match["name"].lower()) in specs:
            raise LockfileError(f"{name} names {project!r} twice (expected each package once)", hint=HINT)
        else:
            channel = _channel(match["channel"]) if match["channel"] else None
            specs[project] = ExactSpec(name=project, version=match["version"], build=match["build"], channel=channel)
    if inexact:
        raise LockfileError(
            f"{name} leaves to a solver: {_scrubbed(inexact)} (expected NAME=VERSION=BUILD)", hint=_EXACT_HINT
        )
    pins, wheels = _pip(lines, name)
    return ExactEnvironment(
        channels=channels,
        specs=tuple(specs[project] for project in sorted(specs)),
        pins=tuple(sorted(pins, key=lambda pin: pin.name)),
        pip=sorted_wheels(wheels),
        ignored=tuple(sorted({str(key)[:40] for key in document} - _TAKEN)),
    )


def _pip(lines: Iterable[object], name: str) -> tuple[list[ExactPin], list[ListedWheel]]:
    pins: list[ExactPin] = []
    wheels: list[ListedWheel] = []
    refused: list[str] = []
    for line in lines:
        text = line.strip() if isinstance(line, str) else "a table"
        if match := _PIN.match(text):
            pins.append(ExactPin(name=canonicalize_name(match["name"]), version=match["version"]))
        elif match := _DIRECT.match(text):
            wheels.append(ListedWheel(name=match["name"], url=match["url"], sha256=match["sha256"] or ""))
        elif match := _BESIDE.match(text):  # as our own export lays what no index has
            file = match["path"].rpartition("/")[2]
            wheels.append(ListedWheel(name=match["name"], url=file, file=file, path=match["path"]))
        else:
            refused.append(text)
    if refused:
        raise LockfileError(
            f"{name} has pip look for: {_scrubbed(refused)} (expected NAME==VERSION or NAME @ URL of a wheel)",
            hint=INSTALL_HINT,
        )
    times = Counter([*(pin.name for pin in pins), *(canonicalize_name(wheel.name) for wheel in wheels)])
    if twice := sorted(project for project, count in times.items() if count > 1):
        raise LockfileError(f"{name} names {named(twice)} twice (expected each package once)", hint=HINT)
    return pins, wheels


def _channels(rows: object) -> tuple[ListedChannel, ...]:
    found: dict[str, ListedChannel] = {}
    for row in rows if isinstance(rows, list) else []:
        names = DEFAULTS if row == "defaults" else (row,)
        for text in names:
            if isinstance(text, str) and text and text != "nodefaults":
                channel = _channel(text)
                found.setdefault(channel.name, channel)
    return tuple(found.values())


def _channel(text: str) -> ListedChannel:
    base, _, last = text.rstrip("/").rpartition("/")
    if base and last in {"noarch", "linux-64", "linux-aarch64"} and SUBDIR.match(last):
        text = base
    return ListedChannel(name=channel_name(channel_url(text) if "://" in text else text), url=_url(text))


def _url(text: str) -> str:
    return channel_url(text) if "://" in text and split_url(text).scheme in {"http", "https", "file"} else ""


def _scrubbed(texts: Iterable[str]) -> str:
    """Name lines, but no address in them: it may hold a token."""
    return named(re.sub(r"\S{0,500}://\S*", "URL", text) for text in texts)

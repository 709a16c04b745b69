"""What docker's and podman's `info` say that matters for running a container. Pure.

Source: Docker Engine API, SystemInfo (`Name`, `SecurityOptions`, `Runtimes`, `MemTotal`, `CDISpecDirs`, and in newer
ones `DiscoveredDevices`); podman-info(1).
"""

import json
from dataclasses import dataclass

_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself.

    Attributes:
        host: Name of its machine, only to tell whether it is this one; shown to nobody.
        rootless: Whether it runs without root.
        memory: Bytes of the memory of its machine, 0 if it does not say.
        runtimes: Names of its OCI runtimes (docker only).
        cdi_folders: Where it looks for CDI specifications; empty where CDI is off (docker only).
        cdi_devices: CDI devices that it found by itself: `nvidia.com/gpu=all`.
    """

    host: str = ""
    rootless: bool = False
    memory: int = 0
    runtimes: frozenset[str] = frozenset()
    cdi_folders: tuple[str, ...] = ()
    cdi_devices: frozenset[str] = frozenset()


def parse_info(text: str) -> EngineFacts | None:
    """Read the JSON of `docker info` or `podman info`; None if it is neither, or if no engine answered.

    docker prints what the client knows and exits with 0 where no daemon answers: then the server's part is missing.
    """
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(info, dict) or info.get("ServerErrors"):
        return None
    host = info.get("host")
    return _of_podman(host) if isinstance(host, dict) else _of_docker(info)


def _of_docker(info: dict[str, object]) -> EngineFacts | None:
    if not info.get("ServerVersion"):
        return None
    runtimes = info.get("Runtimes")
    found = (row for row in _list(info.get("DiscoveredDevices")) if isinstance(row, dict))
    return EngineFacts(
        host=_text(info.get("Name")),
        rootless="name=rootless" in _texts(info.get("SecurityOptions")),
        memory=_number(info.get("MemTotal")),
        runtimes=frozenset(runtimes if isinstance(runtimes, dict) else ()),
        cdi_folders=_texts(info.get("CDISpecDirs")),
        cdi_devices=frozenset(_texts([row.get("ID") for row in found if row.get("Source") == "cdi"])),
    )


def _of_podman(host: dict[str, object]) -> EngineFacts:
    security = host.get("security")
    return EngineFacts(
        host=_text(host.get("hostname")),
        rootless=isinstance(security, dict) and security.get("rootless") is True,
        memory=_number(host.get("memTotal")),
    )


def _list(value: object) -> list[object]:
    return value[:_MOST] if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in _list(value) if isinstance(one, str))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

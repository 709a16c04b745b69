"""JSON that registries send, read strictly. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from envcap.errors import RegistryError
from envcap.strict_json import StrictJsonError, parse_object

MAX_MANIFEST: Final = 4 << 20
"""Bytes: distribution-spec 1.1, "Pushing Manifests": registries should accept this much, and we take no more."""


class JsonError(RegistryError):
    """A text is no such JSON."""


def read_json(data: bytes, what: str) -> dict[str, object]:
    """Read one object.

    Args:
        data: Its bytes.
        what: For messages: what it is and who sent it.

    Raises:
        JsonError: It is not UTF-8, no JSON, no object, or has a name twice.
    """
    try:
        return parse_object(data, limit=MAX_MANIFEST)
    except StrictJsonError as error:
        raise JsonError(f"{what} is not strict JSON: {error}") from None


def refuse_twins(table: Mapping[str, object], known: Collection[str], what: str) -> None:
    """Refuse names that differ from a known one in case only: Go's reader takes `Layers` for `layers`.

    Raises:
        JsonError: There is one.
    """
    folded = {name.lower(): name for name in known}
    for name in table:
        if name not in known and name.lower() in folded:
            raise JsonError(f"{what}: unexpected name {name[:40]!r} (expected {folded[name.lower()]!r})")

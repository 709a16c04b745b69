"""What a registry answered, where it was not what was asked for. No httpx here.

Source: OCI distribution-spec 1.1, "Error Codes".
"""

import re
from typing import Final

from envcap.errors import RegistryError
from envcap.registry.strict_json import JsonError, read_json
from envcap.secrets.urls import scrub_text

NOT_FOUND: Final = 404
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_ERROR_BODY: Final = 64 << 10

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,63}\Z")


class RegistryAnswerError(RegistryError):
    """A registry answered with another status, broke off, or did not answer.

    Attributes:
        status: HTTP status, or 0 where there was no whole answer.
        code: The first error code of the answer, such as `MANIFEST_UNKNOWN`, or empty.
        is_transient: Whether the same question may be answered later.
        retry_after: Seconds that the registry asks to wait, or 0.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        code: str = "",
        is_transient: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.is_transient = is_transient
        self.retry_after = retry_after

    @property
    def is_not_found(self) -> bool:
        """Whether the registry says that there is no such thing."""
        return self.status == NOT_FOUND


def read_error_body(data: bytes) -> tuple[str, str]:
    """Give code and message of an answer's first error, both empty where it has none that can be read."""
    try:
        errors = read_json(data, "an error").get("errors")
    except JsonError:
        return "", ""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    code, message = first.get("code"), first.get("message")
    return (
        code if isinstance(code, str) and _CODE.match(code) else "",
        scrub_text(message) if isinstance(message, str) else "",
    )


def status_hint(status: int, host: str, *, has_login: bool = False) -> str:
    """Say what may help; `has_login` if a login of this machine was shown and refused."""
    refused = "the login for it on this machine is refused: " if has_login else ""
    return {
        401: f"{refused}log in with `docker login {host}` or `podman login {host}`",
        403: f"ask for the right to this repository, or log in as another user with `docker login {host}`",
        404: "check the name and the tag",
        405: "it takes no pushes now (read-only), or something else than a registry answers there",
        413: "the registry, or a proxy before it, limits the size of uploads: ask its administrator",
        429: "the registry limits how often it is asked: wait a while, then run it again",
        507: "the registry's disk is full: ask its administrator",
    }.get(status, "run it again later, or look into the registry's log" if status >= 500 else "")  # noqa: PLR2004

"""`registry.example.org/lab/ml:2026-11` and `…@sha256:…`: names of what a registry holds. Pure.

Source: OCI distribution-spec 1.1, "Pulling manifests" (names and tags), and the grammar of the `reference` package of
distribution for the host. There is no default registry: a name without a host would mean another thing to other tools.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from envcap.digest import Digest
from envcap.errors import DigestError, UsageError
from envcap.registry.docker_hub import normal_name

DEFAULT_TAG: Final = "latest"

_LONGEST: Final = 512
_LONGEST_NAME: Final = 255
_HIGHEST_PORT: Final = 65535
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]{{2,39}}\])(?::(?P<port>[0-9]{{1,5}}))?\Z")
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_USERINFO: Final = re.compile(r"(?P<scheme>[a-z]+:/{1,2})?(?P<user>[^/]*)@(?!sha[0-9]+:)(?P<host>[^/@]*)")
_EXAMPLE: Final = "write it like `registry.example.org/lab/ml:2026-11`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A repository of a registry, and what of it is meant.

    Attributes:
        host: Host, lower case, with the port if one was said.
        repository: Name below the host, such as `lab/ml`.
        tag: A name that can move, or empty.
        digest: A manifest's digest, or None. Where there is one, the tag is only for people.
    """

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def target(self) -> str:
        """What to ask for: the digest, else the tag, else the tag that other tools take for granted."""
        return str(self.digest) if self.digest else self.tag or DEFAULT_TAG

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference.

        Raises:
            UsageError: The text is none.
        """
        refuse_userinfo(text)
        if len(text) > _LONGEST or not text.isascii() or not text.isprintable():
            raise UsageError(f"Unexpected reference {text[:100]!r} (expected at most {_LONGEST} ASCII characters)")
        if "://" in text:
            raise UsageError(
                f"Unexpected reference {text!r} (expected no scheme)", hint=f"write `{text.partition('://')[2]}`"
            )
        rest, at, digest = text.partition("@")
        host, slash, path = rest.partition("/")
        if not slash or not _looks_like_host(host):
            raise UsageError(f"Reference {text!r} names no registry", hint=_EXAMPLE)
        repository, colon, tag = path.partition(":")
        _check(text, host.lower(), repository, tag if colon else None)
        host, repository = normal_name(host.lower(), repository)
        return cls(host=host, repository=repository, tag=tag, digest=_read_digest(text, digest) if at else None)

    def at(self, digest: Digest) -> Self:
        """Name one manifest of the same repository for ever."""
        return replace(self, digest=digest)


def refuse_userinfo(text: str) -> None:
    """Refuse what holds a password, before anything repeats it.

    Args:
        text: A reference or URL; `Path` makes one slash of two.

    Raises:
        UsageError: It begins with `USER:PASSWORD@`, or with something before the `@` of a host.
    """
    found = _USERINFO.match(text)
    if found and (found["scheme"] or ":" in found["user"] or _looks_like_host(found["host"])):
        raise UsageError(
            f"A reference has no user name or password (found {len(found['user'])} characters before `@`)",
            hint="log in with `docker login` or `podman login`, then leave them out",
        )


def check_tag(tag: str) -> None:
    """Refuse what is no tag.

    Raises:
        UsageError: It is none.
    """
    if not _TAG.match(tag):
        raise UsageError(
            f"Unexpected tag {tag[:140]!r} (expected letters, digits, `_`, `.` and `-`, at most 128 characters)"
        )


def check_repository(repository: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        UsageError: It is none.
    """
    if len(repository) > _LONGEST_NAME or not _REPOSITORY.match(repository):
        raise UsageError(
            f"Unexpected repository {repository[:100]!r} (expected lower-case letters and digits, with `.`, `_` or `-`"
            " between them and `/` between parts)"
        )


def _check(text: str, host: str, repository: str, tag: str | None) -> None:
    found = _HOST.match(host)
    if found is None or int(found["port"] or 1) not in range(1, _HIGHEST_PORT + 1):
        raise UsageError(f"Unexpected host {host!r} in reference {text!r}", hint=_EXAMPLE)
    check_repository(repository)
    if len(host) + 1 + len(repository) > _LONGEST_NAME:
        # distribution-spec: many clients limit host and name together to 255 characters.
        raise UsageError(f"Host and name of {text!r} are longer than {_LONGEST_NAME} characters")
    if tag is not None:
        check_tag(tag)


def _read_digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except DigestError as error:
        raise UsageError(f"{error.message} in reference {text[:100]!r}") from None


def _looks_like_host(part: str) -> bool:
    """Tell a host from the first part of a name, as docker and podman do."""
    return part.lower() == "localhost" or any(character in part for character in ".:[")

"""Reading files of a mirror, by http(s) or from a local folder, streamed and bounded.

Nothing read here is trusted: its reader checks the hash or the signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

from envcap.digest import CHUNK_SIZE
from envcap.errors import MissingArtifactError, SourceError
from envcap.lazy import lazy_module
from envcap.secrets.urls import scrub_url
from envcap.sources.guard import is_inner_host

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

_REDIRECTS: Final = 5
_ABSENT: Final = (403, 404, 410)
"""Some mirrors in front of object storage answer 403 for what isn't there."""


class Transport(Protocol):
    """Gives the bytes behind an address."""

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        """Yield the bytes in order.

        Args:
            url: http, https or file address.
            limit: Most bytes to read.

        Raises:
            MissingArtifactError: It isn't there.
            SourceError: The mirror fails, or sends more than the limit.
        """


class MirrorTransport:
    """The transport of a real machine.

    Attributes:
        client: Made by the command line, with its proxies and time limits; redirects are followed by us.
    """

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        """Yield the bytes in order; see `Transport`."""
        total = 0
        for chunk in _read_folder(url) if url.startswith("file:") else self._read_server(url):
            total += len(chunk)
            if total > limit:
                raise SourceError(f"Unexpected length of {scrub_url(url)} (expected at most {limit} bytes)")
            yield chunk

    def _read_server(self, url: str) -> Iterator[bytes]:
        try:
            # identity: the hashes are those of the files as they lie there; a .gz must not be unpacked on the way.
            with closing(self._answer(url)) as response:
                if response.status_code in _ABSENT:
                    raise MissingArtifactError(f"{scrub_url(url)} is not there (status {response.status_code})")
                if response.status_code != httpx.codes.OK:
                    raise SourceError(f"Unexpected answer from {scrub_url(url)}: status {response.status_code}")
                yield from response.iter_raw(CHUNK_SIZE)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(
                f"Can't read {scrub_url(url)}: {type(error).__name__}",
                hint="check the network and the mirror, or set ENVCAP_DEBIAN_MIRROR to another one",
            ) from error

    def _answer(self, url: str) -> httpx.Response:
        """Ask, and follow redirects: none from a public host to an address of our own network."""
        request = self.client.build_request("GET", url, headers={"Accept-Encoding": "identity"})
        for _ in range(_REDIRECTS + 1):
            response = self.client.send(request, stream=True, follow_redirects=False)
            following = response.next_request
            if following is None:
                return response
            response.close()
            is_web = following.url.scheme in {"http", "https"}
            if not is_web or (is_inner_host(following.url.host) and not is_inner_host(request.url.host)):
                raise SourceError(
                    f"{scrub_url(str(request.url))} redirects to an address of this machine or network: not followed",
                    hint="if that is where the files are, configure that address itself",
                )
            request = following
        raise SourceError(f"{scrub_url(url)} redirects more than {_REDIRECTS} times")


def _read_folder(url: str) -> Iterator[bytes]:
    path = Path(unquote(urlsplit(url).path))
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_SIZE):
                yield chunk
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingArtifactError(f"{scrub_url(url)} is not there") from error
    except OSError as error:
        raise SourceError(f"Can't read {scrub_url(url)}: {error.strerror}") from error


def read_all(transport: Transport, url: str, *, limit: int) -> bytes:
    """Read a small file whole.

    Raises:
        MissingArtifactError: It isn't there.
        SourceError: The mirror fails, or sends more than the limit.
    """
    return b"".join(transport.stream(url, limit=limit))

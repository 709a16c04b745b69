"""Redirects of a mirror: followed, but never from a public host into our own network."""

from collections.abc import Mapping

import httpx
import pytest

from envcap.errors import SourceError
from envcap.sources.debian_transport import MirrorTransport, read_all

START = "https://mirror.example.org/file"


def transport(locations: Mapping[str, str]) -> MirrorTransport:
    """A client whose servers redirect as told, and answer `data` everywhere else."""

    def answer(request: httpx.Request) -> httpx.Response:
        location = locations.get(str(request.url))
        if location:
            return httpx.Response(302, headers={"Location": location})
        return httpx.Response(200, content=iter([b"data"]))  # as a stream, which is read once

    return MirrorTransport(httpx.Client(transport=httpx.MockTransport(answer), trust_env=False))


@pytest.mark.parametrize(
    "locations",
    [
        {START: "/elsewhere"},
        {START: "https://other.example.org/file"},
        {START: "https://a.example.org/", "https://a.example.org/": "https://b.example.org/"},
    ],
)
def test_a_redirect_between_public_hosts_is_followed(locations: Mapping[str, str]) -> None:
    assert read_all(transport(locations), START, limit=9) == b"data"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "10.0.0.7", "169.254.169.254", "[::1]", "2130706433"])
def test_a_redirect_into_our_own_network_is_refused(host: str) -> None:
    locations = {START: "https://b.example.org/", "https://b.example.org/": f"http://{host}/secret"}

    with pytest.raises(SourceError, match="redirects to an address of this machine or network: not followed"):
        read_all(transport(locations), START, limit=9)


def test_an_inner_mirror_may_redirect_to_another() -> None:
    start = "http://10.0.0.7/file"

    assert read_all(transport({start: "http://10.0.0.8/file"}), start, limit=9) == b"data"


def test_a_circle_of_redirects_ends() -> None:
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        read_all(transport({START: START}), START, limit=9)


def test_a_redirect_to_a_file_is_an_error() -> None:
    with pytest.raises(SourceError, match="redirects to an address of this machine"):
        read_all(transport({START: "file:///etc/passwd"}), START, limit=9)

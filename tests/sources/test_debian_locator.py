"""Where a locked package is fetched."""

import hashlib
import io
from pathlib import Path

import httpx
import pytest

from envcap.errors import MissingArtifactError
from envcap.lockfile.model import Source, SystemPackage
from envcap.sources.debian_locator import fetch_deb, locate_deb
from envcap.sources.debian_settings import DebianMirror, DebianMirrors
from envcap.sources.debian_transport import MirrorTransport

DATA = b"!<arch>\n"
MIRRORS = DebianMirrors(
    main=(DebianMirror(uri="http://one.example.org/debian"), DebianMirror(uri="http://two.example.org/debian")),
    security=(DebianMirror(uri="http://one.example.org/security"),),
    snapshot="https://own.example.org/@ARCHIVE@/@SNAPSHOTID@/",
)


def package(source: str = "debian-bookworm", file: str = "pool/main/t/tool/tool_1.0+b~1_amd64.deb") -> SystemPackage:
    return SystemPackage(
        name="tool",
        version="1.0",
        architecture="amd64",
        platform="linux/amd64",
        source=source,
        file=file,
        size=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        because=(),
    )


def source(suite: str, snapshot: str = "") -> Source:
    return Source(name="debian-bookworm", kind="debian", suite=suite, release=1_700_000_000, snapshot=snapshot)


def test_mirrors_come_first_and_the_snapshot_archive_last() -> None:
    template = "https://snapshot.example.org/@SNAPSHOTID@/"
    urls = list(locate_deb(package(), mirrors=MIRRORS, sources=[source("bookworm", template)]))
    path = "pool/main/t/tool/tool_1.0+b~1_amd64.deb"
    assert urls == [
        f"http://one.example.org/debian/{path}",
        f"http://two.example.org/debian/{path}",
        f"https://own.example.org/debian/20231114T221320Z/{path}",
        f"https://snapshot.example.org/20231114T221320Z/{path}",
    ]


def test_security_updates_come_from_security_mirrors() -> None:
    urls = list(locate_deb(package(), mirrors=MIRRORS, sources=[source("bookworm-security")]))
    assert [url.partition("pool")[0] for url in urls] == [
        "http://one.example.org/security/",
        "https://own.example.org/debian-security/20231114T221320Z/",
    ]


def test_a_path_cannot_become_a_query() -> None:
    url = next(locate_deb(package(file="pool/a?b#c.deb"), mirrors=MIRRORS, sources=[]))
    assert url == "http://one.example.org/debian/pool/a%3Fb%23c.deb"


def test_the_first_address_with_the_right_bytes_is_used(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"evil")
    (tmp_path / "right").write_bytes(DATA)
    urls = [(tmp_path / name).as_uri() for name in ("missing", "wrong", "right")]
    file = io.BytesIO()
    with httpx.Client() as client:
        assert fetch_deb(package(), urls, transport=MirrorTransport(client), file=file) == urls[2]
    assert file.getvalue() == DATA


def test_the_error_says_what_each_address_had(tmp_path: Path) -> None:
    (tmp_path / "longer").write_bytes(DATA + b"x")
    urls = [(tmp_path / name).as_uri() for name in ("missing", "longer")]
    with httpx.Client() as client, pytest.raises(MissingArtifactError, match=r"missing is not there.*has other bytes"):
        fetch_deb(package(), urls, transport=MirrorTransport(client), file=io.BytesIO())

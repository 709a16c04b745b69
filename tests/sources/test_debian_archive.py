"""Opening suites of an archive on disk: Release, indexes, caches."""

import hashlib
import lzma
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from envcap.errors import MissingArtifactError, SourceError, SystemPackageError
from envcap.sources.debian_archive import DebianAccess, compare_key, open_suite
from envcap.sources.debian_release import fetch_release
from envcap.sources.debian_settings import DebianMirror, DebianMirrors
from envcap.sources.debian_transport import MirrorTransport
from tests.lock.debian_archive import NOW, Deb, Machine, Pocket, build_archive, clearsign, no_tools
from tests.sources.index_cache import MemoryCache

TOOL = Deb(name="tool", version="1:2.0-1", source="tools", depends="libc6 (>= 2)", provides="thing (= 2), other")


def machine(root: Path, *pockets: Pocket) -> Machine:
    build_archive(root, *pockets)
    return Machine(root=root)


@pytest.mark.parametrize("by_hash", [True, False])
def test_a_package_is_found_with_all_its_fields(tmp_path: Path, *, by_hash: bool) -> None:
    suite = machine(tmp_path, Pocket(suite="bookworm", debs=(TOOL,), by_hash=by_hash)).open()
    (package,) = suite.versions("tool")
    assert (package.version, package.source, package.depends) == ("1:2.0-1", "tools", "libc6 (>= 2)")
    assert package.file == "pool/main/t/tool/tool_2.0-1_amd64.deb"
    assert package.size == (tmp_path / package.file).stat().st_size
    assert suite.providers("thing") == (("tool", "2"),)
    assert suite.providers("other") == (("tool", ""),)
    assert suite.versions("nonsuch") == suite.versions("too") == suite.versions("tool1") == ()


def test_by_hash_is_optional_for_a_mirror_that_claims_it(tmp_path: Path) -> None:
    built = machine(tmp_path, Pocket(suite="bookworm", debs=(TOOL,), by_hash=True))
    for path in tmp_path.glob("dists/**/by-hash/SHA256/*"):
        path.unlink()
    assert built.open().versions("tool")


def test_versions_of_all_pockets_come_highest_first(tmp_path: Path) -> None:
    suite = machine(
        tmp_path,
        Pocket(suite="bookworm", debs=(Deb(name="xy", version="1.0-1"),)),
        Pocket(suite="bookworm-security", debs=(Deb(name="xy", version="1.0-1+deb12u10"),)),
        Pocket(suite="bookworm-updates", debs=(Deb(name="xy", version="1.0-1+deb12u9"),)),
    ).open()
    assert [package.version for package in suite.versions("xy")] == ["1.0-1+deb12u10", "1.0-1+deb12u9", "1.0-1"]
    assert suite.versions("xy")[0].suite == "bookworm-security"


def test_pockets_that_no_mirror_has_are_findings(tmp_path: Path) -> None:
    suite = machine(tmp_path, Pocket(suite="bookworm", debs=(TOOL,))).open()
    assert [finding.code for finding in suite.findings].count("debian-pocket-missing") == 2


def test_a_suite_that_no_mirror_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match="No Debian mirror has the suite trixie"):
        machine(tmp_path, Pocket(suite="bookworm", debs=(TOOL,))).open("trixie")


def test_an_architecture_that_the_suite_lacks_is_an_error(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(TOOL,)), architectures=["amd64"])
    with pytest.raises(SystemPackageError, match="binary-arm64"):
        Machine(root=tmp_path).open(architecture="arm64")


def test_an_index_with_other_bytes_than_the_release_file_says_is_refused(tmp_path: Path) -> None:
    built = machine(tmp_path, Pocket(suite="bookworm", debs=(TOOL,)))
    path = tmp_path / "dists/bookworm/main/binary-amd64/Packages.xz"
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()).replace(b"tool", b"evil")))
    with pytest.raises(SourceError, match="Unexpected content"):
        built.open()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Filename", "../../etc/passwd.deb"),
        ("Filename", "/etc/x.deb"),
        ("Filename", "pool/./x.deb"),
        ("Filename", "pool/a b.deb"),
        ("SHA256", "abc"),
        ("Size", "-1"),
        ("Size", "99999999999999"),
        ("Version", "1.0 evil"),
    ],
)
def test_a_hostile_paragraph_is_refused_when_it_is_looked_up(tmp_path: Path, field: str, value: str) -> None:
    deb = Deb(name="tool", files={})
    built = machine(tmp_path, Pocket(suite="bookworm", debs=(deb,)))
    path = tmp_path / "dists/bookworm/main/binary-amd64/Packages.xz"
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    text = "".join(f"{field}: {value}\n" if line.startswith(f"{field}:") else f"{line}\n" for line in lines)
    path.write_bytes(lzma.compress(text.encode()))
    rewrite_release(tmp_path, path)
    with pytest.raises(SourceError, match=f"Unexpected {field}"):
        built.open().versions("tool")


def rewrite_release(root: Path, index: Path) -> None:
    """Let the Release file list what an index holds now."""
    release = root / "dists/bookworm/InRelease"
    name = str(index.relative_to(release.parent))
    data = index.read_bytes()
    row = f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}"
    lines = [row if line.endswith(name) else line for line in release.read_text().splitlines()]
    release.write_text("\n".join(lines) + "\n")


class Counting:
    """A cache that counts what it gave."""

    def __init__(self) -> None:
        self.tables: dict[str, bytes] = {}
        self.hits = 0

    def get(self, key: str) -> bytes | None:
        self.hits += key in self.tables
        return self.tables.get(key)

    def put(self, key: str, data: bytes) -> None:
        self.tables[key] = data


def test_an_index_is_parsed_once(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(TOOL,)))
    cache = Counting()
    first = Machine(root=tmp_path, cache=cache).open().versions("tool")
    (tmp_path / "dists/bookworm/main/binary-amd64/Packages.xz").unlink()
    assert Machine(root=tmp_path, cache=cache).open().versions("tool") == first
    assert (len(cache.tables), cache.hits) == (1, 1)


def test_contents_tell_libraries_in_the_linkers_folders_from_others(tmp_path: Path) -> None:
    debs = (
        Deb(name="odd1", libraries=("libodd.so.1",)),
        Deb(name="odd-dev", libraries=("libodd.so.1",)),
        Deb(name="alt", libraries=("libodd.so.1",), folder="alt"),
        Deb(name="deep", libraries=("libodd.so.1",), folder="deep/er"),
        Deb(name="old", files={"lib/libold.so.2": b""}),
    )
    contents = machine(tmp_path, Pocket(suite="bookworm", debs=debs)).open().contents()
    assert contents.holders("libodd.so.1") == ("odd1",)
    assert contents.alternatives("libodd.so.1") == ("alt",)
    assert contents.holders("libold.so.2") == ("old",)


def release_of(root: Path, now: int = NOW, suite: str = "bookworm") -> tuple[str, int, str, list[str]]:
    with httpx.Client() as client:
        mirrors = [DebianMirror(uri=root.as_uri())]
        release, findings = fetch_release(MirrorTransport(client), mirrors, suite, run=no_tools, now=now)
    return release.signature, release.date, release.snapshot, [finding.code for finding in findings]


def test_a_release_files_date_and_snapshot_template_are_kept(tmp_path: Path) -> None:
    template = "https://snapshot.example.org/archive/debian/@SNAPSHOTID@/"
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(), date=1_600_000_000, snapshots=template))
    assert release_of(tmp_path) == ("unchecked", 1_600_000_000, template, ["debian-unchecked"])


def test_an_outdated_release_file_is_a_finding(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(), valid_until=NOW))
    assert release_of(tmp_path, now=NOW)[3] == ["debian-unchecked"]
    assert release_of(tmp_path, now=NOW + 1)[3] == ["debian-unchecked", "debian-outdated"]


def test_a_release_file_of_another_suite_is_refused(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", codename="buster", debs=()))
    with pytest.raises(SourceError, match="expected bookworm, found 'buster'"):
        release_of(tmp_path)


def test_an_archive_of_somebody_else_is_passed_over(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", origin="Raspbian", debs=()))
    with pytest.raises(MissingArtifactError, match="No Debian mirror"):
        release_of(tmp_path)


def test_a_release_file_without_a_date_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dists" / "bookworm"
    folder.mkdir(parents=True)
    (folder / "InRelease").write_text(clearsign("Origin: Debian\nCodename: bookworm\n"))
    with pytest.raises(SourceError, match="Unexpected date"):
        release_of(tmp_path)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; answers 403, 500 or half a file where the path says so."""

    def do_GET(self) -> None:
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2].partition("?")[0]))
        elif self.path.startswith("/half"):
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"12345")
        else:
            super().do_GET()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://me:hunter2@127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def read(url: str, limit: int = 100) -> bytes:
    with httpx.Client(trust_env=False) as client:
        return b"".join(MirrorTransport(client).stream(f"{url}?token=abc", limit=limit))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/missing", MissingArtifactError),
        ("/status/403", MissingArtifactError),
        ("/status/500", SourceError),
        ("/half", SourceError),
    ],
)
def test_a_servers_answers_become_our_errors_without_secrets(server: str, path: str, error: type[SourceError]) -> None:
    with pytest.raises(SourceError) as caught:
        read(server + path)
    assert type(caught.value) is error
    assert "hunter2" not in caught.value.message
    assert "abc" not in caught.value.message


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match="ConnectError"):
        read("http://127.0.0.1:9/x")


def test_a_body_longer_than_its_limit_is_refused(server: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 100)
    assert read(f"{server}/x") == b"x" * 100
    with pytest.raises(SourceError, match="at most 99 bytes"):
        read(f"{server}/x", limit=99)


def test_a_suite_is_read_from_a_server(server: str, tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(TOOL,), by_hash=True))
    mirror = DebianMirror(uri=server)
    with httpx.Client(trust_env=False) as client:
        access = DebianAccess(
            mirrors=DebianMirrors(main=(mirror,), security=(mirror,)),
            transport=MirrorTransport(client),
            cache=MemoryCache(),
            run=no_tools,
            now=NOW,
        )
        suite = open_suite(access, "bookworm", "amd64")
        assert suite.versions("tool")[0].version == "1:2.0-1"
        assert suite.contents().holders("libodd.so.1") == ()


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with httpx.Client() as client, pytest.raises(SourceError, match="Can't read"):
        list(MirrorTransport(client).stream(tmp_path.as_uri(), limit=1))


@pytest.mark.parametrize(
    ("lower", "higher"), [("1.0~rc1", "1.0"), ("1.0-1", "1.0-1+b1"), ("2.0", "1:1.0"), ("1.9", "1.10"), ("1a", "1+")]
)
def test_versions_are_ordered_as_debian_orders_them(lower: str, higher: str) -> None:
    assert compare_key(lower) < compare_key(higher)


def test_what_is_no_version_is_an_error() -> None:
    with pytest.raises(SystemPackageError, match="Unexpected Debian version"):
        compare_key("not a version")

"""Indexes on servers and in folders give the same answer."""

from hashlib import sha256
from pathlib import Path

import pytest

from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session
from envcap.sources.index import IndexReader
from envcap.sources.location import IndexLocation
from envcap.sources.settings import IndexSettings
from tests.sources.index_server import Fault, Index, serve

NAME = "my_demo-1.0-py3-none-any.whl"


def names(reader: IndexReader, index: IndexLocation, project: str = "My.Demo") -> list[str]:
    return [file.filename for file in reader.files(index, project, meter=Meter())]


def reader_of(*indexes: IndexLocation) -> IndexReader:
    return IndexReader(Session(IndexSettings(indexes=indexes), sleep=lambda _: None))


def test_a_server_is_asked_for_the_normalised_name() -> None:
    with serve(Index()) as server:
        server.add("my-demo", NAME, b"x")
        index = IndexLocation(name="pypi", url=server.simple)
        reader = reader_of(index)
        with reader.session:
            assert names(reader, index) == [NAME]
            assert names(reader, index, "absent") == []
        assert "vnd.pypi.simple.v1+json" in server.requests[0].headers["accept"]


def test_a_find_links_page_is_read_once() -> None:
    with serve(Index()) as server:
        server.pages["/links.html"] = ("text/html", f'<a href="{NAME}">x</a><a href="other-1.zip">y</a>'.encode())
        index = IndexLocation(name="links", url=f"{server.url}/links.html", kind="find-links")
        reader = reader_of(index)
        with reader.session:
            assert names(reader, index) == names(reader, index) == [NAME, "other-1.zip"]
        assert len(server.requests) == 1


def test_a_refusal_is_told() -> None:
    with serve(Index()) as server:
        server.always["/simple/my-demo/"] = Fault(status=403)
        index = IndexLocation(name="pypi", url=server.simple)
        reader = reader_of(index)
        with reader.session, pytest.raises(AnswerError) as caught:
            names(reader, index)
    assert "credentials" in caught.value.hint


def test_a_folder_with_pages_is_an_index(tmp_path: Path) -> None:
    page = tmp_path / "simple/my-demo/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../files/{NAME}#sha256={sha256(b"x").hexdigest()}">x</a><a href="gone-1.zip">y</a>')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / NAME).write_bytes(b"x")
    index = IndexLocation(name="local", url=(tmp_path / "simple").as_uri())
    reader = reader_of(index)
    with reader.session:
        files = reader.files(index, "my-demo", meter=Meter())
        assert [(file.filename, file.size, file.local_path) for file in files] == [(NAME, 1, tmp_path / "files" / NAME)]
        assert names(reader, index, "absent") == []


def test_a_folder_of_files_and_a_single_file_are_find_links(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"xy")
    (tmp_path / "folder").mkdir()
    for url in (tmp_path.as_uri(), (tmp_path / NAME).as_uri()):
        index = IndexLocation(name="local", url=url, kind="find-links")
        reader = reader_of(index)
        with reader.session:
            assert [(file.filename, file.size) for file in reader.files(index, "x", meter=Meter())] == [(NAME, 2)]


def test_a_local_page_of_another_host_is_refused() -> None:
    index = IndexLocation(name="local", url="file://elsewhere.example.org/simple")
    reader = reader_of(index)
    with reader.session, pytest.raises(Exception, match="path of this machine"):
        names(reader, index)

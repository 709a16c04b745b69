"""Project pages, friendly and hostile."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.sources.answer import AnswerError
from envcap.sources.location import IndexLocation, ProjectFile
from envcap.sources.simple import HTML_TYPES, JSON_TYPE, parse_page

INDEX = IndexLocation(name="pypi", url="https://example.org/simple", is_default=True)
LOCAL = IndexLocation(name="local", url="file:///srv/simple")
PAGE = "https://example.org/simple/demo/"
SHA = "ab" * 32


def parse_json(*rows: object, index: IndexLocation = INDEX) -> tuple[ProjectFile, ...]:
    page = {"meta": {"api-version": "1.1"}, "files": list(rows)}
    return parse_page(json.dumps(page).encode(), JSON_TYPE, url=PAGE, index=index)


def parse_html(text: str, *, index: IndexLocation = INDEX, url: str = PAGE) -> tuple[ProjectFile, ...]:
    return parse_page(text.encode(), HTML_TYPES[1], url=url, index=index)


def row(**fields: object) -> dict[str, object]:
    return {"filename": "demo-1.0.tar.gz", "url": "/files/demo-1.0.tar.gz", "hashes": {"sha256": SHA}, **fields}


def test_all_that_json_says_is_read() -> None:
    fields = {"size": 7, "upload-time": "2024-01-02T03:04:05.6Z", "yanked": "bad", "core-metadata": True}
    assert parse_json(row(**fields)) == (
        ProjectFile(
            filename="demo-1.0.tar.gz",
            url="https://example.org/files/demo-1.0.tar.gz",
            sha256=SHA,
            size=7,
            upload_time="2024-01-02T03:04:05.6Z",
            yanked=True,
            index=INDEX,
        ),
    )


def test_the_keys_of_the_first_version_are_enough() -> None:
    assert parse_json(row())[0].size == -1
    assert parse_json(row(yanked=False))[0].yanked is False


@pytest.mark.parametrize(
    "hashes", [{}, {"md5": "0" * 32}, {"sha256": "ab"}, {"sha256": SHA.upper()}, {"sha256": 5}, {"sha512": "0" * 128}]
)
def test_weak_and_malformed_hashes_count_as_none(hashes: object) -> None:
    assert parse_json(row(hashes=hashes))[0].sha256 == ""


BAD_ROWS: list[object] = [
    row(filename="../../etc/passwd"),
    row(filename="a\n.whl"),
    row(filename=""),
    row(filename=5),
    row(filename="x" * 300),
    row(url="file:///etc/passwd"),
    row(url="javascript:alert(1)"),
    row(url="https://[broken/"),
    row(url="/" + "x" * 5000),
    row(url=5),
    row(hashes="sha256"),
    "text",
    None,
]


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_bad_row_is_left_out_and_the_others_stay(bad: object) -> None:
    assert len(parse_json(bad, row())) == 1


@pytest.mark.parametrize("size", [-1, 1.5, True, "7", 1 << 60])
def test_a_senseless_size_counts_as_none(size: object) -> None:
    assert parse_json(row(size=size))[0].size == -1


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"files": []}', b"[" * 100_000, b"\xff\xfe"])
def test_json_that_is_no_page_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_page(data, JSON_TYPE, url=PAGE, index=INDEX)


@pytest.mark.parametrize("version", ["2.0", "0.9", "x"])
def test_another_major_version_is_refused(version: str) -> None:
    page = {"meta": {"api-version": version}, "files": []}
    with pytest.raises(AnswerError, match="version"):
        parse_page(json.dumps(page).encode(), JSON_TYPE, url=PAGE, index=INDEX)
    with pytest.raises(AnswerError, match="version"):
        parse_html(f'<meta name="pypi:repository-version" content="{version}">')


def test_another_type_is_refused() -> None:
    with pytest.raises(AnswerError, match="expected JSON or HTML"):
        parse_page(b"", "text/plain", url=PAGE, index=INDEX)


def test_html_gives_names_hashes_and_yanks() -> None:
    text = (
        '<meta name="pypi:repository-version" content="1.0"><base href="https://files.example.org/x/">'
        f'<a href="demo-1.0%2Bcpu-py3-none-any.whl#sha256={SHA.upper()}" data-yanked>one</a>'
        '<a href="https://other.example.org/demo-1.0.tar.gz?a=b#md5=00">two</a><a name="x">no</a><a href="../">up</a>'
    )
    files = parse_html(text)
    assert [(file.filename, file.url, file.sha256, file.yanked) for file in files] == [
        ("demo-1.0+cpu-py3-none-any.whl", "https://files.example.org/x/demo-1.0%2Bcpu-py3-none-any.whl", SHA, True),
        ("demo-1.0.tar.gz", "https://other.example.org/demo-1.0.tar.gz?a=b", "", False),
    ]


def test_only_a_local_index_may_name_local_files() -> None:
    text = '<a href="file:///etc/demo-1.0.tar.gz">x</a><base href="file:///srv/">'
    assert parse_html(text) == ()
    assert len(parse_html(text, index=LOCAL, url="file:///srv/simple/demo/")) == 1


def test_a_page_of_endless_links_is_refused() -> None:
    with pytest.raises(AnswerError, match="links"):
        parse_html('<a href="a-1.zip">' * 50_001)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parsers_fail_otherwise(data: bytes) -> None:
    for content_type in (JSON_TYPE, HTML_TYPES[0]):
        try:
            parse_page(data, content_type, url=PAGE, index=INDEX)
        except AnswerError:
            continue


def test_unwanted_files_are_left_out() -> None:
    page = {"meta": {"api-version": "1.0"}, "files": [row(), row(filename="other-1.0.zip")]}
    data = json.dumps(page).encode()
    files = parse_page(data, JSON_TYPE, url=PAGE, index=INDEX, wanted=lambda name: name.startswith("other"))
    assert [file.filename for file in files] == ["other-1.0.zip"]

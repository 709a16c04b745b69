"""Reading direct_url.json (PEP 610)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import DirectUrl
from envcap.scan.direct_url import parse_direct_url, project_name

SHA = "ab" * 32


@pytest.mark.parametrize(
    "archive", [{"hashes": {"sha256": SHA}}, {"hash": f"sha256={SHA}"}, {"hashes": {"sha256": SHA.upper()}}]
)
def test_archive_with_its_hash(archive: dict[str, object]) -> None:
    text = json.dumps({"url": "https://me:pw@example.org/a.whl", "archive_info": archive})

    assert parse_direct_url(text) == DirectUrl(url="https://example.org/a.whl", kind="archive", sha256=SHA)


@pytest.mark.parametrize("archive", [{}, {"hash": "md5=abc"}, {"hashes": {"sha256": "short"}}, {"hashes": []}, None, 7])
def test_archive_without_a_usable_hash(archive: object) -> None:
    text = json.dumps({"url": "https://example.org/a.whl", "archive_info": archive})

    assert parse_direct_url(text) == DirectUrl(url="https://example.org/a.whl", kind="archive")


def test_vcs_with_commit_and_subdirectory() -> None:
    vcs = {"vcs": "git", "requested_revision": "main", "commit_id": "c0ffee"}
    text = json.dumps({"url": "https://tok@example.org/a.git", "vcs_info": vcs, "subdirectory": "py/a"})

    assert parse_direct_url(text) == DirectUrl(
        url="https://example.org/a.git", kind="vcs", vcs="git", commit="c0ffee", subdirectory="py/a"
    )


@pytest.mark.parametrize(
    ("info", "kind"), [({"editable": True}, "editable"), ({}, "directory"), ({"editable": 1}, "directory")]
)
def test_folder_is_editable_only_if_it_says_so(info: dict[str, object], kind: str) -> None:
    direct_url = parse_direct_url(json.dumps({"url": "file:///some/project", "dir_info": info}))

    assert direct_url == DirectUrl(url="file:///some/project", kind=kind)
    assert project_name(direct_url) == "project"


@pytest.mark.parametrize("subdirectory", ["../x", "/x", "a/../../b", 5])
def test_subdirectory_that_climbs_out_is_dropped(subdirectory: object) -> None:
    direct_url = parse_direct_url(json.dumps({"url": "file:///x", "dir_info": {}, "subdirectory": subdirectory}))

    assert direct_url is not None
    assert direct_url.subdirectory == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"url": 5}', "[" * 100_000])
def test_nonsense_is_none(text: str) -> None:
    assert parse_direct_url(text) is None


KEYS = st.sampled_from(["vcs", "hash", "hashes", "commit_id", "editable"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


@given(st.dictionaries(st.sampled_from(["url", "vcs_info", "dir_info", "archive_info", "subdirectory"]), JSON))
def test_any_json_is_read_or_refused(data: dict[str, object]) -> None:
    direct_url = parse_direct_url(json.dumps(data))

    assert (direct_url is None) == (not isinstance(data.get("url"), str))

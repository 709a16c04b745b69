"""Whatever lies where a conda package or record should be: it is read, or refused in our own words."""

import json
import os
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import archive_paths
from envcap.conda.channel import CHANNEL_NAME, channel_name, channel_url
from envcap.conda.paths import is_inside, read_path
from envcap.errors import ArchiveError
from envcap.scan.conda_records import read_conda_records
from envcap.scan.files import walk_tree
from envcap.scan.reader import TreeReader
from tests.conda.channel import SITE, Spec, make_package, small_specs

SMALL: tuple[Spec, ...] = tuple(spec for spec in small_specs() if spec.name in {"tool", "hooked", "old"})
PACKAGES = {spec.file: make_package(spec) for spec in SMALL}
JSON = st.recursive(
    st.sampled_from(["https://[/x.conda", "a://["])
    | st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["../x", "/etc", "a/b", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("name", "version", "build", "subdir", "fn", "url", "channel", "paths_data", "files", "depends", "size", "md5")
KNOWN = st.fixed_dictionaries(
    {"name": st.just("x"), "version": st.just("1"), "build": st.just("0"), "subdir": st.just("noarch")},
    optional={key: JSON for key in KEYS if key not in {"name", "version", "build", "subdir"}},
)


@settings(max_examples=100)
@given(st.sampled_from(sorted(PACKAGES)), st.integers(min_value=0), st.binary(min_size=1, max_size=40))
def test_a_damaged_package_is_read_or_refused(name: str, place: int, damage: bytes) -> None:
    data = bytearray(PACKAGES[name])
    start = place % len(data)
    data[start : start + len(damage)] = damage
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as spool:
        file.write(data)
        file.flush()
        try:
            paths = archive_paths(open_conda(FileReader(file.fileno()), name=name, spool=spool), SITE)
        except ArchiveError:
            return
        assert all(is_inside(row.path) for row in paths)


@settings(max_examples=60)
@given(KNOWN | JSON)
def test_any_record_is_read_or_is_one_finding(table: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "conda-meta").mkdir()
        (Path(folder) / "conda-meta/x-1-0.json").write_text(json.dumps(table))
        reader = TreeReader(walk_tree(os.path.realpath(folder)))

        records = read_conda_records(reader)

        assert len(records) + len([one for one in reader.findings if one.code != "conda-record-odd"]) == 1
        for record in records:
            assert CHANNEL_NAME.match(record.channel)
            assert all(is_inside(row.path) for row in record.paths)


@given(JSON)
def test_any_row_is_a_path_inside_or_none(row: object) -> None:
    found = read_path(row)

    assert found is None or is_inside(found.path)


@given(st.text(max_size=30) | st.sampled_from(["https://[", "https://a:b@c/t/", "file:", "//", "a//b", "~"]))
def test_any_text_gives_a_channels_name(text: str) -> None:
    assert CHANNEL_NAME.match(channel_name(text))


@given(st.text(alphabet="abc/:@.?#%t", max_size=30))
@example("//@")
@example("@")
def test_a_scrubbed_url_holds_no_user(text: str) -> None:
    found = channel_url(f"https://{text}")

    assert "@" not in found.removeprefix("https://").partition("/")[0]

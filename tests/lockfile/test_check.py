"""Every refusal of a lock, with its exact words: where, what was expected, what was found.

The digest of each refused lock would fit: it is the values that are refused.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from envcap.errors import LockfileError
from envcap.lockfile.document import read_lockfile, write_lockfile
from tests.lockfile.small import SMALL, sha
from tests.lockfile.tables import Step, at, drop, put, read_sealed, small_table

LINUX = "`linux/amd64` or `linux/arm64`"
ONE_LINE = "(expected one line without control characters)"
HEX = "(expected 64 lower-case hex digits)"
RELATIVE = "(expected a relative path without `.` or `..`)"


def refusal(table: dict[str, object]) -> LockfileError:
    with pytest.raises(LockfileError) as caught:
        read_sealed(table)
    return caught.value


def at_path(text: str) -> list[Step]:
    return [int(step) if step.isdigit() else step for step in text.split("|")]


def test_a_changed_lock_with_a_fitting_digest_is_read() -> None:
    table = put(small_table(), ["packages", 0, "version"], "2.0.1")
    package = replace(SMALL.packages[0], version="2.0.1")
    assert read_sealed(table) == replace(SMALL, packages=(package, SMALL.packages[1]))


@pytest.mark.parametrize(
    ("path", "place", "known"),
    [
        ("surprise", "the lockfile", "name, recipe, environment, interpreter, sources, packages"),
        ("environment|user", "environment", "kind, newest-upload, system-site-packages, markers"),
        ("packages|1|sha1", "packages[1]", "name, version, requested"),
        ("packages|0|artifacts|1|md5", "packages[0].artifacts[1]", "platform, source, file, size, sha256, url"),
        ("packages|0|patches|0|mode", "packages[0].patches[0]", "path, change, sha256, size, executable, target"),
        ("packages|0|newest_upload", "packages[0]", "name, version"),
        ("expected|linux/amd64|host", "expected[0]", "platform, image-id, manifest, compressor, diff-ids"),
    ],
)
def test_an_unknown_key_is_refused_wherever_it_is(path: str, place: str, known: str) -> None:
    steps = at_path(path)
    error = refusal(put(small_table(), steps, "x"))
    assert error.message.startswith(f"Unknown key {steps[-1]!r} in {place} (expected one of: {known}")
    assert error.hint == "the lock may come from a newer envcap: upgrade, or ask for the lock to be made again"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("name", "Missing key 'name' in the lockfile"),
        ("recipe", "Missing key 'recipe' in the lockfile"),
        ("interpreter", "Missing key 'interpreter' in the lockfile"),
        ("environment|kind", "Missing key 'kind' in environment"),
        ("packages|1|version", "Missing key 'version' in packages[1]"),
        ("packages|0|artifacts|1|sha256", "Missing key 'sha256' in packages[0].artifacts[1]"),
        ("packages|0|artifacts", "Missing artifact in 'packages[0]': iniconfig 2.0.0 pins nothing"),
        ("system|0|because", "Missing key 'because' in system[0]"),
        ("expected|linux/amd64|image-id", "Missing key 'image-id' in expected[0]"),
    ],
)
def test_a_missing_key_is_refused(path: str, message: str) -> None:
    assert refusal(drop(small_table(), at_path(path))).message == message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("recipe", True, "Unexpected bool in 'recipe' (expected an integer)"),
        ("recipe", "1", "Unexpected str in 'recipe' (expected an integer)"),
        (
            "packages|0|artifacts|0|size",
            False,
            "Unexpected bool in 'packages[0].artifacts[0].size' (expected an integer)",
        ),
        ("packages|1|requested", 1, "Unexpected int in 'packages[1].requested' (expected a boolean)"),
        ("packages|1|name", 1, "Unexpected int in 'packages[1].name' (expected a string)"),
        ("packages|1|artifacts", {}, "Unexpected dict in 'packages[1].artifacts' (expected an array)"),
        ("packages|1|artifacts", ["x"], "Unexpected str in 'packages[1].artifacts[0]' (expected a table)"),
        ("packages", "x", "Unexpected str in 'packages' (expected an array)"),
        ("environment", [], "Unexpected list in 'environment' (expected a table)"),
        ("environment|markers", [], "Unexpected list in 'environment.markers' (expected a table)"),
        ("image|env|A", 1, "Unexpected int in 'image.env.A' (expected a string)"),
        ("image|cmd|1", True, "Unexpected bool in 'image.cmd[1]' (expected a string)"),
    ],
)
def test_a_wrong_type_is_refused(path: str, value: object, message: str) -> None:
    assert refusal(put(small_table(), at_path(path), value)).message == message


@pytest.mark.parametrize(
    ("path", "where"), [("packages|0|artifacts|0|size", "packages[0].artifacts[0].size"), ("recipe", "recipe")]
)
@pytest.mark.parametrize("value", [2**53, -(2**53), 16**3000])
def test_an_integer_that_json_cannot_hold_is_refused(path: str, where: str, value: int) -> None:
    message = refusal(put(small_table(), at_path(path), value)).message
    assert message == f"Unexpected integer in '{where}' (expected at most 9007199254740991)"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("packages|0|artifacts|0|sha256", "packages[0].artifacts"),
        ("packages|0|patches|1|sha256", "packages[0].patches"),
        ("interpreter|artifacts|0|sha256", "interpreter.artifacts"),
        ("system|0|sha256", "system[0]"),
        ("captured|0|sha256", "captured[0]"),
    ],
)
@pytest.mark.parametrize("found", ["", "a" * 63, "a" * 65, "a" * 32, "A" * 64, "g" * 64, f"sha256:{'a' * 57}"])
def test_a_hash_that_is_no_whole_sha256_is_refused(path: str, where: str, found: str) -> None:
    error = refusal(put(small_table(), at_path(path), found))
    assert error.message == f"Unexpected sha256 {found!r} in {where!r} {HEX}"
    assert error.hint == "a weaker or missing hash pins nothing: make the lock again with `envcap snapshot`"


@pytest.mark.parametrize("found", [sha("1"), f"md5:{'1' * 32}", f"sha256:{'A' * 64}", "sha256:"])
@pytest.mark.parametrize("path", ["image-id", "manifest", "diff-ids|0"])
def test_a_malformed_digest_of_an_image_is_refused(path: str, found: str) -> None:
    error = refusal(put(small_table(), ["expected", "linux/amd64", *at_path(path)], found))
    assert error.message == f"Unexpected digest {found!r} in 'expected[0]' (expected `sha256:` and 64 hex digits)"


@pytest.mark.parametrize("found", ["", "..", "../x", "a/../b", "/etc/passwd", "a//b", "./a", "a/", "a\\b", "~/..", "."])
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("packages|0|patches|0|path", "packages[0].patches"),
        ("captured|0|path", "captured[0].path"),
        ("system|0|file", "system[0].file"),
        ("interpreter|home", "interpreter.home"),
        ("interpreter|artifacts|0|file", "interpreter.artifacts.file"),
    ],
)
def test_a_path_that_could_leave_its_folder_is_refused(path: str, where: str, found: str) -> None:
    message = refusal(put(small_table(), at_path(path), found)).message
    assert message in {
        f"Unexpected path {found!r} in {where!r} {RELATIVE}",
        f"Unexpected {found!r} in {where!r} (expected a file name)",
    }


def test_a_path_that_a_layer_would_read_as_a_deletion_is_refused() -> None:
    error = refusal(put(small_table(), ["captured", 0, "path"], "etc/.wh.passwd"))
    assert (
        error.message == "Unexpected path 'etc/.wh.passwd' in 'captured[0].path' (OCI layers read `.wh.` as a deletion)"
    )


@pytest.mark.parametrize("found", ["a/b.whl", "../b.whl", "/b.whl", "a/b/c.tar.gz"])
def test_an_artifact_of_a_package_has_no_folder(found: str) -> None:
    message = refusal(put(small_table(), ["packages", 0, "artifacts", 0, "file"], found)).message
    assert message in {
        f"Unexpected file {found!r} in 'packages[0].artifacts' (expected a name without folders)",
        f"Unexpected path {found!r} in 'packages[0].artifacts.file' {RELATIVE}",
    }


STRINGS = [
    "name",
    "environment|kind",
    "environment|newest-upload",
    "environment|markers|sys_platform",
    "interpreter|implementation",
    "interpreter|version",
    "interpreter|build",
    "interpreter|soabi",
    "interpreter|home",
    "sources|0|name",
    "sources|0|suite",
    "sources|0|signature",
    "sources|1|url",
    "packages|0|version",
    "packages|0|artifacts|0|file",
    "packages|0|patches|0|target",
    "packages|1|proof",
    "system|0|architecture",
    "system|0|source",
    "system|0|because|1",
    "captured|0|path",
    "image|env|A",
    "image|cmd|2",
]


@pytest.mark.parametrize("found", ["a\nb", "a\x00", "\x1b[2J", "a\tb", "\x7f", "x" * 5000])
@pytest.mark.parametrize("path", STRINGS)
def test_control_characters_and_endless_lines_are_refused_in_every_string(path: str, found: str) -> None:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at_path(path)).removeprefix(".")
    assert isinstance(at(small_table(), at_path(path)), str)
    message = refusal(put(small_table(), at_path(path), found)).message
    assert message == f"Unexpected text {found[:80]!r} in {where!r} {ONE_LINE}"


@pytest.mark.parametrize("table", ["env", "labels"])
def test_control_characters_are_refused_in_the_keys_of_mappings(table: str) -> None:
    message = refusal(put(small_table(), ["image", table], {"a\x1b": "x"})).message
    assert message == f"Unexpected text 'a\\x1b' in 'image.{table}' {ONE_LINE}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", "../x", "Unexpected '../x' in 'name' (expected letters, digits, `.`, `_` and `-`)"),
        ("name", "", "Unexpected '' in 'name' (expected letters, digits, `.`, `_` and `-`)"),
        ("recipe", 0, "Unexpected recipe 0 (expected 1 or more)"),
        ("environment|kind", "vm", "Unexpected 'vm' in 'environment.kind' (expected one of: conda, system, venv)"),
        (
            "interpreter|implementation",
            "cpython' or '1",
            """Unexpected "cpython' or '1" in 'interpreter.implementation' (expected a name such as `cpython`)""",
        ),
        ("interpreter|version", "3", "Unexpected '3' in 'interpreter.version' (expected a version such as `3.11.7`)"),
        (
            "interpreter|origin",
            "pyenv",
            "Unexpected 'pyenv' in 'interpreter.origin' (expected one of: captured, conda, debian, standalone)",
        ),
        (
            "sources|1|kind",
            "ftp",
            (
                "Unexpected 'ftp' in 'sources[1].kind' (expected one of: conda-channel, debian, local, "
                "python-build-standalone, simple-index)"
            ),
        ),
        ("sources|0|release", -1, "Unexpected release -1 in 'sources[0]' (expected 0 to 8589934591)"),
        (
            "packages|1|name",
            "Torch",
            "Unexpected 'Torch' in 'packages[1].name' (expected a normalised project name (PEP 503))",
        ),
        (
            "packages|1|name",
            "a--b",
            "Unexpected 'a--b' in 'packages[1].name' (expected a normalised project name (PEP 503))",
        ),
        ("packages|1|version", "1 0", "Unexpected '1 0' in 'packages[1].version' (expected a version without spaces)"),
        (
            "packages|1|origin",
            "pypi",
            "Unexpected 'pypi' in 'packages[1].origin' (expected one of: editable, index, local, url, vcs)",
        ),
        (
            "packages|1|proof",
            "faith",
            "Unexpected 'faith' in 'packages[1].proof' (expected one of: cache, captured, content, record, tags, url)",
        ),
        (
            "packages|0|patches|0|change",
            "moved",
            "Unexpected 'moved' in 'packages[0].patches' (expected one of: added, deleted, edited)",
        ),
        (
            "packages|1|artifacts|0|platform",
            "linux/386",
            f"Unexpected 'linux/386' in 'packages[1].artifacts.platform' (expected {LINUX})",
        ),
        (
            "packages|1|artifacts|0|source",
            "a b",
            "Unexpected 'a b' in 'packages[1].artifacts.source' (expected the name of a source)",
        ),
        (
            "packages|1|artifacts|0|size",
            -1,
            "Unexpected size -1 in 'packages[1].artifacts' (expected 0 to 1099511627776)",
        ),
        (
            "packages|1|artifacts|0|size",
            1 << 41,
            "Unexpected size 2199023255552 in 'packages[1].artifacts' (expected 0 to 1099511627776)",
        ),
        ("system|0|name", "Lib", "Unexpected 'Lib' in 'system[0].name' (expected a Debian package name)"),
        ("system|0|version", "1 2", "Unexpected '1 2' in 'system[0].version' (expected a Debian version)"),
        ("system|0|platform", "darwin/arm64", f"Unexpected 'darwin/arm64' in 'system[0].platform' (expected {LINUX})"),
        ("image|epoch", -1, "Unexpected epoch -1 in 'image' (expected 0 to 8589934591)"),
        ("image|epoch", 2**33, "Unexpected epoch 8589934592 in 'image' (expected 0 to 8589934591)"),
        ("image|env", {"A=B": ""}, "Unexpected 'A=B' in 'image.env' (expected a variable's name)"),
        (
            "expected",
            {"linux/386": {"image-id": f"sha256:{sha('1')}"}},
            f"Unexpected 'linux/386' in 'expected[0].platform' (expected {LINUX})",
        ),
    ],
)
def test_a_value_outside_its_alphabet_is_refused(path: str, value: object, message: str) -> None:
    assert refusal(put(small_table(), at_path(path), value)).message == message


def swapped(path: Sequence[Step]) -> dict[str, object]:
    items = at(small_table(), path)
    assert isinstance(items, list)
    return put(small_table(), path, items[::-1])


def doubled(path: Sequence[Step]) -> dict[str, object]:
    items = at(small_table(), path)
    assert isinstance(items, list)
    return put(small_table(), path, [items[0], *items])


@pytest.mark.parametrize(
    ("path", "where", "after", "before"),
    [
        ("packages", "packages", "('iniconfig', '2.0.0')", "('torch', '2.1.0+cu118')"),
        ("sources", "sources", "'debian'", "'wheels.example.org-cu118'"),
        ("packages|0|artifacts", "packages[0].artifacts", "'linux/amd64'", "'linux/arm64'"),
    ],
)
def test_unsorted_rows_are_refused(path: str, where: str, after: str, before: str) -> None:
    message = refusal(swapped(at_path(path))).message
    assert message == f"Unexpected order in {where!r}: {after} after {before} (expected sorted, unique rows)"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("packages", "('iniconfig', '2.0.0')"),
        ("sources", "'debian'"),
        ("system", "('linux/amd64', 'libstdc++6', 'amd64')"),
        ("captured", "'etc/tool.toml'"),
        ("packages|0|artifacts", "'linux/amd64'"),
        ("packages|0|patches", "'bin/link'"),
        ("interpreter|artifacts", "'linux/amd64'"),
    ],
)
def test_duplicate_rows_are_refused(path: str, key: str) -> None:
    where = path.replace("|0|", "[0].").replace("|", ".")
    message = refusal(doubled(at_path(path))).message
    assert message == f"Unexpected order in {where!r}: {key} after {key} (expected sorted, unique rows)"


def test_debian_names_may_end_in_a_plus() -> None:
    lockfile = replace(SMALL, system=(replace(SMALL.system[0], name="g++"),))
    assert read_lockfile(write_lockfile(lockfile)) == lockfile


def test_a_writer_refuses_what_a_reader_would_refuse() -> None:
    with pytest.raises(LockfileError, match=r"Unexpected order in 'packages'"):
        write_lockfile(replace(SMALL, packages=SMALL.packages[::-1]))


@pytest.mark.parametrize("found", ["a/b.tar.gz", "../b.tar.gz", "", "a\\b.tar.gz"])
def test_an_sdist_is_named_by_a_file_name_alone(found: str) -> None:
    message = refusal(put(small_table(), ["packages", 0, "sdist"], {"file": found, "sha256": "c" * 64})).message
    assert message in {
        f"Unexpected file {found!r} in 'packages[0].sdist' (expected a name without folders)",
        f"Unexpected path {found!r} in 'packages[0].sdist.file' {RELATIVE}",
        f"Unexpected {found!r} in 'packages[0].sdist.file' (expected a file name)",
    }


def test_an_sdist_without_a_hash_is_refused() -> None:
    message = refusal(put(small_table(), ["packages", 0, "sdist"], {"file": "a-1.tar.gz"})).message
    assert message == f"Unexpected sha256 '' in 'packages[0].sdist' {HEX}"


def test_a_negative_number_of_uncommitted_files_is_refused() -> None:
    message = refusal(put(small_table(), ["packages", 0, "uncommitted"], -1)).message
    assert message == "Unexpected uncommitted -1 in 'packages[0]' (expected a number of files)"

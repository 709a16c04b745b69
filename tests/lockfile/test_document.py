"""The lock as text: exact inverses, one canonical form, and a digest that names the environment alone."""

import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings

from envcap.errors import LockfileError
from envcap.lockfile.codec import to_table
from envcap.lockfile.document import MAX_TEXT, environment_digest, read_lockfile, write_lockfile
from envcap.lockfile.model import CapturedFile, Expected, Lockfile, SourceArchive
from tests.lockfile.small import SMALL, SMALL_TEXT, sha
from tests.lockfile.strategies import lockfiles

Change = Callable[[Lockfile], Lockfile]


@given(lockfiles())
@settings(max_examples=60, deadline=None)
def test_reading_inverts_writing_and_writing_inverts_reading(lockfile: Lockfile) -> None:
    text = write_lockfile(lockfile)
    assert read_lockfile(text) == lockfile
    assert write_lockfile(read_lockfile(text)) == text


@given(lockfiles())
@settings(max_examples=25, deadline=None)
def test_the_text_is_toml_and_says_what_the_table_says(lockfile: Lockfile) -> None:
    table = tomllib.loads(write_lockfile(lockfile))
    assert table.pop("lock-version") == "1.0"
    assert table.pop("digest") == str(environment_digest(lockfile))
    expected = table.pop("expected", {})
    plain = to_table(lockfile)
    rows = plain.pop("expected", [])
    assert isinstance(rows, list)
    assert table == plain
    assert [{"platform": platform, **row} for platform, row in sorted(expected.items())] == rows


def test_a_lock_has_one_text() -> None:
    assert write_lockfile(SMALL) == SMALL_TEXT


def test_the_text_gives_the_lock() -> None:
    assert read_lockfile(SMALL_TEXT) == SMALL


def test_mappings_are_written_in_one_order_whatever_theirs() -> None:
    env = dict(reversed(list(SMALL.image.env.items())))
    assert write_lockfile(replace(SMALL, image=replace(SMALL.image, env=env))) == SMALL_TEXT


def test_another_layout_of_the_same_content_is_the_same_lock() -> None:
    loose = "# It's a comment with a.b.c.d.e.f.g.h.i.j.k \"quotes\n" + SMALL_TEXT.replace(" = ", "   =   ")
    assert read_lockfile(loose) == SMALL
    assert read_lockfile(SMALL_TEXT.replace("\n", "\r\n")) == SMALL


def test_the_digest_is_sha256_over_sorted_json_without_name_and_expected() -> None:
    table = tomllib.loads(SMALL_TEXT)
    content = {key: table[key] for key in table if key not in {"lock-version", "name", "digest", "expected"}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert str(environment_digest(SMALL)) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" == table["digest"]


COSMETIC: dict[str, Change] = {
    "name": lambda lock: replace(lock, name="other"),
    "branch": lambda lock: replace(lock, packages=(replace(lock.packages[0], branch="main"), *lock.packages[1:])),
    "no expected": lambda lock: replace(lock, expected=()),
    "another expected": lambda lock: replace(
        lock, expected=(Expected(platform="linux/arm64", image_id=f"sha256:{sha('9')}"),)
    ),
}


@pytest.mark.parametrize("change", COSMETIC.values(), ids=COSMETIC)
def test_the_digest_ignores_names_and_expected(change: Change) -> None:
    changed = change(SMALL)
    assert changed != SMALL
    assert environment_digest(changed) == environment_digest(SMALL)
    assert read_lockfile(write_lockfile(changed)) == changed


REAL: dict[str, Change] = {
    "recipe": lambda lock: replace(lock, recipe=2),
    "kind": lambda lock: replace(lock, environment=replace(lock.environment, kind="conda")),
    "system site-packages": lambda lock: replace(
        lock, environment=replace(lock.environment, system_site_packages=True)
    ),
    "markers": lambda lock: replace(lock, environment=replace(lock.environment, markers={})),
    "build": lambda lock: replace(lock, interpreter=replace(lock.interpreter, build="main, Dec  5 2023, GCC 12.2.0")),
    "interpreter artifacts": lambda lock: replace(lock, interpreter=replace(lock.interpreter, artifacts=())),
    "sources": lambda lock: replace(lock, sources=lock.sources[1:]),
    "packages": lambda lock: replace(lock, packages=lock.packages[1:]),
    "requested": lambda lock: replace(lock, packages=(replace(lock.packages[0], requested=True), lock.packages[1])),
    "commit": lambda lock: replace(lock, packages=(replace(lock.packages[0], commit="a1"), lock.packages[1])),
    "uncommitted": lambda lock: replace(lock, packages=(replace(lock.packages[0], uncommitted=1), lock.packages[1])),
    "sdist": lambda lock: replace(
        lock,
        packages=(
            replace(lock.packages[0], sdist=SourceArchive(file="a-1.tar.gz", sha256=sha("c"))),
            lock.packages[1],
        ),
    ),
    "patches": lambda lock: replace(lock, packages=(replace(lock.packages[0], patches=()), lock.packages[1])),
    "system": lambda lock: replace(lock, system=()),
    "captured": lambda lock: replace(lock, captured=(replace(lock.captured[0], executable=True),)),
    "epoch": lambda lock: replace(lock, image=replace(lock.image, epoch=0)),
}


@pytest.mark.parametrize("change", REAL.values(), ids=REAL)
def test_the_digest_changes_with_everything_else(change: Change) -> None:
    changed = change(SMALL)
    assert environment_digest(changed) != environment_digest(SMALL)
    assert read_lockfile(write_lockfile(changed)) == changed


def refusal(text: str) -> LockfileError:
    with pytest.raises(LockfileError) as caught:
        read_lockfile(text)
    return caught.value


def test_a_changed_lock_with_its_old_digest_is_refused() -> None:
    error = refusal(SMALL_TEXT.replace('version = "2.0.0"', 'version = "2.0.1"'))
    expected = str(environment_digest(SMALL))
    assert error.message.startswith(
        f"The lock's content does not match its digest (expected '{expected}', found 'sha256:"
    )
    assert error.hint == "a lock is not edited by hand: make it again with `envcap snapshot`, or restore it from git"


def test_another_lock_version_is_refused() -> None:
    error = refusal(SMALL_TEXT.replace('lock-version = "1.0"', 'lock-version = "1.1"'))
    assert error.message == "Unexpected lock-version '1.1' (expected '1.0')"
    assert error.hint == "read it with the version of envcap that wrote it"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('lock-version = "1.0"\n', "", "Missing key 'lock-version' in the lockfile"),
        ('lock-version = "1.0"', "lock-version = 1.0", "Unexpected float in 'lock-version' (expected a string)"),
        ('lock-version = "1.0"', f"lock-version = 0x{'f' * 5000}", "Unexpected int in 'lock-version'"),
        ('digest = "sha256:', 'digest2 = "sha256:', "Missing key 'digest' in the lockfile"),
        ('[expected."linux/amd64"]', "[[expected]]", "Unexpected list in 'expected' (expected a table per platform)"),
        ('[expected."linux/amd64"]', "[expected]", "Unexpected list in 'expected.diff-ids' (expected a table)"),
        ('\n[expected."linux/amd64"]', '\n[expected."a\\u001b[0m"]', "Unexpected text 'a\\x1b[0m' in 'expected[0]"),
        (
            '[expected."linux/amd64"]',
            '[expected."linux/amd64"]\nplatform = "linux/arm64"',
            "Unknown key 'platform' in 'expected.linux/amd64' (expected it as the name of the table only)",
        ),
    ],
)
def test_the_frame_of_a_lock_is_checked(old: str, new: str, message: str) -> None:
    assert SMALL_TEXT.count(old) == 1
    assert refusal(SMALL_TEXT.replace(old, new)).message.startswith(message)


def test_text_that_is_not_toml_is_refused_with_its_place() -> None:
    assert refusal("a = \n").message == "The lockfile is not valid TOML: Invalid value (at line 1, column 5)"
    assert refusal("").message == "Missing key 'lock-version' in the lockfile"


def test_an_integer_of_many_digits_is_refused() -> None:
    assert refusal("a = " + "9" * 5000).message.startswith("The lockfile is not valid TOML: Exceeds the limit")


def test_a_long_text_is_refused_unread() -> None:
    error = refusal("a" * (MAX_TEXT + 1))
    assert error.message == f"The lockfile is too long ({MAX_TEXT + 1} characters, at most {MAX_TEXT})"


def test_a_lock_that_would_be_too_long_to_be_read_is_not_written() -> None:
    deep = "d/" * 1900
    files = tuple(CapturedFile(path=f"{deep}{number}", target="x") for number in range(10_000, 14_400))
    with pytest.raises(LockfileError) as caught:
        write_lockfile(replace(SMALL, captured=files))
    rows = len(files) + sum(len(package.patches) for package in SMALL.packages)
    assert caught.value.message.endswith(f"at most 16,777,216): it lists {rows:,} files that are patched, or nobody's")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "{ b = " * 100_000, "a = " + "[{ b = " * 50_000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert refusal(text).message == "The lockfile is not valid TOML: nested too deeply"


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join("a" * 200_000) + "]",
        ".".join("a" * 200_000) + " = 1",
        " . ".join(['"a"'] * 200_000) + " = 1",
        "a = { " + ".".join("a" * 200_000) + " = 1 }",
        '"#" = { b = "\\"", ' + ".".join("a" * 200_000) + ' = "#" }',
    ],
)
def test_a_dotted_key_of_many_parts_is_refused_before_it_explodes(text: str) -> None:
    assert (
        refusal(f'name = "x"\n{text}\n').message == "Unexpected dotted key in line 2 of the lockfile (at most 8 dots)"
    )


@pytest.mark.parametrize("header", ["[a{}]", "[[a{}]]", " \t[a{}]", '["a{}"]'], ids=range(4))
def test_tables_of_many_names_are_refused_before_they_explode(header: str) -> None:
    text = "\n".join(header.format(number) for number in range(200_000))
    message = "Unexpected tables in the lockfile (200000 of different names, at most 64)"
    assert refusal(text).message == message


def test_strings_that_could_hide_a_dotted_key_are_refused() -> None:
    many = ".".join("a" * 200_000)
    expected = "(expected strings in double quotes on one line)"
    assert refusal(f"'\"'.{many}.'\"' = 1").message == f"Unexpected single quote in line 1 of the lockfile {expected}"
    assert (
        refusal(f'a = """x"""", {many} = "y"').message == f"Unexpected string of many lines in the lockfile {expected}"
    )


def test_dots_and_quotes_in_strings_are_no_keys() -> None:
    image = replace(SMALL.image, cmd=("a.b.c.d.e.f.g.h.i.j.k.l", "'''", '"""', '"', "\\", "#", "it's"))
    lockfile = replace(SMALL, image=image)
    assert read_lockfile(write_lockfile(lockfile)) == lockfile


@pytest.mark.parametrize("text", ["\ud800", "a\udcff"])
def test_text_that_is_not_unicode_is_refused_by_the_writer(text: str) -> None:
    with pytest.raises(LockfileError) as caught:
        write_lockfile(replace(SMALL, image=replace(SMALL.image, labels={"a": text})))
    assert caught.value.message == (
        f"Unexpected text {text!r} in 'image.labels.a' (expected one line without control characters)"
    )
    with pytest.raises(LockfileError):
        read_lockfile(SMALL_TEXT.replace("../x", text))
